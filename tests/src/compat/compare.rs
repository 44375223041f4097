//! Are two replies the same? Byte by byte, but for the few that tell of the moment they were made
//! or of an order in memory, which no two servers share.

use crate::resp::Reply;

/// How far apart two tellings of one time may be, in the milliseconds or seconds of the reply: the
/// two servers are asked one after the other.
const MOMENTS_APART: i64 = 5_000;

/// The checksum and version at the end of `DUMP`: a matter of the version of Redis.
const DUMP_FOOTER: usize = 10;

/// Whether the replies `left` and `right` to `command` mean the same.
#[must_use]
pub fn same(command: &[Vec<u8>], left: &[u8], right: &[u8]) -> bool {
    if left == right {
        return true;
    }
    // Beyond this point the replies differ; only what is loose by nature may.
    let (Ok((left, _)), Ok((right, _))) = (Reply::parse(left), Reply::parse(right)) else {
        return false;
    };
    let name = command
        .first()
        .map(|name| name.to_ascii_uppercase())
        .unwrap_or_default();
    match name.as_slice() {
        b"TTL" | b"PTTL" | b"EXPIRETIME" | b"PEXPIRETIME" => same_time(&left, &right),
        b"KEYS" => sorted(&left) == sorted(&right),
        b"SCAN" => match (left.elements(), right.elements()) {
            ([cursor, keys], [other_cursor, other_keys]) => {
                cursor == other_cursor && sorted(keys) == sorted(other_keys)
            }
            _ => false,
        },
        b"DUMP" => match (&left, &right) {
            (Reply::Bulk(left), Reply::Bulk(right)) => body(left) == body(right),
            _ => false,
        },
        b"EXEC" => same_elements(&left, &right),
        _ => false,
    }
}

fn same_time(left: &Reply, right: &Reply) -> bool {
    match (left, right) {
        (Reply::Integer(left), Reply::Integer(right)) => {
            *left > 0 && *right > 0 && left.abs_diff(*right) < MOMENTS_APART as u64
        }
        _ => false,
    }
}

/// The replies of a transaction: alike but for payloads of `DUMP`.
fn same_elements(left: &Reply, right: &Reply) -> bool {
    let (left, right) = (left.elements(), right.elements());
    let same = |(left, right): (&Reply, &Reply)| match (left, right) {
        (Reply::Bulk(left), Reply::Bulk(right)) if left.first() == Some(&0) => {
            left == right || body(left) == body(right)
        }
        _ => left == right,
    };
    !left.is_empty() && left.len() == right.len() && left.iter().zip(right).all(same)
}

fn body(dump: &[u8]) -> &[u8] {
    &dump[..dump.len().saturating_sub(DUMP_FOOTER)]
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
