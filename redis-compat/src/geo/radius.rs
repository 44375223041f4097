//! `GEORADIUS`, `GEORADIUSBYMEMBER` and their forms that only read: the older searches.

use bytes::Bytes;

use super::found::answer;
use super::places::place_of;
use super::query::{Form, NO_PLACE, of_radius, wrong_words};
use super::shape::{Outline, Shape};
use super::words::{place, radius};
use crate::command::{Command, Part, Topic, command};
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(
    &[
        GEORADIUS,
        GEORADIUS_RO,
        GEORADIUSBYMEMBER,
        GEORADIUSBYMEMBER_RO,
    ],
    &[],
);

const RADIUS_COST: &str = "O(N+log(M)) where N is the number of elements inside the bounding box \
    of the circular area delimited by center and radius and M is the number of items inside the \
    index";

const HINTS: &str = "weight=2 key=geo-key longitude=longitude latitude=latitude radius=length";
const HINTS_BY_MEMBER: &str = "weight=2 key=geo-key member=place radius=length";

const GEORADIUS: Command = command(Topic::Geo, "georadius")
    .syntax(
        "key longitude latitude radius unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] \
        [count(COUNT count [ANY])] [order(ASC|DESC)] [STORE key] \
        [STOREDIST key]",
    )
    .flags(F::WRITE_ROOM)
    .keys(&[
        K::RO_ACCESS.at(1),
        K::OW_UPDATE.behind("STORE", 6).found_by(place_of_store),
        K::OW_UPDATE.behind("STOREDIST", 6),
    ])
    .runs(georadius)
    .check(georadius_check)
    .hints(
        "weight=2 key=geo-key longitude=longitude latitude=latitude radius=length \
        without=STOREDIST",
    )
    .docs(
        "3.2.0",
        RADIUS_COST,
        "Returns or stores the members within a distance of a place.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `GEORADIUS key x y radius unit [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT n [ANY]] [ASC|DESC]
/// [STORE key] [STOREDIST key]`: the members in a circle, or how many were stored.
///
/// O(members of up to nine cells around the circle). Errors: `WRONG_TYPE`, those of its options,
/// `ReplyTooLong`, `COLLECTION_TOO_LARGE`. Source: Redis `geo.c`, `georadiusGeneric`.
fn georadius(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    around_place(txn, args, Form::Radius)
}

const GEORADIUS_RO: Command = command(Topic::Geo, "georadius_ro")
    .syntax(
        "key longitude latitude radius unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] \
        [count(COUNT count [ANY])] [order(ASC|DESC)]",
    )
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(georadius_ro)
    .hints(HINTS)
    .docs(
        "3.2.10",
        RADIUS_COST,
        "Returns the members within a distance of a place.",
    );

/// `GEORADIUS_RO key x y radius unit ...`: as `GEORADIUS`, and stores nothing.
fn georadius_ro(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    around_place(txn, args, Form::RadiusReadOnly)
}

const GEORADIUSBYMEMBER: Command = command(Topic::Geo, "georadiusbymember")
    .syntax(
        "key member radius unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] \
        [count(COUNT count [ANY])] [order(ASC|DESC)] [STORE key] \
        [STOREDIST key]",
    )
    .flags(F::WRITE_ROOM)
    .keys(&[
        K::RO_ACCESS.at(1),
        K::OW_UPDATE.behind("STORE", 5).found_by(place_of_store),
        K::OW_UPDATE.behind("STOREDIST", 5),
    ])
    .runs(georadiusbymember)
    .check(by_member_check)
    .hints("weight=2 key=geo-key member=place radius=length without=STOREDIST")
    .docs(
        "3.2.0",
        RADIUS_COST,
        "Returns or stores the members within a distance of a member.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `GEORADIUSBYMEMBER key member radius unit ...`: as `GEORADIUS`, around a member.
///
/// Errors: `NO_PLACE`, and as `GEORADIUS`.
fn georadiusbymember(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    around_member(txn, args, Form::Radius)
}

const GEORADIUSBYMEMBER_RO: Command = command(Topic::Geo, "georadiusbymember_ro")
    .syntax(
        "key member radius unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] \
        [count(COUNT count [ANY])] [order(ASC|DESC)]",
    )
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(georadiusbymember_ro)
    .hints(HINTS_BY_MEMBER)
    .docs(
        "3.2.10",
        RADIUS_COST,
        "Returns the members within a distance of a member.",
    );

/// `GEORADIUSBYMEMBER_RO key member radius unit ...`: as `GEORADIUSBYMEMBER`, and stores nothing.
fn georadiusbymember_ro(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    around_member(txn, args, Form::RadiusReadOnly)
}

fn georadius_check(args: &Args<'_>) -> Result<(), CommandError> {
    place(args.bytes(2), args.bytes(3))?;
    radius(args.bytes(4), args.bytes(5))?;
    wrong_words(of_radius(Form::Radius, args.options(6), None))
}

/// Redis looks at the radius only if the key is there.
fn by_member_check(args: &Args<'_>) -> Result<(), CommandError> {
    wrong_words(of_radius(Form::Radius, args.options(5), None))
}

/// The place of the key to store under: behind the last `STORE` or `STOREDIST`.
fn place_of_store(words: &[Bytes]) -> Option<usize> {
    let (mut at, mut found) = (5, None);
    while at + 1 < words.len() {
        let is = |keyword: &str| words[at].eq_ignore_ascii_case(keyword.as_bytes());
        if is("store") || is("storedist") {
            at += 1;
            found = Some(at);
        }
        at += 1;
    }
    found
}

fn around_place(txn: &mut Txn<'_>, args: &Args<'_>, form: Form) -> Result<Reply, EvalError> {
    let mut set = txn.zset(args.bytes(1))?;
    let center = place(args.bytes(2), args.bytes(3))?;
    let (radius, unit) = radius(args.bytes(4), args.bytes(5))?;
    let exists = set.len()? > 0;
    let shape = exists.then_some(Shape {
        center,
        outline: Outline::Circle { radius },
        unit,
    });
    let query = of_radius(form, args.options(6), shape)?;
    answer(txn, &mut set, &query, "georadiusstore")
}

fn around_member(txn: &mut Txn<'_>, args: &Args<'_>, form: Form) -> Result<Reply, EvalError> {
    let mut set = txn.zset(args.bytes(1))?;
    let shape = match set.len()? {
        // Redis does not look at the radius then.
        0 => None,
        _ => {
            let center = place_of(txn, &set, args.bytes(2))?.ok_or(NO_PLACE)?;
            let (radius, unit) = radius(args.bytes(3), args.bytes(4))?;
            Some(Shape {
                center,
                outline: Outline::Circle { radius },
                unit,
            })
        }
    };
    let query = of_radius(form, args.options(5), shape)?;
    answer(txn, &mut set, &query, "georadiusstore")
}
