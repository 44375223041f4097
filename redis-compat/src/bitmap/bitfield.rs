//! `BITFIELD`: integers of 1 to 64 bits at any bit of a string.
//!
//! All operations are parsed before the first is done. Arithmetic is in i128, where nothing
//! overflows; a result outside of the field's bounds is then wrapped, saturated or refused. Two
//! oddities of Redis are kept: the value of a SET is taken as a field of the same sign, so that
//! `SET u8 0 -1` is far too large, not below zero; and a signed value near the least i64 counts as
//! too large, too (`bitops.c`, `bitfieldGeneric` and `checkSignedBitfieldOverflow`).

use std::ops::Range;

use bytes::Bytes;

use super::offset::{BIT_OFFSET, check_len, check_offset};
use crate::command::{Command, Part, Topic, command};
use crate::errors::error_lines;
use crate::errors::{NOT_AN_INTEGER, SYNTAX};
use crate::string::{StringChange, UnreadString};
use crate::{
    Args, Classes, CommandError, EvalError, Fault, Flags as F, KeyFlags as K, Reply, Txn, Word,
    Words, number,
};

pub(super) const PART: Part = Part::new(&[BITFIELD, BITFIELD_RO], LINES);

error_lines! {
    /// A `BITFIELD` type that is not `i1`..`i64` or `u1`..`u63`.
    BITFIELD_TYPE = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not \
        supported but i64 is.";
    /// A `BITFIELD` overflow word that is not known.
    BITFIELD_OVERFLOW = "ERR Invalid OVERFLOW type specified";
    /// `BITFIELD_RO` with something other than GET.
    BITFIELD_READ_ONLY = "ERR BITFIELD_RO only supports the GET subcommand";
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64),
    IncrBy(i64),
}

#[derive(Debug, Clone, Copy)]
struct Field {
    signed: bool,
    bits: u32,
    offset: u64,
}

#[derive(Debug, Clone, Copy)]
struct Operation {
    field: Field,
    action: Action,
    overflow: Overflow,
}

const BITFIELD: Command = command(Topic::Bitmap, "bitfield")
    .syntax(
        "key [operation(GET encoding_offset(encoding offset)|write([OVERFLOW \
        wrap_sat_fail(WRAP|SAT|FAIL)] write_operation(SET encoding_offset_value(encoding \
        offset value:integer)|INCRBY encoding_offset_increment(encoding offset \
        increment)))) ...]",
    )
    .flags(F::WRITE_ROOM)
    .keys(&[K::RW_ACCESS_UPDATE
        .with(K::VARIABLE_FLAGS)
        .at(1)
        .notes("This command allows both access and modification of the key")])
    .runs(bitfield)
    .key_flags_of(key_flags)
    .hints("encoding=bit-type offset=field-offset")
    .docs(
        "3.2.0",
        "O(1) for each subcommand specified",
        "Reads and changes integers of any width within a string.",
    );

/// `BITFIELD key [GET type offset | [OVERFLOW WRAP|SAT|FAIL] SET|INCRBY type offset value ...]`: an
/// integer for each operation, null where FAIL refused it.
///
/// The value grows by zero bytes to hold every field written; the expiry is kept. O(1) for each
/// operation; a string of at most 64 KiB that is changed is copied. Errors: `SYNTAX`,
/// `BITFIELD_TYPE`, `BITFIELD_OVERFLOW`, `BIT_OFFSET`, `NOT_AN_INTEGER`, `WRONG_TYPE`.
fn bitfield(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let operations = parse(args)?;
    let key = args.bytes(1);
    let old = txn.unread_string(key)?;
    let Some(len) = operations.iter().filter_map(Operation::bytes_written).max() else {
        return Ok(read_all(txn, key, &operations, old.as_ref())?);
    };
    check_len(txn, len)?;
    let mut change = StringChange::of(txn, key, old)?;
    let len_before = change.len();
    change.grow(len);
    let (reply, changed) = run_all(txn, &operations, &mut change)?;
    // As Redis: the grown value is kept even if every operation was refused.
    if changed || change.len() != len_before {
        change.put(txn)?;
        txn.notify(Classes::STRING, "setbit", key);
    } else if let Some(old) = change.into_old() {
        txn.mark_raw(key, old)?;
    }
    Ok(reply)
}

