//! `GEOSEARCH` and `GEOSEARCHSTORE`.

use bytes::Bytes;

use super::found::answer;
use super::places::place_of;
use super::query::{NO_PLACE, of_search, wrong_words};
use crate::command::{Command, Part, Topic, command};
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[GEOSEARCH, GEOSEARCHSTORE], &[]);

const SEARCH_COST: &str = "O(N+log(M)) where N is the number of elements in the grid-aligned \
    bounding box area around the shape provided as the filter and M is the number of items inside \
    the shape";

const GEOSEARCH: Command = command(Topic::Geo, "geosearch")
    .syntax(
        "key from(FROMMEMBER member|FROMLONLAT longitude_latitude(longitude latitude)) \
        by(circle(BYRADIUS radius unit(M|KM|FT|MI))|box(BYBOX width height unit(M|KM|FT|MI))\
        |polygon(BYPOLYGON numvertices vertex(longitude latitude) ...)) [order(ASC|DESC)] \
        [count(COUNT count [ANY])] [WITHCOORD] [WITHDIST] [WITHHASH]",
    )
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(geosearch)
    .hints(HINTS)
    .docs(
        "6.2.0",
        SEARCH_COST,
        "Returns the members in an area: a circle, a box or a polygon.",
    );

const HINTS: &str = "weight=6 key=geo-key longitude=longitude latitude=latitude member=place \
    radius=length width=length height=length newer=BYPOLYGON";

/// `GEOSEARCH key FROMMEMBER member|FROMLONLAT x y BYRADIUS r unit|BYBOX w h unit|BYPOLYGON n
/// corners [ASC|DESC] [COUNT n [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]`: the members in an area.
///
/// O(members of up to nine cells around the area). Errors: `WRONG_TYPE`, those of its options,
/// `ReplyTooLong`. Source: Redis `geo.c`, `georadiusGeneric`.
fn geosearch(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    search(txn, args, args.bytes(1), None)
}

/// Runs a search over a key, and stores under another if there is one.
fn search(
    txn: &mut Txn<'_>,
    args: &Args<'_>,
    key: &Bytes,
    store: Option<Bytes>,
) -> Result<Reply, EvalError> {
    let mut set = txn.zset(key)?;
    let exists = set.len()? > 0;
    let query = of_search(args, store, &mut |member| {
        if !exists {
            return Ok(None);
        }
        Ok(Some(place_of(txn, &set, member)?.ok_or(NO_PLACE)?))
    })?;
    answer(txn, &mut set, &query, "geosearchstore")
}

const GEOSEARCHSTORE: Command = command(Topic::Geo, "geosearchstore")
    .syntax(
        "destination source from(FROMMEMBER member|FROMLONLAT longitude_latitude(longitude latitude)) \
        by(circle(BYRADIUS radius unit(M|KM|FT|MI))|box(BYBOX width height unit(M|KM|FT|MI))\
        |polygon(BYPOLYGON numvertices vertex(longitude latitude) ...)) [order(ASC|DESC)] \
        [count(COUNT count [ANY])] [STOREDIST]",
    )
    .flags(F::WRITE_ROOM)
    .keys(&[K::OW_UPDATE.at(1), K::RO_ACCESS.at(2)])
    .runs(geosearchstore)
    .check(store_check)
    .hints(
        "weight=4 source=geo-key longitude=longitude latitude=latitude member=place \
        radius=length width=length height=length newer=BYPOLYGON without=STOREDIST",
    )
    .docs(
        "6.2.0",
        SEARCH_COST,
        "Stores the members in an area: a circle, a box or a polygon.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `GEOSEARCHSTORE destination source ... [STOREDIST]`: stores the members that `GEOSEARCH` finds,
/// with their distances as scores if asked; returns how many.
///
/// O(members of up to nine cells around the area). Errors: as `GEOSEARCH`, `COLLECTION_TOO_LARGE`.
fn geosearchstore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    search(txn, args, args.bytes(2), Some(args.bytes(1).clone()))
}

fn store_check(args: &Args<'_>) -> Result<(), CommandError> {
    let absent = &mut |_: &[u8]| Ok(None);
    wrong_words(of_search(args, Some(args.bytes(1).clone()), absent))
}
