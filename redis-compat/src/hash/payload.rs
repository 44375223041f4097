//! Hashes as RDB files hold them: packed while they are small, else field by field.
//!
//! ```text
//! type 4      the number of fields, then fields and values as strings
//! type 9      a string that is a zipmap; read only, of Redis before 2.6
//! type 13     a string that is a ziplist of fields and values; read only, of Redis before 7.0
//! type 16     a string that is a listpack of fields and values
//! type 24     8 bytes with the lowest deadline, little endian; the number of fields; of each: its
//!             deadline as a length, less the lowest, plus 1, or 0 if it has none; field and value
//! type 25     8 bytes as of type 24; a string that is a listpack of fields, values and deadlines,
//!             0 if there is none, in the order of deadlines, those without behind the others
//! 22, 23      as 24 and 25 without the lowest deadline, which stands for 1 in 22; read only, of
//!             candidates of Redis 7.4
//! ```
//!
//! Types 24 and 25 are those of Redis since 7.4, for hashes whose fields have deadlines.
//!
//! Source: Redis `rdb.c`, `rdbSaveObject` and `rdbLoadObject`.

use bytes::{Buf, BufMut, Bytes};
use coterie_types::UnixMillis;

use super::Hash;
use crate::errors::COLLECTION_TOO_LARGE;
use crate::rdb::{self, listpack, ziplist, zipmap};
use crate::txn::members::Member;
use crate::txn::spread::COPY_BYTES_MAX;
use crate::{Encoding, EvalError, Txn, number};

const TYPE_HASH: u8 = 4;
const TYPE_ZIPMAP: u8 = 9;
const TYPE_ZIPLIST: u8 = 13;
const TYPE_LISTPACK: u8 = 16;
const TYPE_DEADLINES_ABSOLUTE: u8 = 22;
const TYPE_DEADLINES: u8 = 24;
const TYPE_LISTPACK_DEADLINES: u8 = 25;

/// Redis knows no later deadline.
const DEADLINE_MAX: u64 = (1 << 48) - 1;

/// Whether a value of this RDB type is a hash.
pub(crate) fn is_payload(of: u8) -> bool {
    let with_deadlines = TYPE_DEADLINES_ABSOLUTE..=TYPE_LISTPACK_DEADLINES;
    let plain = [TYPE_HASH, TYPE_ZIPMAP, TYPE_ZIPLIST, TYPE_LISTPACK];
    plain.contains(&of) || with_deadlines.contains(&of)
}

/// Whether a value of this RDB type is a hash whose fields have deadlines.
pub(crate) fn has_deadlines(of: u8) -> bool {
    matches!(of, TYPE_DEADLINES | TYPE_LISTPACK_DEADLINES)
}

/// Appends the type and the value of a hash. Errors: `ReplyTooLong`.
pub(crate) fn put_payload(
    out: &mut Vec<u8>,
    txn: &mut Txn<'_>,
    hash: &Hash,
) -> Result<(), EvalError> {
    let mut fields = Vec::new();
    hash.0.each(txn, &mut |txn, field| {
        txn.take_reply_room(field.name.len() + field.value.len())?;
        fields.push(field);
        Ok(true)
    })?;
    let is_packed = hash.encoding() == Encoding::Listpack;
    if let Some(lowest) = fields.iter().filter_map(|field| field.deadline).min() {
        put_with_deadlines(out, fields, lowest, is_packed);
        return Ok(());
    }
    let strings = || {
        fields
            .iter()
            .flat_map(|Member { name, value, .. }| [name, value])
    };
    if is_packed && let Some(packed) = listpack::pack(strings()) {
        out.push(TYPE_LISTPACK);
        rdb::put_string(out, &packed);
        return Ok(());
    }
    out.push(TYPE_HASH);
    rdb::put_len(out, fields.len());
    strings().for_each(|string| rdb::put_string(out, string));
    Ok(())
}

fn put_with_deadlines(
    out: &mut Vec<u8>,
    mut fields: Vec<Member>,
    lowest: UnixMillis,
    is_packed: bool,
) {
    if is_packed {
        fields.sort_by_key(|field| field.deadline.map_or(u64::MAX, |at| at.0));
        let strings: Vec<_> = fields
            .iter()
            .flat_map(
                |Member {
                     name,
                     value,
                     deadline,
                 }| {
                    let deadline = deadline.map_or(0, |at| at.0 as i64);
                    [name.clone(), value.clone(), number::format_int(deadline)]
                },
            )
            .collect();
        if let Some(packed) = listpack::pack(strings.iter()) {
            out.push(TYPE_LISTPACK_DEADLINES);
            out.put_u64_le(lowest.0);
            rdb::put_string(out, &packed);
            return;
        }
    }
    out.push(TYPE_DEADLINES);
    out.put_u64_le(lowest.0);
    rdb::put_len(out, fields.len());
    for Member {
        name,
        value,
        deadline,
    } in &fields
    {
        rdb::put_len(out, deadline.map_or(0, |at| at.0 - lowest.0 + 1) as usize);
        rdb::put_string(out, name);
        rdb::put_string(out, value);
    }
}

