//! `LPOS`: the places of equal elements.

use super::place::End;
use super::pop::at_least;
use crate::command::{Command, Part, Topic, command};
use crate::errors::{NOT_AN_INTEGER, SYNTAX, error_lines};
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn, number};

pub(super) const PART: Part = Part::new(&[LPOS], LINES);

error_lines! {
    /// `LPOS` with a rank of 0.
    RANK_IS_ZERO = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the \
        second ... or use negative to start from the end of the list";
    /// `LPOS` with a count that is no number from 0 on.
    COUNT_IS_NEGATIVE = "ERR COUNT can't be negative";
    /// `LPOS` with a greatest length that is no number from 0 on.
    MAXLEN_IS_NEGATIVE = "ERR MAXLEN can't be negative";
}

const LPOS: Command = command(Topic::List, "lpos")
    .syntax("key element [RANK rank] [COUNT num-matches:integer] [MAXLEN len]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(lpos)
    .hints(
        "weight=4 key=list-key element=list-element rank=rank num-matches=list-count \
        len=list-count",
    )
    .docs(
        "6.0.6",
        "O(N) where N is the number of elements in the list, for the average case. When searching \
        for elements near the head or the tail of the list, or when the MAXLEN option is \
        provided, the command may run in constant time.",
        "Returns the indexes of equal elements of a list.",
    );

struct Options {
    rank: i64,
    /// An array of so many is asked for, of all if 0.
    count: Option<u64>,
    maxlen: u64,
}

/// `LPOS key element [RANK r] [COUNT n] [MAXLEN l]`: the place of an equal element, or the places
/// of several; null, or an empty array, if there is none. A rank below 0 searches from the end.
///
/// O(elements looked at). Errors: `SYNTAX`, `NOT_AN_INTEGER`, `RANK_IS_ZERO`, `COUNT_IS_NEGATIVE`,
/// `MAXLEN_IS_NEGATIVE`, `WRONG_TYPE`, `ReplyTooLong`. Source: Redis `t_list.c`, `lposCommand`.
fn lpos(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (element, options) = (args.bytes(2), parse(args)?);
    let list = txn.list(args.bytes(1))?;
    let towards = if options.rank < 0 {
        End::Left
    } else {
        End::Right
    };
    let max = match options.count {
        None => 1,
        Some(0) => u64::MAX,
        Some(count) => count,
    };
    let mut room = match options.maxlen {
        0 => list.len(),
        maxlen => maxlen.min(list.len()),
    };
    let mut passed_over = options.rank.unsigned_abs() - 1;
    let mut places = Vec::new();
    if let Some(last) = list.len().checked_sub(1) {
        let from = towards.pick(last, 0);
        list.scan(txn, from, towards, &mut |txn, at, found| {
            if found == element {
                if passed_over > 0 {
                    passed_over -= 1;
                } else {
                    txn.take_reply_room(8)?;
                    places.push(at);
                }
            }
            room -= 1;
            Ok(room > 0 && (places.len() as u64) < max)
        })?;
    }
    let mut places = places.into_iter().map(|place| Reply::Integer(place as i64));
    Ok(match options.count {
        Some(_) => Reply::Array(places.collect()),
        None => places.next().unwrap_or(Reply::Null),
    })
}

fn parse(args: &Args<'_>) -> Result<Options, CommandError> {
    let (mut rank, mut count, mut maxlen) = (1, None, 0);
    let mut words = args.options(3);
    while let Some(word) = words.next() {
        match word.keyword().as_str() {
            "rank" => {
                rank = number::parse_int(words.value()?).ok_or(NOT_AN_INTEGER)?;
                if rank == i64::MIN {
                    return Err(rank_out_of_range());
                }
                if rank == 0 {
                    return Err(RANK_IS_ZERO);
                }
            }
            "count" => count = Some(at_least(words.value()?, 0, COUNT_IS_NEGATIVE)?),
            "maxlen" => maxlen = at_least(words.value()?, 0, MAXLEN_IS_NEGATIVE)?,
            _ => return Err(SYNTAX),
        }
    }
    Ok(Options {
        rank,
        count,
        maxlen,
    })
}

/// The least number has no positive of it. Redis refuses it since 7.2.
fn rank_out_of_range() -> CommandError {
    CommandError::Other(format!(
        "ERR value is out of range, value must between {} and {}",
        -i64::MAX,
        i64::MAX
    ))
}
