//! `GEOADD`: members by their places.

use bytes::Bytes;

use super::words::place;
use crate::command::{Command, Part, Topic, command};
use crate::errors::SYNTAX;
use crate::{Args, Classes, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[GEOADD], &[]);

const GEOADD: Command = command(Topic::Geo, "geoadd")
    .syntax("key [condition(NX|XX)] [change=CH] longitude_latitude_member(longitude latitude member) ...")
    .flags(F::WRITE_ROOM)
    .keys(&[K::RW_UPDATE.at(1)])
    .runs(geoadd)
    .hints("weight=8 key=geo-key longitude=longitude latitude=latitude member=place")
    .docs(
        "3.2.0",
        "O(log(N)) for each item added, where N is the number of elements in the sorted set",
        "Adds members with their places to a sorted set.",
    );

/// `GEOADD key [NX|XX] [CH] longitude latitude member [longitude latitude member ...]`: how many
/// members are new, or with `CH` have another place.
///
/// O(log n) for each member. Errors: `SYNTAX`, `NOT_A_FLOAT`, a place outside of the map,
/// `WRONG_TYPE`. Source: Redis `geo.c`, `geoaddCommand`.
fn geoadd(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let options = parse(args);
    let triples = args.rest(options.end).chunks_exact(3);
    let is_whole = triples.remainder().is_empty() && triples.len() > 0;
    if !is_whole || (options.nx && options.xx) {
        return Err(SYNTAX.into());
    }
    let scored =
        |triple: &'_ [Bytes]| Ok((place(&triple[0], &triple[1])?.score(), triple[2].clone()));
    let scored: Result<Vec<_>, CommandError> = triples.map(scored).collect();
    let scored = scored?;
    let mut set = txn.zset(args.bytes(1))?;
    if !(options.xx && set.len()? == 0) {
        set.expect_members(scored.len(), scored[0].1.len());
    }
    let (mut added, mut changed) = (0, 0);
    for (score, member) in scored {
        let before = set.score(txn, &member)?;
        match before {
            None if !options.xx => added += 1,
            Some(before) if !options.nx && before != score => changed += 1,
            _ => continue,
        }
        set.put(txn, &member, before, score)?;
    }
    if added + changed > 0 {
        txn.put_zset(args.bytes(1).clone(), set)?;
        txn.notify(Classes::SORTED_SET, "zadd", args.bytes(1));
    }
    let counted = if options.counts_changed {
        added + changed
    } else {
        added
    };
    Ok(Reply::Integer(counted))
}

struct Options {
    nx: bool,
    xx: bool,
    counts_changed: bool,
    /// The first word behind the options.
    end: usize,
}

fn parse(args: &Args<'_>) -> Options {
    let mut options = Options {
        nx: false,
        xx: false,
        counts_changed: false,
        end: 2,
    };
    for word in args.options(2) {
        match word.keyword().as_str() {
            "nx" => options.nx = true,
            "xx" => options.xx = true,
            "ch" => options.counts_changed = true,
            _ => break,
        }
        options.end += 1;
    }
    options
}