/// The key is changed unless all operations are GET. Words that make no sense might change it, as
/// Redis has it (`db.c`, `bitfieldGetKeys`).
fn key_flags(args: &[Bytes]) -> K {
    let mut words = Words::new(args.get(2..).unwrap_or_default());
    while let Some(word) = words.next() {
        let used = match word.keyword().as_str() {
            "get" => words.many(2),
            "overflow" => words.many(1),
            _ => None,
        };
        if used.is_none() {
            return K::RW_ACCESS_UPDATE;
        }
    }
    K::RO_ACCESS
}

const BITFIELD_RO: Command = command(Topic::Bitmap, "bitfield_ro")
    .syntax("key [GET encoding_offset(encoding offset)] ...")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(bitfield_ro)
    .hints("encoding=bit-type offset=field-offset")
    .docs(
        "6.0.0",
        "O(1) for each subcommand specified",
        "Reads integers of any width within a string.",
    );

/// `BITFIELD_RO key [GET type offset ...]`: an integer for each. O(1) for each.
///
/// Errors: as [`bitfield`], and `BITFIELD_READ_ONLY`.
fn bitfield_ro(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let operations = parse(args)?;
    if operations
        .iter()
        .any(|operation| operation.action != Action::Get)
    {
        return Err(BITFIELD_READ_ONLY.into());
    }
    let key = args.bytes(1);
    let string = txn.unread_string(key)?;
    Ok(read_all(txn, key, &operations, string.as_ref())?)
}

fn read_all(
    txn: &Txn<'_>,
    key: &Bytes,
    operations: &[Operation],
    string: Option<&UnreadString>,
) -> Result<Reply, Fault> {
    let mut replies = Vec::with_capacity(operations.len());
    for operation in operations {
        let (range, field) = operation.field.placed();
        let bytes = string.map(|string| string.read(txn, key, range));
        let bytes = bytes.transpose()?.unwrap_or_default();
        replies.push(integer(field.read(&bytes)));
    }
    Ok(Reply::Array(replies))
}

fn run_all(
    txn: &Txn<'_>,
    operations: &[Operation],
    change: &mut StringChange<'_>,
) -> Result<(Reply, bool), Fault> {
    let (mut replies, mut changed) = (Vec::with_capacity(operations.len()), false);
    for operation in operations {
        let (range, field) = operation.field.placed();
        let at = range.start;
        let mut bytes = change.read(txn, range)?;
        let mut changes = false;
        let placed = Operation {
            field,
            ..*operation
        };
        replies.push(placed.run(&mut bytes, &mut changes));
        if changes {
            change.write(txn, at, &bytes)?;
        }
        changed |= changes;
    }
    Ok((Reply::Array(replies), changed))
}

impl Operation {
    /// How long the value must be for a write.
    fn bytes_written(&self) -> Option<usize> {
        let last = self.field.offset + u64::from(self.field.bits) - 1;
        (self.action != Action::Get).then_some((last >> 3) as usize + 1)
    }

    fn run(&self, value: &mut [u8], changed: &mut bool) -> Reply {
        let old = self.field.read(value);
        let exact = match self.action {
            Action::Get => return integer(old),
            Action::Set(new) if self.field.signed => self.field.as_redis_compares(new),
            Action::Set(new) => i128::from(new as u64),
            Action::IncrBy(by) => old + i128::from(by),
        };
        let Some(new) = self.field.fit(exact, self.overflow) else {
            return Reply::Null;
        };
        self.field.write(value, new);
        *changed |= new != old;
        integer(if matches!(self.action, Action::Set(_)) {
            old
        } else {
            new
        })
    }
}

fn integer(value: i128) -> Reply {
    // Fields have at most 64 bits with sign or 63 without.
    Reply::Integer(value as i64)
}

impl Field {
    /// The bytes in which it lies, and the same field seen from the first of them.
    fn placed(self) -> (Range<usize>, Self) {
        let end = self.offset + u64::from(self.bits);
        let first = self.offset >> 3;
        let range = first as usize..end.div_ceil(8) as usize;
        let offset = self.offset & 7;
        (range, Self { offset, ..self })
    }

    fn bounds(self) -> (i128, i128) {
        let bits = self.bits - u32::from(self.signed);
        (if self.signed { -(1 << bits) } else { 0 }, (1 << bits) - 1)
    }

