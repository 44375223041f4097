//! Sets as RDB files hold them: integers in order, or members as strings.
//!
//! ```text
//! type 2      the number of members, then members as strings
//! type 11     a string: bytes of an integer, number of integers (4 bytes each), and the integers
//!             in order; all little endian
//! type 20     a string that is a listpack of members
//! ```
//!
//! Redis writes type 20 since 7.2. Coterie writes types 2 and 11, which all read.
//!
//! Source: Redis `rdb.c`, `rdbSaveObject` and `rdbLoadObject`, and `intset.c`.

use bytes::{Buf, BufMut, Bytes};

use super::Set;
use crate::errors::COLLECTION_TOO_LARGE;
use crate::rdb::{self, listpack};
use crate::txn::spread::COPY_BYTES_MAX;
use crate::{Encoding, EvalError, Txn, number};

const TYPE_SET: u8 = 2;
const TYPE_SET_INTSET: u8 = 11;
const TYPE_SET_LISTPACK: u8 = 20;

/// Whether a value of this RDB type is a set.
pub(crate) fn is_payload(of: u8) -> bool {
    matches!(of, TYPE_SET | TYPE_SET_INTSET | TYPE_SET_LISTPACK)
}

/// Appends the type and the value of a set. Errors: `ReplyTooLong`.
pub(crate) fn put_payload(
    out: &mut Vec<u8>,
    txn: &mut Txn<'_>,
    set: &Set,
) -> Result<(), EvalError> {
    let members = set.for_reply(txn)?;
    let integers: Option<Vec<i64>> = match set.encoding() {
        Encoding::Intset => members
            .iter()
            .map(|member| number::parse_int(member))
            .collect(),
        _ => None,
    };
    if let Some(integers) = integers {
        out.push(TYPE_SET_INTSET);
        rdb::put_string(out, &put_intset(&integers));
        return Ok(());
    }
    out.push(TYPE_SET);
    rdb::put_len(out, members.len());
    for member in &members {
        rdb::put_string(out, member);
    }
    Ok(())
}

/// These integers, which are sorted, in the least width that holds them all.
fn put_intset(integers: &[i64]) -> Vec<u8> {
    let fits = |min: i64, max: i64| integers.iter().all(|integer| (min..=max).contains(integer));
    let width = if fits(i16::MIN.into(), i16::MAX.into()) {
        2
    } else if fits(i32::MIN.into(), i32::MAX.into()) {
        4
    } else {
        8
    };
    let mut out = Vec::with_capacity(8 + width * integers.len());
    out.put_u32_le(width as u32);
    out.put_u32_le(integers.len() as u32);
    for integer in integers {
        out.put_int_le(*integer, width);
    }
    out
}

/// Takes a set of this type off the front of `input`; `None` if it is none. Errors:
/// `COLLECTION_TOO_LARGE`, `STRING_TOO_LONG`.
pub(crate) fn take_payload(
    of: u8,
    input: &mut Bytes,
    txn: &mut Txn<'_>,
) -> Result<Option<Set>, EvalError> {
    let mut set = Set::default();
    let is_whole = match of {
        TYPE_SET => take_members(input, txn, &mut set)?,
        TYPE_SET_INTSET => match take_intset(input) {
            Some(members) => {
                set.expect(&members[0], members.len());
                add_all(txn, &mut set, members, Set::add)?
            }
            None => false,
        },
        TYPE_SET_LISTPACK => {
            match rdb::take_string(input, COPY_BYTES_MAX).and_then(listpack::unpack) {
                Some(members) => add_all(txn, &mut set, members, Set::add_packed)?,
                None => false,
            }
        }
        _ => false,
    };
    // Redis knows no empty set.
    Ok((is_whole && set.0.stored_len() > 0).then_some(set))
}