/// Takes a hash of this type off the front of `input`; `None` if it is none. Errors:
/// `COLLECTION_TOO_LARGE`, `STRING_TOO_LONG`.
pub(crate) fn take_payload(
    of: u8,
    input: &mut Bytes,
    txn: &mut Txn<'_>,
) -> Result<Option<Hash>, EvalError> {
    let mut hash = Hash::default();
    let lowest = match of {
        TYPE_DEADLINES | TYPE_LISTPACK_DEADLINES => input.try_get_u64_le().ok(),
        _ => Some(1),
    };
    let Some(lowest) = lowest else {
        return Ok(None);
    };
    let is_whole = match of {
        TYPE_HASH => take_table(input, txn, &mut hash, None)?,
        TYPE_DEADLINES | TYPE_DEADLINES_ABSOLUTE => {
            take_table(input, txn, &mut hash, Some(lowest))?
        }
        TYPE_ZIPMAP => {
            let strings = rdb::take_string(input, COPY_BYTES_MAX).and_then(zipmap::unpack);
            take_packed(strings, txn, &mut hash, 2)?
        }
        TYPE_ZIPLIST => {
            let strings = rdb::take_string(input, COPY_BYTES_MAX).and_then(ziplist::unpack);
            take_packed(strings, txn, &mut hash, 2)?
        }
        _ => {
            let words_each = if of == TYPE_LISTPACK { 2 } else { 3 };
            let strings = rdb::take_string(input, COPY_BYTES_MAX).and_then(listpack::unpack);
            take_packed(strings, txn, &mut hash, words_each)?
        }
    };
    // Redis knows no empty hash.
    Ok((is_whole && hash.0.stored_len() > 0).then_some(hash))
}

/// The deadline that a number of a payload stands for; `Err` if it stands for none that can be.
fn deadline(number: u64, lowest: u64) -> Result<Option<UnixMillis>, ()> {
    if number == 0 {
        return Ok(None);
    }
    let at = lowest
        .checked_add(number - 1)
        .filter(|at| *at > 0 && *at <= DEADLINE_MAX);
    at.map(|at| Some(UnixMillis(at))).ok_or(())
}

