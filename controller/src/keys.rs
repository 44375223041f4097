//! Keys as text, on a command line and in the cluster's settings.

use bytes::Bytes;

/// Parses keys that split a table. The result is sorted, without duplicates and without the empty
/// key.
pub(crate) fn parse_keys<'a>(keys: impl Iterator<Item = &'a str>) -> Result<Vec<Bytes>, String> {
    let mut parsed = Vec::new();
    for text in keys {
        let key = parse_key(text)?;
        if key.is_empty() {
            return Err("a table is not split at the empty key".to_owned());
        }
        parsed.push(key);
    }
    parsed.sort();
    parsed.dedup();
    Ok(parsed)
}

fn parse_key(text: &str) -> Result<Bytes, String> {
    let mut key = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x") {
        key.extend_from_slice(before.as_bytes());
        let byte = after
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        key.push(byte.ok_or_else(|| format!("`{text}`: two hex digits follow `\\x`"))?);
        rest = &after[2..];
    }
    key.extend_from_slice(rest.as_bytes());
    Ok(Bytes::from(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_bytes_may_be_written() {
        let keys = parse_keys(["m", "g\\x00\\xff!", "m"].into_iter()).unwrap();
        assert_eq!(keys, [&b"g\x00\xff!"[..], b"m"]);
        for bad in ["", "\\x", "\\x0", "\\xzz", "a\\x€"] {
            assert!(parse_keys([bad].into_iter()).is_err(), "{bad}");
        }
    }
}