type Add = fn(&mut Set, &mut Txn<'_>, &Bytes) -> Result<bool, EvalError>;

/// Adds members; returns whether each is new.
fn add_all(
    txn: &mut Txn<'_>,
    set: &mut Set,
    members: Vec<Bytes>,
    add: Add,
) -> Result<bool, EvalError> {
    for member in members {
        if !add(set, txn, &member)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn take_members(input: &mut Bytes, txn: &mut Txn<'_>, set: &mut Set) -> Result<bool, EvalError> {
    let Some(count) = rdb::take_len(input) else {
        return Ok(false);
    };
    if count > super::value::INTSET_MEMBERS_MAX as usize {
        set.0.make_hashtable();
    }
    let mut room = COPY_BYTES_MAX;
    for _ in 0..count {
        let Some(member) = rdb::take_string(input, txn.value_bytes_max()) else {
            return Ok(false);
        };
        room = room.checked_sub(member.len()).ok_or(COLLECTION_TOO_LARGE)?;
        if !set.add(txn, &member)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn take_intset(input: &mut Bytes) -> Option<Vec<Bytes>> {
    let mut packed = rdb::take_string(input, COPY_BYTES_MAX)?;
    let width = packed.try_get_u32_le().ok()?;
    let count = usize::try_from(packed.try_get_u32_le().ok()?).ok()?;
    let width = [2, 4, 8]
        .into_iter()
        .find(|known| *known == width as usize)?;
    if count == 0 || count.checked_mul(width)? != packed.len() {
        return None;
    }
    let integers: Vec<_> = (0..count).map(|_| packed.get_int_le(width)).collect();
    let is_sorted = integers.is_sorted_by(|a, b| a < b);
    is_sorted.then(|| integers.into_iter().map(number::format_int).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemView;
    use crate::txn::tests::ctx;

    /// The members of a payload and how they are kept; `None` if it is none.
    fn taken(of: u8, body: &[u8]) -> Option<(Vec<Bytes>, Encoding)> {
        let view = MemView::new();
        let mut txn = Txn::new(&view, ctx(1));
        let mut input = Bytes::copy_from_slice(body);
        let set = take_payload(of, &mut input, &mut txn).unwrap()?;
        Some((set.for_reply(&mut txn).unwrap(), set.encoding()))
    }

    fn intset(body: &[u8]) -> Option<(Vec<Bytes>, Encoding)> {
        let mut packed = Vec::new();
        rdb::put_string(&mut packed, body);
        taken(TYPE_SET_INTSET, &packed)
    }

    #[test]
    fn integers_have_the_least_width_that_holds_them_all() {
        assert_eq!(put_intset(&[-1, 7]), b"\x02\0\0\0\x02\0\0\0\xff\xff\x07\0");
        assert_eq!(put_intset(&[40_000]), b"\x04\0\0\0\x01\0\0\0\x40\x9c\0\0");
        assert_eq!(
            put_intset(&[1 << 40]),
            b"\x08\0\0\0\x01\0\0\0\0\0\0\0\0\x01\0\0"
        );
    }

    #[test]
    fn sets_of_integers_are_read_and_no_others() {
        let good = put_intset(&[-5, 3, 70_000]);
        let members = ["-5", "3", "70000"].map(Bytes::from).to_vec();
        assert_eq!(intset(&good), Some((members, Encoding::Intset)));
        for len in 0..good.len() {
            assert_eq!(intset(&good[..len]), None, "{len}");
        }
        assert_eq!(intset(&put_intset(&[3, -5])), None, "not in order");
        assert_eq!(intset(&put_intset(&[3, 3])), None, "the same twice");
        assert_eq!(intset(&put_intset(&[])), None, "empty");
        assert_eq!(intset(b"\x03\0\0\0\x01\0\0\0\0\0\0"), None, "a width of 3");
        let many: Vec<_> = (0..513).collect();
        let (members, encoding) = intset(&put_intset(&many)).unwrap();
        assert_eq!((members.len(), encoding), (513, Encoding::Hashtable));
    }

    #[test]
    fn packed_sets_of_redis_7_2_are_read() {
        let packed = |words: &[Bytes]| {
            let mut packed = Vec::new();
            rdb::put_string(&mut packed, &listpack::pack(words.iter()).unwrap());
            taken(TYPE_SET_LISTPACK, &packed)
        };
        let words = ["a", "12", "b"].map(Bytes::from);
        let listpack = Some((words.to_vec(), Encoding::Listpack));
        assert_eq!(packed(&words), listpack);
        assert_eq!(packed(&["a", "a"].map(Bytes::from)), None, "the same twice");
        assert_eq!(packed(&[]), None, "empty");
        let many: Vec<_> = (0..129).map(|n| Bytes::from(format!("m{n}"))).collect();
        let (members, encoding) = packed(&many).unwrap();
        assert_eq!((members.len(), encoding), (129, Encoding::Hashtable));
    }

    #[test]
    fn members_as_strings_are_read() {
        let body = b"\x03\x01a\xc0\x0c\x00";
        let members = ["a", "12", ""].map(Bytes::from).to_vec();
        assert_eq!(taken(TYPE_SET, body), Some((members, Encoding::Listpack)));
        for len in 0..body.len() {
            assert_eq!(taken(TYPE_SET, &body[..len]), None, "{len}");
        }
        assert_eq!(taken(TYPE_SET, b"\x02\x01a\x01a"), None, "the same twice");
    }
}
