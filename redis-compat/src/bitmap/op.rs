//! Bitwise operations over several strings.

use bytes::{Bytes, BytesMut};

use crate::command::{Command, Part, Topic, command};
use crate::errors::SYNTAX;
use crate::errors::error_lines;
use crate::string::zero_padded;
use crate::{Args, Classes, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn, Word};

pub(super) const PART: Part = Part::new(&[BITOP], LINES);

error_lines! {
    /// `BITOP NOT` with several sources.
    BIT_OP_NOT = "ERR BITOP NOT must be called with a single source key.";
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    And,
    Or,
    Xor,
    Not,
    Diff,
    Diff1,
    AndOr,
    One,
}

impl Op {
    fn from_word(word: &Bytes) -> Option<Self> {
        match Word(word).keyword().as_str() {
            "and" => Some(Op::And),
            "or" => Some(Op::Or),
            "xor" => Some(Op::Xor),
            "not" => Some(Op::Not),
            "diff" => Some(Op::Diff),
            "diff1" => Some(Op::Diff1),
            "andor" => Some(Op::AndOr),
            "one" => Some(Op::One),
            _ => None,
        }
    }

    /// The name, if it compares the first source with the others.
    fn of_first_and_others(self) -> Option<&'static str> {
        match self {
            Op::Diff => Some("DIFF"),
            Op::Diff1 => Some("DIFF1"),
            Op::AndOr => Some("ANDOR"),
            Op::And | Op::Or | Op::Xor | Op::Not | Op::One => None,
        }
    }
}

const BITOP: Command = command(Topic::Bitmap, "bitop")
    .syntax("operation(AND|OR|XOR|NOT|DIFF|DIFF1|ANDOR|ONE) destkey key ...")
    .flags(F::WRITE_ROOM)
    .keys(&[K::OW_UPDATE.at(2), K::RO_ACCESS.at(3).every(1)])
    .runs(bitop)
    .check(bitop_check)
    .hints("newer=DIFF newer=DIFF1 newer=ANDOR newer=ONE")
    .docs(
        "2.6.0",
        "O(N)",
        "Combines strings bit by bit and stores the result.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `BITOP AND|OR|XOR|NOT|DIFF|DIFF1|ANDOR|ONE destination source [source ...]`: the length of the
/// result, which replaces the destination; an empty result removes it.
///
/// DIFF is the bits of the first source that are in no other; DIFF1 those of the others that are
/// not in the first; ANDOR those of the first that are in any other; ONE those that are in a
/// single source. Shorter and absent sources count as filled with zeros.
///
/// O(length) for each source. Errors: `SYNTAX`, `BIT_OP_NOT`, too few sources, `WRONG_TYPE`.
/// Source: Redis 7.0 `bitops.c`, `bitopCommand`.
fn bitop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let op = parse(args)?;
    let mut sources = Vec::with_capacity(args.len() - 3);
    for key in args.rest(3) {
        sources.push(txn.string_bytes(key)?);
    }
    let destination = args.bytes(2);
    let result = combine(op, &sources);
    let len = result.len() as i64;
    if len > 0 {
        txn.put_raw(destination.clone(), result, None)?;
        txn.notify(Classes::STRING, "set", destination);
    } else if txn.exists(destination)? {
        txn.remove(destination.clone())?;
    }
    Ok(Reply::Integer(len))
}

/// The operation is known and has as many sources as it takes.
fn bitop_check(args: &Args<'_>) -> Result<(), CommandError> {
    parse(args).map(drop)
}

fn parse(args: &Args<'_>) -> Result<Op, CommandError> {
    match Op::from_word(args.bytes(1)) {
        None => Err(SYNTAX),
        Some(Op::Not) if args.len() != 4 => Err(BIT_OP_NOT),
        Some(op) => match op.of_first_and_others() {
            Some(name) if args.len() < 5 => Err(CommandError::Other(format!(
                "ERR BITOP {name} must be called with at least two source keys."
            ))),
            _ => Ok(op),
        },
    }
}

