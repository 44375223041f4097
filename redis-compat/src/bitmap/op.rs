//! Bitwise operations over several strings.

use bytes::{Bytes, BytesMut};

use crate::command::{Command, Part, Topic, command};
use crate::errors::SYNTAX;
use crate::errors::error_lines;
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn, Word};

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
}

impl Op {
    fn from_word(word: &Bytes) -> Option<Self> {
        match Word(word).keyword().as_str() {
            "and" => Some(Op::And),
            "or" => Some(Op::Or),
            "xor" => Some(Op::Xor),
            "not" => Some(Op::Not),
            _ => None,
        }
    }
}

const BITOP: Command = command(Topic::Bitmap, "bitop")
    .syntax("operation(AND|OR|XOR|NOT) destkey key ...")
    .flags(F::WRITE_ROOM)
    .keys(&[K::OW_UPDATE.at(2), K::RO_ACCESS.at(3).every(1)])
    .runs(bitop)
    .check(bitop_check)
    .docs(
        "2.6.0",
        "O(N)",
        "Combines strings bit by bit and stores the result.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `BITOP AND|OR|XOR|NOT destination source [source ...]`: the length of the result, which replaces
/// the destination; an empty result removes it.
///
/// Shorter and absent sources count as filled with zeros. O(length) for each source. Errors:
/// `SYNTAX`, `BIT_OP_NOT`, `WRONG_TYPE`. Source: Redis `bitops.c`, `bitopCommand`.
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
        Some(op) => Ok(op),
    }
}

fn combine(op: Op, sources: &[Bytes]) -> Bytes {
    let len = sources.iter().map(Bytes::len).max().unwrap_or(0);
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
                Op::Xor | Op::Not => *byte ^= other,
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
}
