//! `GEOPOS`, `GEODIST`, `GEOHASH`: the places of members.

use bytes::Bytes;

use super::cell::{Cell, Place, WHOLE_WORLD};
use super::distance::distance;
use super::words::{distance_reply, place_reply, unit};
use crate::command::{Command, Part, Topic, command};
use crate::errors::SYNTAX;
use crate::zset::SortedSet;
use crate::{Args, EvalError, Fault, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[GEOPOS, GEODIST, GEOHASH], &[]);

/// The steps of the cell in a reply of `GEOHASH`: 52 bits.
const TEXT_STEPS: u8 = 26;
/// Letters of 5 bits.
const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

/// The place of a member.
pub(super) fn place_of(
    txn: &Txn<'_>,
    set: &SortedSet,
    member: &[u8],
) -> Result<Option<Place>, Fault> {
    Ok(set.score(txn, member)?.map(Place::of_score))
}

const GEOPOS: Command = command(Topic::Geo, "geopos")
    .syntax("key [member ...]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(geopos)
    .hints("weight=2 key=geo-key member=place")
    .docs(
        "3.2.0",
        "O(1) for each member requested",
        "Returns the longitudes and latitudes of members.",
    );

/// `GEOPOS key [member ...]`: the longitude and the latitude of each member; null if it is absent.
///
/// O(1) for each. Errors: `WRONG_TYPE`. Source: Redis `geo.c`, `geoposCommand`.
fn geopos(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let set = txn.zset(args.bytes(1))?;
    let mut replies = Vec::new();
    for member in args.rest(2) {
        let place = place_of(txn, &set, member)?;
        replies.push(place.map_or(Reply::NullArray, place_reply));
    }
    Ok(Reply::Array(replies))
}

const GEODIST: Command = command(Topic::Geo, "geodist")
    .syntax("key member1 member2 [unit(M|KM|FT|MI)]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(geodist)
    .hints("weight=4 key=geo-key member1=place member2=place")
    .docs("3.2.0", "O(1)", "Returns the distance between two members.");

/// `GEODIST key member1 member2 [M|KM|FT|MI]`: the distance; null if one is absent. O(1).
///
/// Errors: `UNKNOWN_UNIT`, `SYNTAX`, `WRONG_TYPE`. Source: Redis `geo.c`, `geodistCommand`.
fn geodist(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let unit = match args.rest(4) {
        [] => 1.0,
        [word] => unit(word)?,
        _ => return Err(SYNTAX.into()),
    };
    let set = txn.zset(args.bytes(1))?;
    let place = |at: usize| place_of(txn, &set, args.bytes(at));
    let places = place(2)?.zip(place(3)?);
    Ok(places.map_or(Reply::Null, |(a, b)| distance_reply(distance(a, b) / unit)))
}

const GEOHASH: Command = command(Topic::Geo, "geohash")
    .syntax("key [member ...]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(geohash)
    .hints("weight=2 key=geo-key member=place")
    .docs(
        "3.2.0",
        "O(1) for each member requested",
        "Returns the places of members as geohash strings.",
    );

/// `GEOHASH key [member ...]`: the place of each member as a string of 11 letters; null if it is
/// absent.
///
/// O(1) for each. Errors: `WRONG_TYPE`. Source: Redis `geo.c`, `geohashCommand`.
fn geohash(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let set = txn.zset(args.bytes(1))?;
    let mut replies = Vec::new();
    for member in args.rest(2) {
        let place = place_of(txn, &set, member)?;
        replies.push(place.map_or(Reply::Null, |place| Reply::Bulk(geohash_text(place))));
    }
    Ok(Reply::Array(replies))
}

/// The standard's string: its cells reach to the poles.
fn geohash_text(place: Place) -> Bytes {
    let bits = Cell::of(place, WHOLE_WORLD, TEXT_STEPS).bits;
    let letter = |at: u32| match at {
        // 52 bits make ten letters; Redis always had eleven.
        10 => ALPHABET[0],
        at => ALPHABET[(bits >> (52 - (at + 1) * 5) & 0x1f) as usize],
    };
    (0..11).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geohash_strings_are_those_of_redis() {
        let place = |longitude, latitude| Place {
            longitude,
            latitude,
        };
        let stored = |place: Place| Place::of_score(place.score());
        assert_eq!(
            geohash_text(stored(place(13.361389, 38.115556))),
            "sqc8b49rny0"
        );
        assert_eq!(
            geohash_text(stored(place(15.087269, 37.502669))),
            "sqdtr74hyu0"
        );
    }
}