    /// A value to be set in a signed field. Redis subtracts it from the field's maximum, and where
    /// that overflows takes it for too large, not too small.
    fn as_redis_compares(self, new: i64) -> i128 {
        let (_, max) = self.bounds();
        let overflows = max - i128::from(new) > i64::MAX.into();
        if self.bits < 64 && overflows {
            i128::from(new) + (1 << 64)
        } else {
            new.into()
        }
    }

    /// The value as the field holds it, by the overflow rule.
    fn fit(self, exact: i128, overflow: Overflow) -> Option<i128> {
        let (min, max) = self.bounds();
        if (min..=max).contains(&exact) {
            return Some(exact);
        }
        match overflow {
            Overflow::Fail => None,
            Overflow::Saturate => Some(exact.clamp(min, max)),
            Overflow::Wrap => Some(self.number_of(exact as u64)),
        }
    }

    /// The number that the lowest bits of `raw` are in this field.
    fn number_of(self, raw: u64) -> i128 {
        let unused = 64 - self.bits;
        if self.signed {
            ((raw << unused) as i64 >> unused).into()
        } else {
            (raw << unused >> unused).into()
        }
    }

    fn read(self, value: &[u8]) -> i128 {
        let raw = (self.offset..self.offset + u64::from(self.bits)).fold(0, |raw, at| {
            let byte = value.get((at >> 3) as usize).copied().unwrap_or(0);
            (raw << 1) | u64::from(byte >> (7 - (at & 7)) & 1)
        });
        self.number_of(raw)
    }

    fn write(self, value: &mut [u8], new: i128) {
        for (at, shift) in (self.offset..).zip((0..self.bits).rev()) {
            let byte = &mut value[(at >> 3) as usize];
            let mask = 1 << (7 - (at & 7));
            *byte = if new >> shift & 1 == 1 {
                *byte | mask
            } else {
                *byte & !mask
            };
        }
    }
}

fn parse(args: &Args<'_>) -> Result<Vec<Operation>, CommandError> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut words = args.options(2);
    while let Some(word) = words.next() {
        let int = |word: &Bytes| number::parse_int(word).ok_or(NOT_AN_INTEGER);
        let (field, action) = match word.keyword().as_str() {
            "overflow" => {
                overflow = parse_overflow(words.value()?)?;
                continue;
            }
            "get" => {
                let [kind, offset] = words.values()?;
                (parse_field(kind, offset)?, Action::Get)
            }
            "set" => {
                let [kind, offset, value] = words.values()?;
                (parse_field(kind, offset)?, Action::Set(int(value)?))
            }
            "incrby" => {
                let [kind, offset, by] = words.values()?;
                (parse_field(kind, offset)?, Action::IncrBy(int(by)?))
            }
            _ => return Err(SYNTAX),
        };
        operations.push(Operation {
            field,
            action,
            overflow,
        });
    }
    Ok(operations)
}

fn parse_overflow(word: &Bytes) -> Result<Overflow, CommandError> {
    match Word(word).keyword().as_str() {
        "wrap" => Ok(Overflow::Wrap),
        "sat" => Ok(Overflow::Saturate),
        "fail" => Ok(Overflow::Fail),
        _ => Err(BITFIELD_OVERFLOW),
    }
}

/// A type like `i16` or `u63`, and an offset in bits, or in fields after `#`.
fn parse_field(kind: &Bytes, offset: &Bytes) -> Result<Field, CommandError> {
    let (signed, bits) = match kind.as_ref() {
        [b'i', bits @ ..] => (true, bits),
        [b'u', bits @ ..] => (false, bits),
        _ => return Err(BITFIELD_TYPE),
    };
    let max = if signed { 64 } else { 63 };
    let bits = match number::parse_int(bits) {
        Some(bits @ 1..) if bits <= max => bits as u32,
        _ => return Err(BITFIELD_TYPE),
    };
    let offset = match offset.as_ref() {
        [b'#', index @ ..] => {
            number::parse_int(index).and_then(|index| index.checked_mul(bits.into()))
        }
        offset => number::parse_int(offset),
    };
    let offset = offset.and_then(check_offset).ok_or(BIT_OFFSET)?;
    Ok(Field {
        signed,
        bits,
        offset,
    })
}
