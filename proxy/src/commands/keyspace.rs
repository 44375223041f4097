//! Commands over all keys of a table (`fanout`).

use bytes::Bytes;
use coterie_redis_compat::acl::User;
use coterie_redis_compat::errors::{INVALID_CURSOR, SYNTAX};
use coterie_redis_compat::{CommandError, Reply, Words};

use super::{Named, Remote};
use crate::fanout;

pub(super) const HANDLERS: &[Named] = &[
    ("dbsize", alone!(dbsize)),
    ("flushall", alone!(flushall)),
    ("flushdb", alone!(flushdb)),
    ("keys", alone!(keys)),
    ("randomkey", alone!(randomkey)),
    ("scan", alone!(scan)),
];

/// `DBSIZE`.
async fn dbsize(call: Remote) -> Result<Reply, CommandError> {
    let counted = fanout::count(&call.calls(), call.table).await?;
    Ok(super::int(counted.iter().map(|(_, keys)| keys).sum()))
}

/// `KEYS pattern`.
async fn keys(call: Remote) -> Result<Reply, CommandError> {
    let (keys, beyond) =
        fanout::keys(&call.calls(), call.table, &call.args[1], seen_by(&call)).await?;
    call.client.keep_beyond(beyond);
    Ok(keys)
}

/// `RANDOMKEY`.
async fn randomkey(call: Remote) -> Result<Reply, CommandError> {
    let (calls, counts, table) = (call.calls(), &call.shared.key_counts, call.table);
    match seen_by(&call) {
        None => fanout::random_key(&calls, counts, table).await,
        Some(user) => fanout::random_seen_key(&calls, counts, table, user).await,
    }
}

/// The user, if it may see the names of some keys only.
fn seen_by(call: &Remote) -> Option<&User> {
    call.user.as_deref().filter(|user| !user.may_see_all())
}

/// `FLUSHDB [ASYNC|SYNC]`.
async fn flushdb(call: Remote) -> Result<Reply, CommandError> {
    check_flush(&call)?;
    fanout::flush(&call.calls(), &[call.table]).await?;
    call.shared.tracking.flushed();
    Ok(Reply::OK)
}

/// `FLUSHALL [ASYNC|SYNC]`: every table, those with names too.
async fn flushall(call: Remote) -> Result<Reply, CommandError> {
    check_flush(&call)?;
    let tables = call.shared.router.cache.load().tables();
    fanout::flush(&call.calls(), &tables).await?;
    call.shared.tracking.flushed();
    Ok(Reply::OK)
}

fn check_flush(call: &Remote) -> Result<(), CommandError> {
    let known = call.is(1, "async") || call.is(1, "sync");
    match call.args.len() {
        1 => Ok(()),
        2 if known => Ok(()),
        _ => Err(SYNTAX),
    }
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`.
async fn scan(call: Remote) -> Result<Reply, CommandError> {
    let scan = parse_scan(&call.args)?;
    let places = &call.shared.scan_places;
    fanout::scan(&call.calls(), places, call.table, &scan, seen_by(&call)).await
}

fn parse_scan(args: &[Bytes]) -> Result<fanout::Scan, CommandError> {
    let mut scan = fanout::Scan {
        cursor: parse_cursor(&args[1]).ok_or(INVALID_CURSOR)?,
        count: 10,
        filter: Vec::new(),
    };
    let mut words = Words::new(&args[2..]);
    while let Some(word) = words.next() {
        match word.keyword().as_str() {
            "count" => {
                scan.count = usize::try_from(words.int()?).unwrap_or(0);
                if scan.count == 0 {
                    return Err(SYNTAX);
                }
            }
            "match" | "type" => scan.filter.extend([word.0.clone(), words.value()?.clone()]),
            _ => return Err(SYNTAX),
        }
    }
    Ok(scan)
}

/// A cursor as `strtoul` reads it: up to the first NUL, nothing being 0. A sign is taken, and a
/// number below zero wraps around.
fn parse_cursor(word: &[u8]) -> Option<u64> {
    let word = word.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = std::str::from_utf8(word).ok()?;
    if text.is_empty() {
        return Some(0);
    }
    match text.strip_prefix('-') {
        Some(digits) if !digits.starts_with('+') => {
            Some(digits.parse::<u64>().ok()?.wrapping_neg())
        }
        Some(_) => None,
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use coterie_redis_compat::errors::NOT_AN_INTEGER;

    use super::*;

    fn parse(line: &str) -> Result<fanout::Scan, CommandError> {
        let args: Vec<_> = line
            .split(' ')
            .map(|w| Bytes::copy_from_slice(w.as_bytes()))
            .collect();
        parse_scan(&args)
    }

    #[test]
    fn options_of_scan_are_read_as_redis_reads_them() {
        let scan = parse("scan 7 MATCH a* count 3 type string").map(|s| (s.cursor, s.count));
        assert_eq!(scan, Ok((7, 3)));
        for (cursor, number) in [
            ("", 0),
            ("\0", 0),
            ("0\x001", 0),
            ("007", 7),
            ("+7", 7),
            ("-0", 0),
            ("-18446744073709551615", 1),
        ] {
            let scan = parse(&format!("scan {cursor}")).map(|scan| scan.cursor);
            assert_eq!(scan, Ok(number), "{cursor}");
        }
        for (line, error) in [
            ("scan x", INVALID_CURSOR),
            ("scan -+1", INVALID_CURSOR),
            ("scan -", INVALID_CURSOR),
            ("scan +", INVALID_CURSOR),
            ("scan \t0", INVALID_CURSOR),
            ("scan 0x0", INVALID_CURSOR),
            ("scan 99999999999999999999", INVALID_CURSOR),
            ("scan 0 count", SYNTAX),
            ("scan 0 count 0", SYNTAX),
            ("scan 0 count x", NOT_AN_INTEGER),
            ("scan 0 foo 1", SYNTAX),
        ] {
            assert_eq!(parse(line), Err(error), "{line}");
        }
    }
}
