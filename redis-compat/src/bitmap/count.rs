//! Counting and finding bits.

use std::ops::Range;

use bytes::Bytes;

use crate::command::{Command, Part, Topic, command};
use crate::errors::SYNTAX;
use crate::errors::error_lines;
use crate::string::{UnreadString, clamp};
use crate::{Args, CommandError, EvalError, Fault, Flags as F, KeyFlags as K, Reply, Txn, Word};

pub(super) const PART: Part = Part::new(&[BITCOUNT, BITPOS], LINES);

error_lines! {
    /// `BITPOS` for a bit that is neither 0 nor 1.
    BIT_ARGUMENT = "ERR The bit argument must be 1 or 0.";
}

const BITCOUNT: Command = command(Topic::Bitmap, "bitcount")
    .syntax("key [index(start end [index_unit(BYTE|BIT)])]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(bitcount)
    .docs("2.6.0", "O(N)", "Counts the bits that are set.");

/// `BITCOUNT key [start end [BYTE | BIT]]`: how many bits are set. O(length of the range).
///
/// Errors: `WRONG_TYPE`, `NOT_AN_INTEGER`, `SYNTAX`; an absent key is 0 whatever the rest says.
/// Source: Redis `bitops.c`, `bitcountCommand`.
fn bitcount(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let Some(string) = txn.unread_string(key)? else {
        return Ok(Reply::Integer(0));
    };
    let bits = match args.len() {
        2 => 0..string.len() as u64 * 8,
        4 | 5 => {
            let (start, end) = (args.int(2)?, args.int(3)?);
            // Before the unit: Redis answers an empty range at once.
            if start < 0 && end < 0 && start > end {
                return Ok(Reply::Integer(0));
            }
            let in_bits = unit_is_bits(args, 4)?;
            bit_range(start, end, in_bits, string.len()).unwrap_or(0..0)
        }
        _ => return Err(SYNTAX.into()),
    };
    let part = Bits::read(txn, key, &string, bits)?;
    Ok(Reply::Integer(count(&part.bytes, part.bits)))
}

const BITPOS: Command = command(Topic::Bitmap, "bitpos")
    .syntax("key bit [index(start [end_index(end [index_unit(BYTE|BIT)])])]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(bitpos)
    .docs("2.8.7", "O(N)", "Finds the first bit that is set or clear.");

/// `BITPOS key bit [start [end [BYTE | BIT]]]`: the position of the first bit of this value, or -1.
/// O(length).
///
/// Without an end the value counts as followed by zeros, so a zero is always found. Errors:
/// `NOT_AN_INTEGER`, `BIT_ARGUMENT`, `WRONG_TYPE`, `SYNTAX`. Source: Redis `bitops.c`,
/// `bitposCommand`.
fn bitpos(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let set = match args.int(2)? {
        0 => false,
        1 => true,
        _ => return Err(BIT_ARGUMENT.into()),
    };
    let key = args.bytes(1);
    let Some(string) = txn.unread_string(key)? else {
        return Ok(Reply::Integer(if set { -1 } else { 0 }));
    };
    let end_given = args.len() >= 5;
    let bits = match args.len() {
        3 => 0..string.len() as u64 * 8,
        4..=6 => {
            let start = args.int(3)?;
            let in_bits = unit_is_bits(args, 5)?;
            let end = if end_given { args.int(4)? } else { -1 };
            bit_range(start, end, in_bits, string.len()).unwrap_or(0..0)
        }
        _ => return Err(SYNTAX.into()),
    };
    if bits.is_empty() {
        return Ok(Reply::Integer(-1));
    }
    let part = Bits::read(txn, key, &string, bits.clone())?;
    let found = find(&part.bytes, part.bits, set);
    let found = found.map(|at| (part.before + at) as i64);
    let beyond = if set || end_given {
        -1
    } else {
        bits.end as i64
    };
    Ok(Reply::Integer(found.unwrap_or(beyond)))
}

/// The bytes of a string in which a range of bits lies.
struct Bits {
    bytes: Bytes,
    /// The range, counted from the first of these bytes.
    bits: Range<u64>,
    /// The bits before these bytes.
    before: u64,
}

impl Bits {
    fn read(
        txn: &Txn<'_>,
        key: &Bytes,
        string: &UnreadString,
        bits: Range<u64>,
    ) -> Result<Self, Fault> {
        let range = (bits.start / 8) as usize..bits.end.div_ceil(8) as usize;
        let before = bits.start / 8 * 8;
        Ok(Self {
            bytes: string.read(txn, key, range)?,
            bits: bits.start - before..bits.end - before,
            before,
        })
    }
}

fn unit_is_bits(args: &Args<'_>, at: usize) -> Result<bool, CommandError> {
    let Some(word) = args.get(at) else {
        return Ok(false);
    };
    match Word(word).keyword().as_str() {
        "byte" => Ok(false),
        "bit" => Ok(true),
        _ => Err(SYNTAX),
    }
}

/// The bits that a range of bits or bytes of a value of `len` bytes covers.
fn bit_range(start: i64, end: i64, in_bits: bool, len: usize) -> Option<Range<u64>> {
    let unit = if in_bits { 1 } else { 8 };
    let (first, last) = clamp_each(start, end, len * 8 / unit)?;
    Some((first * unit) as u64..((last + 1) * unit) as u64)
}

/// As [`clamp`], but two ends below zero in the wrong order may still meet at the start.
fn clamp_each(start: i64, end: i64, len: usize) -> Option<(usize, usize)> {
    let from_end = |at: i64| {
        if at < 0 {
            (len as i64).saturating_add(at).max(0)
        } else {
            at
        }
    };
    clamp(from_end(start), from_end(end), len)
}

fn count(value: &Bytes, bits: Range<u64>) -> i64 {
    let whole = bits.start.div_ceil(8)..bits.end / 8;
    if whole.start >= whole.end {
        return bits.filter(|at| bit(value, *at)).count() as i64;
    }
    let edges = (bits.start..whole.start * 8).chain(whole.end * 8..bits.end);
    let edges = edges.filter(|at| bit(value, *at)).count() as i64;
    let inner = &value[whole.start as usize..whole.end as usize];
    let mut words = inner.chunks_exact(8);
    let mut count = 0u64;
    for word in &mut words {
        let word = word.try_into().map_or(0, u64::from_ne_bytes);
        count += u64::from(word.count_ones());
    }
    count += words
        .remainder()
        .iter()
        .map(|byte| u64::from(byte.count_ones()))
        .sum::<u64>();
    edges + count as i64
}

fn find(value: &Bytes, bits: Range<u64>, set: bool) -> Option<u64> {
    let skip = if set { 0x00 } else { 0xff };
    let mut at = bits.start;
    while at < bits.end {
        if at.is_multiple_of(8) && at + 8 <= bits.end && value[(at / 8) as usize] == skip {
            at += 8;
        } else if bit(value, at) == set {
            return Some(at);
        } else {
            at += 1;
        }
    }
    None
}

fn bit(value: &[u8], at: u64) -> bool {
    value[(at / 8) as usize] >> (7 - at % 8) & 1 == 1
}