fn combine(op: Op, sources: &[Bytes]) -> Bytes {
    let len = sources.iter().map(Bytes::len).max().unwrap_or(0);
    match op {
        Op::And | Op::Or | Op::Xor | Op::Not => combine_each(op, sources, len),
        Op::One => {
            let mut bits = Bits::zeros(len);
            sources.iter().for_each(|source| bits.add(source));
            bits.in_one()
        }
        Op::Diff | Op::Diff1 | Op::AndOr => {
            let Some((first, others)) = sources.split_first() else {
                return Bytes::new();
            };
            let mut bits = Bits::zeros(len);
            others.iter().for_each(|source| bits.add(source));
            let mut result = zero_padded(first, len);
            for (byte, other) in result.iter_mut().zip(&bits.any) {
                *byte = match op {
                    Op::Diff => *byte & !other,
                    Op::Diff1 => other & !*byte,
                    _ => *byte & other,
                };
            }
            result.freeze()
        }
    }
}

/// Bits of several sources together.
struct Bits {
    /// Those in any source.
    any: BytesMut,
    /// Those in several sources.
    several: BytesMut,
}

impl Bits {
    fn zeros(len: usize) -> Self {
        Self {
            any: BytesMut::zeroed(len),
            several: BytesMut::zeroed(len),
        }
    }

    fn add(&mut self, source: &[u8]) {
        for ((any, several), byte) in self.any.iter_mut().zip(&mut self.several[..]).zip(source) {
            *several |= *any & byte;
            *any |= byte;
        }
    }

    /// Those in a single source.
    fn in_one(mut self) -> Bytes {
        for (any, several) in self.any.iter_mut().zip(&self.several) {
            *any &= !several;
        }
        self.any.freeze()
    }
}

/// The result of an operation that takes a source after the other.
fn combine_each(op: Op, sources: &[Bytes], len: usize) -> Bytes {
    let mut result = BytesMut::zeroed(len);
    if let Some(first) = sources.first() {
        result[..first.len()].copy_from_slice(first);
    }
    if op == Op::Not {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    for source in sources.iter().skip(1) {
        let (shared, beyond) = result.split_at_mut(source.len());
        for (byte, other) in shared.iter_mut().zip(source) {
            match op {
                Op::And => *byte &= other,
                Op::Or => *byte |= other,
                _ => *byte ^= other,
            }
        }
        if op == Op::And {
            beyond.fill(0);
        }
    }
    result.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_sources_count_as_zeros() {
        let sources = [Bytes::from_static(b"\x0f\xff"), Bytes::from_static(b"\x3c")];
        assert_eq!(combine(Op::And, &sources), b"\x0c\x00".as_slice());
        assert_eq!(combine(Op::Or, &sources), b"\x3f\xff".as_slice());
        assert_eq!(combine(Op::Xor, &sources), b"\x33\xff".as_slice());
        assert_eq!(combine(Op::Not, &sources[..1]), b"\xf0\x00".as_slice());
    }

    #[test]
    fn the_first_source_is_set_against_the_others() {
        let sources = [&b"\x0f\xff"[..], b"\x3c", b"\x05\x01\x80"].map(Bytes::from_static);
        assert_eq!(combine(Op::Diff, &sources), b"\x02\xfe\x00".as_slice());
        assert_eq!(combine(Op::Diff1, &sources), b"\x30\x00\x80".as_slice());
        assert_eq!(combine(Op::AndOr, &sources), b"\x0d\x01\x00".as_slice());
        assert_eq!(combine(Op::One, &sources), b"\x32\xfe\x80".as_slice());
        assert_eq!(combine(Op::One, &sources[..1]), b"\x0f\xff".as_slice());
        assert_eq!(combine(Op::Diff, &[]), b"".as_slice());
    }
}