/// Returns whether each field is whole and new. With a lowest deadline each has one before it.
fn take_table(
    input: &mut Bytes,
    txn: &mut Txn<'_>,
    hash: &mut Hash,
    lowest: Option<u64>,
) -> Result<bool, EvalError> {
    let Some(count) = rdb::take_len(input) else {
        return Ok(false);
    };
    hash.expect_fields(count);
    let (mut room, max) = (COPY_BYTES_MAX, txn.value_bytes_max());
    for _ in 0..count {
        let until = match lowest {
            None => Ok(None),
            Some(lowest) => match rdb::take_len(input) {
                Some(number) => deadline(number as u64, lowest),
                None => Err(()),
            },
        };
        let field = rdb::take_string(input, max);
        let pair = field.zip(rdb::take_string(input, max));
        let (Ok(until), Some((field, value))) = (until, pair) else {
            return Ok(false);
        };
        let taken = field.len() + value.len();
        room = room.checked_sub(taken).ok_or(COLLECTION_TOO_LARGE)?;
        if !hash.set_until(txn, &field, &value, until)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns whether these are fields and values, and deadlines if there are three words for each,
/// and each field is new.
fn take_packed(
    strings: Option<Vec<Bytes>>,
    txn: &mut Txn<'_>,
    hash: &mut Hash,
    words_each: usize,
) -> Result<bool, EvalError> {
    let strings = strings.unwrap_or_default();
    let fields = strings.chunks_exact(words_each);
    if !fields.remainder().is_empty() {
        return Ok(false);
    }
    for field in fields {
        let number = match field.get(2) {
            None => Some(0),
            Some(word) => number::parse_int(word).and_then(|number| u64::try_from(number).ok()),
        };
        let Some(Ok(until)) = number.map(|number| deadline(number, 1)) else {
            return Ok(false);
        };
        if !hash.set_packed(txn, &field[0], &field[1], until)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemView;
    use crate::txn::tests::ctx;

    /// The fields, values and deadlines of a payload; `None` if it is none.
    fn taken(of: u8, body: &[u8]) -> Option<Vec<(Bytes, Bytes, Option<u64>)>> {
        let view = MemView::new();
        let mut txn = Txn::new(&view, ctx(1));
        let mut input = Bytes::copy_from_slice(body);
        let hash = take_payload(of, &mut input, &mut txn).unwrap()?;
        let mut fields = Vec::new();
        let mut visit = |_: &mut Txn<'_>, field: Member| {
            fields.push((field.name, field.value, field.deadline.map(|at| at.0)));
            Ok(true)
        };
        hash.0.each(&mut txn, &mut visit).unwrap();
        Some(fields)
    }

    fn expected(deadlines: [Option<u64>; 2]) -> Option<Vec<(Bytes, Bytes, Option<u64>)>> {
        let [first, second] = deadlines;
        Some(vec![
            ("f".into(), "v".into(), first),
            ("n".into(), "12".into(), second),
        ])
    }

    #[test]
    fn deadlines_are_read_in_the_forms_of_redis() {
        let lowest = 5000u64.to_le_bytes();
        let table = |first: &[u8], second: &[u8]| {
            [&b"\x02"[..], first, b"\x01f\x01v", second, b"\x01n\xc0\x0c"].concat()
        };
        // The lowest, and 64 after it.
        let relative = [&lowest[..], &table(b"\x01", b"\x40\x41")].concat();
        assert_eq!(taken(24, &relative), expected([Some(5000), Some(5064)]));
        let without = [&lowest[..], &table(b"\x00", b"\x01")].concat();
        assert_eq!(taken(24, &without), expected([None, Some(5000)]));
        let absolute = table(b"\x40\x41", b"\x00");
        assert_eq!(taken(22, &absolute), expected([Some(65), None]));
        let words = ["f", "v", "5000", "n", "12", "0"].map(Bytes::from);
        let mut packed = Vec::new();
        rdb::put_string(&mut packed, &listpack::pack(words.iter()).unwrap());
        assert_eq!(taken(23, &packed), expected([Some(5000), None]));
        let packed = [&lowest[..], &packed].concat();
        assert_eq!(taken(25, &packed), expected([Some(5000), None]));
        for len in 0..relative.len() {
            assert_eq!(taken(24, &relative[..len]), None, "{len}");
        }
        for len in 0..packed.len() {
            assert_eq!(taken(25, &packed[..len]), None, "{len}");
        }
        let late = [&(1u64 << 48).to_le_bytes()[..], &table(b"\x01", b"\x00")].concat();
        assert_eq!(taken(24, &late), None, "after the last deadline");
    }

    #[test]
    fn ziplists_are_read() {
        let mut body = Vec::new();
        let elements = b"\x00\x01f\x03\x01v\x03\x01n\x03\xfe\x0c\xff";
        let mut packed = Vec::new();
        packed.put_u32_le(10 + elements.len() as u32);
        packed.put_u32_le(10 + 9);
        packed.put_u16_le(4);
        packed.put_slice(elements);
        rdb::put_string(&mut body, &packed);
        assert_eq!(taken(13, &body), expected([None, None]));
    }

    #[test]
    fn zipmaps_are_read() {
        let mut body = Vec::new();
        rdb::put_string(&mut body, b"\x02\x01f\x01\x00v\x01n\x02\x0112x\xff");
        assert_eq!(taken(9, &body), expected([None, None]));
        let mut twice = Vec::new();
        rdb::put_string(&mut twice, b"\x02\x01f\x01\x00v\x01f\x01\x00v\xff");
        assert_eq!(taken(9, &twice), None, "a field twice");
    }

    #[test]
    fn payloads_with_deadlines_survive_the_round_trip() {
        for long in [false, true] {
            let view = MemView::new();
            let mut txn = Txn::new(&view, ctx(1));
            let mut hash = Hash::default();
            let value = Bytes::from(vec![b'v'; if long { 100 } else { 1 }]);
            for number in 0..300u64 {
                let deadline = (number % 3 > 0).then_some(UnixMillis(1000 + number));
                let field = Bytes::from(format!("f{number}"));
                hash.set_until(&mut txn, &field, &value, deadline).unwrap();
            }
            let mut payload = Vec::new();
            put_payload(&mut payload, &mut txn, &hash).unwrap();
            assert_eq!(payload[0], if long { 24 } else { 25 });
            assert!(has_deadlines(payload[0]));
            let fields = taken(payload[0], &payload[1..]).unwrap();
            assert_eq!(fields.len(), 300);
            for (field, found, deadline) in fields {
                let cell = hash.0.get(&mut txn, &field).unwrap().unwrap();
                assert_eq!(
                    (found, deadline),
                    (cell.value, cell.deadline.map(|at| at.0))
                );
            }
        }
    }
}
