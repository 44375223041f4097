//! Compares two replies byte by byte. Exceptions are the few replies that depend on the moment or
//! on an order in memory, which differ between any two servers.

use bytes::Bytes;
use coterie_grammar::{Hints, ReplyKind};
use coterie_redis_compat::resolve;

use super::{dump, grammar};
use crate::resp::Reply;

/// The largest difference between two replies with the same time, in the unit of the reply: the two
/// servers receive the command at different moments.
const MOMENTS_APART: i64 = 5_000;

/// Whether the replies `left` and `right` to `command` mean the same.
#[must_use]
pub fn same(command: &[Vec<u8>], left: &[u8], right: &[u8]) -> bool {
    if left == right {
        return true;
    }
    // The replies differ; only replies that depend on the moment or on an order may.
    let (Ok((left, _)), Ok((right, _))) = (Reply::parse(left), Reply::parse(right)) else {
        return false;
    };
    let name = command
        .first()
        .map(|name| name.to_ascii_uppercase())
        .unwrap_or_default();
    if let (Reply::Error(left), Reply::Error(_)) = (&left, &right)
        && grammar::LONGER.contains(&String::from_utf8_lossy(&name).to_lowercase().as_str())
    {
        return left.starts_with("ERR wrong number of arguments");
    }
    match kind(command) {
        ReplyKind::Time => return same_time(&left, &right),
        ReplyKind::Payload => return same_dump(&left, &right),
        ReplyKind::AnyOrder => {
            let (left, right) = (sorted(&left), sorted(&right));
            return left.is_some() && left == right;
        }
        ReplyKind::Scores => return same_scores(&left, &right),
        ReplyKind::Encoding => return same_encoding(&left, &right),
        // The others are not compared here.
        ReplyKind::Random | ReplyKind::Scan | ReplyKind::Moments => return false,
        ReplyKind::Same | ReplyKind::Ours => {}
    }
    match name.as_slice() {
        b"KEYS" => sorted(&left) == sorted(&right),
        b"SCAN" => match (left.elements(), right.elements()) {
            ([cursor, keys], [other_cursor, other_keys]) => {
                cursor == other_cursor && sorted(keys) == sorted(other_keys)
            }
            _ => false,
        },
        // Redis counts expired keys until it removes them.
        b"DBSIZE" => match (left, right) {
            (Reply::Integer(with_expired), Reply::Integer(count)) => count <= with_expired,
            _ => false,
        },
        b"EXEC" => same_elements(&left, &right),
        _ => false,
    }
}

/// How the command's row says that its replies are compared.
fn kind(command: &[Vec<u8>]) -> ReplyKind {
    let args: Vec<_> = command.iter().cloned().map(Bytes::from).collect();
    let row = resolve(&args).map(|row| Hints::of(row).reply);
    row.unwrap_or_default()
}

fn same_time(left: &Reply, right: &Reply) -> bool {
    match (left, right) {
        (Reply::Integer(left), Reply::Integer(right)) => {
            *left > 0 && *right > 0 && left.abs_diff(*right) < MOMENTS_APART as u64
        }
        _ => false,
    }
}

/// Whether two replies are equal but for the digits of doubles: Redis 7.0 writes 17 of them, Redis
/// 7.2 and Coterie as few as it takes.
fn same_scores(left: &Reply, right: &Reply) -> bool {
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<f64>().ok();
    match (left, right) {
        (Reply::Bulk(left), Reply::Bulk(right)) => {
            let same_number = || number(left).is_some() && number(left) == number(right);
            left == right || same_number()
        }
        (Reply::Array(left), Reply::Array(right)) => {
            let mut pairs = left.iter().zip(right);
            left.len() == right.len() && pairs.all(|(left, right)| same_scores(left, right))
        }
        _ => left == right,
    }
}

/// Whether two encodings are equal, or that of Redis 7.0 and of 7.2 for the same small list or set.
/// The left one is Redis'.
fn same_encoding(left: &Reply, right: &Reply) -> bool {
    match (left, right) {
        (Reply::Bulk(left), Reply::Bulk(right)) => {
            let older = [&b"quicklist"[..], b"hashtable"];
            left == right || older.contains(&&left[..]) && right == b"listpack"
        }
        _ => false,
    }
}

/// Whether two `DUMP` payloads hold the same value. Compression, the order of a large hash, version
/// and checksum may differ.
fn same_dump(left: &Reply, right: &Reply) -> bool {
    match (left, right) {
        (Reply::Bulk(left), Reply::Bulk(right)) => {
            left == right
                || (dump::content(left).is_some() && dump::content(left) == dump::content(right))
                || (dump::collection(left).is_some()
                    && dump::collection(left) == dump::collection(right))
        }
        _ => false,
    }
}

