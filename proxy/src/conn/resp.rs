//! Parses as much of replies as the proxy needs: where a reply ends, and the contents of an
//! integer, a bulk string or an array. Replies come from groups, so a malformed reply is a fault
//! and gives `None`; still nothing here recurses or trusts a length.

use bytes::Bytes;

/// The line that begins at `at`, without its CR LF, and where the next line begins.
fn line(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at..)?;
    let len = rest.iter().position(|&b| b == b'\r')?;
    (rest.get(len + 1) == Some(&b'\n')).then(|| (&rest[..len], at + len + 2))
}

fn number(text: &[u8]) -> Option<i64> {
    coterie_redis_compat::number::parse_int(text)
}

/// Where the reply that begins at `at` ends.
fn end_of(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut left = 1usize;
    while left > 0 {
        left -= 1;
        let (head, next) = line(bytes, at)?;
        at = next;
        let (kind, text) = head.split_first()?;
        match kind {
            b'$' | b'=' | b'!' => {
                if let Ok(len) = usize::try_from(number(text)?) {
                    at = at.checked_add(len)?.checked_add(2)?;
                }
            }
            b'*' | b'~' | b'>' => left += usize::try_from(number(text)?).unwrap_or(0),
            b'%' => left += usize::try_from(number(text)?).unwrap_or(0).checked_mul(2)?,
            _ => {}
        }
        if at > bytes.len() || left > bytes.len() {
            return None;
        }
    }
    Some(at)
}

/// The value of an integer reply.
pub(crate) fn integer(reply: &[u8]) -> Option<i64> {
    let (head, _) = line(reply, 0)?;
    number(head.strip_prefix(b":")?)
}

/// The number of elements of an array reply, and their bytes.
pub(crate) fn array_body(reply: &Bytes) -> Option<(usize, Bytes)> {
    let (head, at) = line(reply, 0)?;
    let count = number(head.strip_prefix(b"*")?)?;
    Some((usize::try_from(count).ok()?, reply.slice(at..)))
}

/// The value of a bulk string reply; `Some(None)` for a null.
pub(crate) fn bulk(reply: &Bytes) -> Option<Option<Bytes>> {
    let (head, at) = line(reply, 0)?;
    match head.split_first()? {
        (b'_', _) => Some(None),
        (b'$', text) => match usize::try_from(number(text)?) {
            Ok(len) if at.checked_add(len)? <= reply.len() => Some(Some(reply.slice(at..at + len))),
            Ok(_) => None,
            Err(_) => Some(None),
        },
        _ => None,
    }
}

/// The elements of an array or set reply, each as a reply.
pub(crate) fn array_items(reply: &Bytes) -> Option<Vec<Bytes>> {
    let (head, mut at) = line(reply, 0)?;
    let (b'*' | b'~', text) = head.split_first()? else {
        return None;
    };
    let count = usize::try_from(number(text)?).ok()?;
    // No element is shorter than three bytes.
    let mut items = Vec::with_capacity(count.min(reply.len() / 3));
    for _ in 0..count {
        let end = end_of(reply, at)?;
        items.push(reply.slice(at..end));
        at = end;
    }
    Some(items)
}

/// The number of elements of an array reply, and how many of them are null.
pub(crate) fn nulls(reply: &[u8]) -> Option<(u64, u64)> {
    let (head, mut at) = line(reply, 0)?;
    let count = u64::try_from(number(head.strip_prefix(b"*")?)?).ok()?;
    let mut nulls = 0;
    for _ in 0..count {
        nulls += u64::from(is_null(&reply[at..]));
        at = end_of(reply, at)?;
    }
    Some((count, nulls))
}

/// Whether a reply is null.
pub(crate) fn is_null(reply: &[u8]) -> bool {
    reply.starts_with(b"$-1") || reply.starts_with(b"_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn b(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn replies_are_taken_apart() {
        assert_eq!(integer(b":-7\r\n"), Some(-7));
        assert_eq!(integer(b"+OK\r\n"), None);
        assert_eq!(bulk(&b("$2\r\nab\r\n")), Some(Some(b("ab"))));
        assert_eq!(bulk(&b("$-1\r\n")), Some(None));
        assert_eq!(bulk(&b("_\r\n")), Some(None));
        assert_eq!(bulk(&b(":1\r\n")), None);
        let items = array_items(&b("*3\r\n$1\r\na\r\n*2\r\n:1\r\n%1\r\n+k\r\n,1.5\r\n_\r\n"));
        let expected = [
            b("$1\r\na\r\n"),
            b("*2\r\n:1\r\n%1\r\n+k\r\n,1.5\r\n"),
            b("_\r\n"),
        ];
        assert_eq!(items.as_deref(), Some(expected.as_slice()));
    }

    #[test]
    fn nulls_are_counted() {
        assert_eq!(nulls(b"*3\r\n$1\r\n_\r\n$-1\r\n_\r\n"), Some((3, 2)));
        assert_eq!(nulls(b"*0\r\n"), Some((0, 0)));
        assert_eq!(nulls(b"*2\r\n$-1\r\n"), None);
        assert_eq!(nulls(b"*99999999999\r\n"), None);
        assert_eq!(nulls(b"$-1\r\n"), None);
    }

    #[test]
    fn malformed_replies_are_none() {
        for reply in [
            "",
            "*",
            "*2\r\n:1\r\n",
            "$5\r\nab\r\n",
            "$99999999999999999999\r\n",
            "*1\r\n$9\r\na\r\n",
            "*9223372036854775807\r\n",
            "*1\r\n%9223372036854775807\r\n",
            ":\r\n",
            "*-1\r\n",
        ] {
            assert_eq!(array_items(&b(reply)), None, "{reply:?}");
        }
        assert_eq!(bulk(&b("$5\r\nab\r\n")), None);
    }
}
