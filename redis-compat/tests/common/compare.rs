//! Replies compared by what they say, where two servers may write it differently.

use bytes::Bytes;
use coterie_redis_compat::{Flags, resolve};

/// Whether two replies have the same parts, doubles by their value: Redis 7.0 writes them with 17
/// digits, 7.2 with as few as it takes.
pub(crate) fn same_scores(ours: &[u8], theirs: &[u8]) -> bool {
    match (parts(ours), parts(theirs)) {
        (Some(ours), Some(theirs)) => {
            let same = ours.iter().zip(&theirs).all(|(a, b)| is_same(a, b));
            ours.len() == theirs.len() && same
        }
        _ => false,
    }
}

/// Whether both have as many elements, of the same types.
pub(crate) fn same_shape(ours: &[u8], theirs: &[u8]) -> bool {
    let types = |reply: &[u8]| {
        let parts = parts(reply)?;
        let of = |part: &Part| {
            (
                part.sign,
                if part.sign == b'*' {
                    part.bytes.clone()
                } else {
                    vec![]
                },
            )
        };
        Some(parts.iter().map(of).collect::<Vec<_>>())
    };
    types(ours).is_some() && types(ours) == types(theirs)
}

/// Whether the command waits and found nothing on either side. At its timeout the proxy answers as
/// Redis does; here the reply is that of a transaction, where BLMOVE has another null.
pub(crate) fn both_waited(args: &[Bytes], ours: &[u8], theirs: &[u8]) -> bool {
    let is_null = |reply: &[u8]| [&b"$-1\r\n"[..], b"*-1\r\n", b"_\r\n"].contains(&reply);
    let may_wait = resolve(args).is_ok_and(|row| row.flags.contains(Flags::BLOCKING));
    may_wait && is_null(ours) && is_null(theirs)
}

/// A small list or set is a listpack since Redis 7.2. `SORT` of Redis unpacks a sorted set.
pub(crate) fn encodings_agree(ours: &[u8], theirs: &[u8]) -> bool {
    let is_packed = ours.ends_with(b"listpack\r\n");
    let large = [&b"quicklist\r\n"[..], b"hashtable\r\n", b"skiplist\r\n"];
    let is_large = large.iter().any(|name| theirs.ends_with(name));
    ours == theirs || (is_packed && is_large)
}

/// Whether two pages of pairs have the same, in any order, if they are the first and the last. Else
/// nobody knows which belong on them.
pub(crate) fn same_page(ours: &[u8], theirs: &[u8]) -> bool {
    let (Some(ours), Some(theirs)) = (parts(ours), parts(theirs)) else {
        return false;
    };
    let is_page = |parts: &[Part]| parts.len() >= 3 && parts[0].bytes == b"2";
    if !is_page(&ours) || !is_page(&theirs) {
        return false;
    }
    if ours[1].bytes != b"0" || theirs[1].bytes != b"0" {
        return true;
    }
    let pairs = |parts: &[Part]| {
        let mut pairs: Vec<_> = parts[3..].chunks(2).map(<[Part]>::to_vec).collect();
        pairs.sort_by(|a, b| a[0].bytes.cmp(&b[0].bytes));
        pairs.concat()
    };
    let (ours, theirs) = (pairs(&ours), pairs(&theirs));
    let same = ours.iter().zip(&theirs).all(|(a, b)| is_same(a, b));
    ours.len() == theirs.len() && same
}

/// A head, or an element.
#[derive(Debug, Clone)]
struct Part {
    sign: u8,
    bytes: Vec<u8>,
}

fn is_same(a: &Part, b: &Part) -> bool {
    let number = |part: &Part| {
        let text = std::str::from_utf8(&part.bytes).ok()?;
        text.parse::<f64>().ok()
    };
    let by_value = || match (number(a), number(b)) {
        (Some(a), Some(b)) => a.to_bits() == b.to_bits(),
        _ => false,
    };
    a.sign == b.sign && (a.bytes == b.bytes || (matches!(a.sign, b'$' | b',') && by_value()))
}

fn parts(mut reply: &[u8]) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    while !reply.is_empty() {
        let end = reply.iter().position(|byte| *byte == b'\r')?;
        let (sign, line) = (reply[0], &reply[1..end]);
        reply = reply.get(end + 2..)?;
        let len = std::str::from_utf8(line).ok()?.parse::<usize>();
        match (sign, len) {
            (b'$', Ok(len)) => {
                let bytes = reply.get(..len)?.to_vec();
                reply = reply.get(len + 2..)?;
                parts.push(Part { sign, bytes });
            }
            _ => parts.push(Part {
                sign,
                bytes: line.to_vec(),
            }),
        }
    }
    Some(parts)
}
