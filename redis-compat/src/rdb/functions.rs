//! The payload of `FUNCTION DUMP`: libraries as an RDB file holds them.
//!
//! ```text
//! per library: 245, the code as a string    version: u16 le    checksum: u64 le
//! ```
//!
//! Source: Redis `functions.c`, `functionDumpCommand` and `functionRestoreCommand`.

use bytes::{Buf, BufMut, Bytes};

use super::{crc64, put_string, take_string};
use crate::CommandError;
use crate::errors::{BAD_DUMP, NO_FUNCTION_IN_PAYLOAD, OLD_FUNCTION_IN_PAYLOAD};

/// A library.
const FUNCTION: u8 = 245;
/// A library as release candidates of Redis 7.0 had it.
const OLD_FUNCTION: u8 = 246;
/// The version that is written: every Redis since 7.0 restores it.
const VERSION: u16 = 10;
/// The newest version that is read.
const VERSION_MAX: u16 = 13;
const FOOTER_BYTES: usize = 10;
/// Bytes of a library's code, at most.
const CODE_BYTES_MAX: usize = 64 << 20;

/// The payload of libraries with this code.
#[must_use]
pub fn functions_payload<'a>(libraries: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut payload = Vec::new();
    for code in libraries {
        payload.put_u8(FUNCTION);
        put_string(&mut payload, code);
    }
    payload.put_u16_le(VERSION);
    payload.put_u64_le(crc64(&payload));
    Bytes::from(payload)
}

/// The code of the libraries of a payload. Errors: `BAD_DUMP`, `NO_FUNCTION_IN_PAYLOAD`,
/// `OLD_FUNCTION_IN_PAYLOAD`.
pub fn functions_of_payload(payload: &Bytes) -> Result<Vec<Bytes>, CommandError> {
    let body = payload.len().checked_sub(FOOTER_BYTES).ok_or(BAD_DUMP)?;
    let mut footer = payload.slice(body..);
    let (version, sum) = (footer.get_u16_le(), footer.get_u64_le());
    if version > VERSION_MAX || sum != crc64(&payload[..body + 2]) {
        return Err(BAD_DUMP);
    }
    let mut rest = payload.slice(..body);
    let mut libraries = Vec::new();
    while let Ok(kind) = rest.try_get_u8() {
        match kind {
            FUNCTION => {}
            OLD_FUNCTION => return Err(OLD_FUNCTION_IN_PAYLOAD),
            _ => return Err(NO_FUNCTION_IN_PAYLOAD),
        }
        let code = take_string(&mut rest, CODE_BYTES_MAX);
        libraries.push(code.ok_or(BAD_DUMP)?);
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_survive_the_round_trip_and_damage_is_refused() {
        let codes = [
            Bytes::from_static(b"#!lua name=a\nreturn 1"),
            Bytes::from(vec![b'x'; 5000]),
        ];
        let payload = functions_payload(codes.iter());
        assert_eq!(functions_of_payload(&payload).unwrap(), codes);
        let none = functions_payload([].into_iter());
        assert_eq!(functions_of_payload(&none).unwrap(), Vec::<Bytes>::new());
        for at in 0..payload.len() {
            let mut bad = payload.to_vec();
            bad[at] ^= 1;
            assert!(functions_of_payload(&Bytes::from(bad)).is_err(), "{at}");
            assert!(functions_of_payload(&payload.slice(..at)).is_err(), "{at}");
        }
    }

    #[test]
    fn a_payload_of_redis_is_read() {
        // FUNCTION DUMP of Redis 7.0.15 with a library.
        let payload = b"\xf5@I#!lua name=mylib\nredis.register_function(\"f\", function(k,a) return 1 end)\n\x00\x88Xqyj\xe3\xae\xcb";
        let codes = functions_of_payload(&Bytes::from_static(payload)).unwrap();
        let code = "#!lua name=mylib\nredis.register_function(\"f\", function(k,a) return 1 end)";
        assert_eq!(codes, [code]);
        assert_eq!(functions_payload(codes.iter()), &payload[..]);
    }
}