/// Whether the replies of a transaction are equal except for payloads of `DUMP`.
fn same_elements(left: &Reply, right: &Reply) -> bool {
    let (left, right) = (left.elements(), right.elements());
    let same = |(left, right): (&Reply, &Reply)| left == right || same_dump(left, right);
    !left.is_empty() && left.len() == right.len() && left.iter().zip(right).all(same)
}

fn sorted(reply: &Reply) -> Option<Vec<String>> {
    let Reply::Array(elements) = reply else {
        return None;
    };
    let mut texts: Vec<String> = elements.iter().map(|e| format!("{e:?}")).collect();
    texts.sort();
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(command: &str, left: &str, right: &str) -> bool {
        let words: Vec<Vec<u8>> = command.split(' ').map(|w| w.as_bytes().to_vec()).collect();
        same(&words, left.as_bytes(), right.as_bytes())
    }

    #[test]
    fn one_byte_matters() {
        assert!(judge("GET k", "$1\r\na\r\n", "$1\r\na\r\n"));
        assert!(!judge("GET k", "$1\r\na\r\n", "+a\r\n"));
        assert!(!judge("INCR k", ":1\r\n", ":2\r\n"));
        assert!(!judge("GET k", "$-1\r\n", "_\r\n"));
    }

    #[test]
    fn times_may_differ_a_little_and_their_absence_may_not() {
        assert!(judge("PTTL k", ":100000\r\n", ":99990\r\n"));
        assert!(!judge("PTTL k", ":100000\r\n", ":90000\r\n"));
        assert!(!judge("TTL k", ":-1\r\n", ":-2\r\n"));
    }

    #[test]
    fn dumps_of_one_text_are_the_same_however_compressed() {
        let bulk = |payload: &[u8]| {
            [
                format!("${}\r\n", payload.len()).as_bytes(),
                payload,
                b"\r\n",
            ]
            .concat()
        };
        let footer = [10, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        // 40 times "a", as Redis compresses it, better compressed, and plain.
        let one = bulk(&[&b"\x00\xc3\x09\x28\x01aa\xe0\x1b\x00\x01aa"[..], &footer].concat());
        let other = bulk(&[&b"\x00\xc3\x05\x28\x00a\xe0\x1e\x00"[..], &footer].concat());
        let plain = bulk(&[&b"\x00\x28"[..], &[b'a'; 40], &footer].concat());
        let shorter = bulk(&[&b"\x00\x27"[..], &[b'a'; 39], &footer].concat());
        let command = [b"DUMP".to_vec(), b"k".to_vec()];
        assert!(same(&command, &one, &other) && same(&command, &one, &plain));
        assert!(!same(&command, &one, &shorter));
    }

    #[test]
    fn dumps_of_one_hash_are_the_same_in_any_order() {
        let bulk = |body: &[u8]| {
            let head = format!("${}\r\n", body.len() + 10);
            [
                head.as_bytes(),
                body,
                &[10, 0, 1, 2, 3, 4, 5, 6, 7, 8],
                b"\r\n",
            ]
            .concat()
        };
        let command = [b"DUMP".to_vec(), b"k".to_vec()];
        let one = bulk(b"\x04\x02\x01f\xc0\x05\x01g\x01v");
        let other = bulk(b"\x04\x02\x01g\x01v\x01f\x015");
        let crossed = bulk(b"\x04\x02\x01f\x01v\x01g\x015");
        let packed = bulk(b"\x10\x03abc");
        assert!(same(&command, &one, &other));
        assert!(!same(&command, &one, &crossed) && !same(&command, &one, &packed));
        let all = "*4\r\n$1\r\nf\r\n$1\r\n5\r\n$1\r\ng\r\n$1\r\nv\r\n";
        let turned = "*4\r\n$1\r\ng\r\n$1\r\nv\r\n$1\r\nf\r\n$1\r\n5\r\n";
        assert!(judge("HGETALL k", all, turned));
        assert!(!judge("HGETALL k", all, "*2\r\n$1\r\nf\r\n$1\r\n5\r\n"));
        assert!(!judge("HGETALL k", "-ERR a\r\n", "-ERR b\r\n"));
    }

    #[test]
    fn keys_may_come_in_any_order_but_once() {
        assert!(judge(
            "KEYS *",
            "*2\r\n$1\r\na\r\n$1\r\nb\r\n",
            "*2\r\n$1\r\nb\r\n$1\r\na\r\n"
        ));
        assert!(!judge(
            "KEYS *",
            "*2\r\n$1\r\na\r\n$1\r\nb\r\n",
            "*1\r\n$1\r\nb\r\n"
        ));
    }
}
