//! Sorted sets as RDB files hold them: packed while they are small, else member by member.
//!
//! ```text
//! 3     the number of members; each with its score as text behind a byte for its length, where
//!       253 is no number, 254 infinity, 255 infinity below zero
//! 5     the number of members; each with its score in 8 bytes, little endian
//! 12    a string that is a ziplist of members and scores
//! 17    a string that is a listpack of members and scores
//! ```
//!
//! 5 and 17 are written, as by Redis 7. Source: Redis `rdb.c`, `rdbSaveObject` and `rdbLoadObject`.

use bytes::{Buf, BufMut, Bytes};

use super::SortedSet;
use super::order::Item;
use super::score::parse_score;
use super::span::{Selection, Span};
use crate::errors::COLLECTION_TOO_LARGE;
use crate::rdb::{self, listpack, ziplist};
use crate::txn::spread::COPY_BYTES_MAX;
use crate::{CommandError, EvalError, Txn, number};

const TYPE_TEXT: u8 = 3;
const TYPE_BINARY: u8 = 5;
const TYPE_ZIPLIST: u8 = 12;
const TYPE_LISTPACK: u8 = 17;

/// Redis keeps a packed sorted set of a payload packed up to so many members, however long they
/// are.
const LISTPACK_MEMBERS_MAX: usize = 128;
/// Bytes that a member takes beside its own.
const ITEM_BYTES: usize = 16;

/// Whether a value of this RDB type is a sorted set.
pub(crate) fn is_payload(of: u8) -> bool {
    matches!(of, TYPE_TEXT | TYPE_BINARY | TYPE_ZIPLIST | TYPE_LISTPACK)
}

/// Appends the type and the value of a sorted set. Errors: `ReplyTooLong`.
pub(crate) fn put_payload(
    out: &mut Vec<u8>,
    txn: &mut Txn<'_>,
    set: &mut SortedSet,
) -> Result<(), EvalError> {
    if !set.is_skiplist()
        && let Some(packed) = packed(txn, set)?
    {
        out.put_u8(TYPE_LISTPACK);
        rdb::put_string(out, &packed);
        return Ok(());
    }
    out.put_u8(TYPE_BINARY);
    rdb::put_len(out, usize::try_from(set.len()?).unwrap_or(usize::MAX));
    // The last comes first, as Redis writes them.
    set.walk(txn, &Selection::end(true, u64::MAX), &mut |txn, item| {
        txn.take_reply_room(item.member.len())?;
        rdb::put_string(out, &item.member);
        out.put_f64_le(item.score);
        Ok(true)
    })
}

/// The listpack of a set; `None` if it would be too long.
fn packed(txn: &mut Txn<'_>, set: &mut SortedSet) -> Result<Option<Vec<u8>>, EvalError> {
    let mut strings = Vec::new();
    set.walk(txn, &Selection::of(Span::All), &mut |txn, item| {
        txn.take_reply_room(item.member.len())?;
        strings.push(item.member);
        strings.push(Bytes::from(number::double(item.score)));
        Ok(true)
    })?;
    Ok(listpack::pack(strings.iter()))
}

/// Takes a sorted set of this type off the front of `input`; `None` if it is none. A member is at
/// most `max` bytes long. Errors: `COLLECTION_TOO_LARGE`.
pub(crate) fn take_payload(
    of: u8,
    input: &mut Bytes,
    max: usize,
) -> Result<Option<SortedSet>, CommandError> {
    Ok(match of {
        TYPE_TEXT => take_members(input, max, take_text)?.and_then(SortedSet::of_items),
        TYPE_BINARY => take_members(input, max, take_binary)?.and_then(SortedSet::of_items),
        TYPE_LISTPACK => take_packed(input, max, listpack::unpack),
        TYPE_ZIPLIST => take_packed(input, max, ziplist::unpack),
        _ => None,
    })
}

/// Members in turn; `None` if there are none.
fn take_members(
    input: &mut Bytes,
    max: usize,
    score: fn(&mut Bytes) -> Option<f64>,
) -> Result<Option<Vec<Item>>, CommandError> {
    let (mut items, mut room) = (Vec::new(), COPY_BYTES_MAX);
    let count = rdb::take_len(input).unwrap_or(0);
    for _ in 0..count {
        let member = rdb::take_string(input, max);
        let Some((member, score)) = member.and_then(|member| Some((member, score(input)?))) else {
            return Ok(None);
        };
        let bytes = member.len() + ITEM_BYTES;
        room = room.checked_sub(bytes).ok_or(COLLECTION_TOO_LARGE)?;
        items.push(Item { score, member });
    }
    // Redis knows no empty sorted set.
    Ok((count > 0).then_some(items))
}

fn take_binary(input: &mut Bytes) -> Option<f64> {
    let score = input.try_get_f64_le().ok()?;
    (!score.is_nan()).then_some(score)
}

fn take_text(input: &mut Bytes) -> Option<f64> {
    match input.try_get_u8().ok()? {
        253 => None,
        254 => Some(f64::INFINITY),
        255 => Some(f64::NEG_INFINITY),
        len if usize::from(len) <= input.len() => parse_score(&input.split_to(len.into())),
        _ => None,
    }
}

fn take_packed(
    input: &mut Bytes,
    max: usize,
    unpack: fn(Bytes) -> Option<Vec<Bytes>>,
) -> Option<SortedSet> {
    // A packed set of Redis' own is short; the bound is for those of strangers.
    let strings = unpack(rdb::take_string(input, COPY_BYTES_MAX)?)?;
    let pairs = strings.chunks_exact(2);
    if strings.is_empty() || !pairs.remainder().is_empty() {
        return None;
    }
    let mut items = Vec::with_capacity(strings.len() / 2);
    for pair in pairs {
        let (member, score) = (pair[0].clone(), parse_score(&pair[1])?);
        if member.len() > max {
            return None;
        }
        items.push(Item { score, member });
    }
    let is_skiplist = items.len() > LISTPACK_MEMBERS_MAX;
    SortedSet::of_kept_items(items, is_skiplist)
}
