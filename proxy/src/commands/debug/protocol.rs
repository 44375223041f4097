//! `DEBUG PROTOCOL type`: a reply of each type, for tests of clients (Redis `debug.c`).

use bytes::Bytes;
use coterie_redis_compat::{CommandError, Reply, Resp};

const ATTRIBUTE: &[u8] = b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n\
    $39\r\nSome real reply following the attribute\r\n";
const PUSH: &[u8] = b">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n\
    $40\r\nSome real reply following the push reply\r\n";

/// A reply of this type.
pub(super) fn of_type(name: &[u8], resp: Resp) -> Result<Reply, CommandError> {
    let numbers = || (0..3).map(Reply::Integer).collect();
    Ok(match name.to_ascii_lowercase().as_slice() {
        b"string" => Reply::text("Hello World"),
        b"integer" => Reply::Integer(12345),
        // The number that Redis answers.
        b"double" => Reply::Double(3141.0 / 1000.0),
        b"bignum" => Reply::BigNumber(Bytes::from_static(b"1234567999999999999999999999999999999")),
        b"null" => Reply::Null,
        b"array" => Reply::Array(numbers()),
        b"set" => Reply::Set(numbers()),
        b"map" => {
            let pairs = (0..3).map(|number| (Reply::Integer(number), Reply::Boolean(number == 1)));
            Reply::Map(pairs.collect())
        }
        b"attrib" if resp == Resp::V3 => Reply::Raw(Bytes::from_static(ATTRIBUTE)),
        b"attrib" => Reply::text("Some real reply following the attribute"),
        b"push" if resp == Resp::V3 => Reply::Raw(Bytes::from_static(PUSH)),
        b"push" => {
            let reason = "ERR RESP2 is not supported by this command";
            return Err(CommandError::Fixed(reason));
        }
        b"true" => Reply::Boolean(true),
        b"false" => Reply::Boolean(false),
        b"verbatim" => super::super::verbatim("This is a verbatim\nstring"),
        _ => {
            return Err(CommandError::Fixed(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    })
}
