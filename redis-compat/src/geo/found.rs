//! The members of an area: found, put in order, replied or stored.

use super::cell::{Cell, Place};
use super::query::{Order, Query, With};
use super::shape::Shape;
use super::words::{distance_reply, place_reply};
use crate::errors::COLLECTION_TOO_LARGE;
use crate::txn::spread::COPY_BYTES_MAX;
use crate::zset::{self, Item, Scores, Selection, SortedSet, Span};
use crate::{EvalError, Reply, Txn};

/// So many matches more than are wanted are kept before the worst are dropped.
const SPARE: usize = 1024;
/// Bytes of a match beside its member.
const MATCH_BYTES: usize = size_of::<Match>();

/// A member in the area of a search.
#[derive(Debug, Clone)]
struct Match {
    item: Item,
    place: Place,
    /// From the center, in metres.
    distance: f64,
}

/// Runs a search over the members of a set, and replies or stores. An absent key has none.
pub(super) fn answer(
    txn: &mut Txn<'_>,
    set: &mut SortedSet,
    query: &Query,
    event: &'static str,
) -> Result<Reply, EvalError> {
    let (matches, unit) = match &query.shape {
        Some(shape) => (find(txn, set, shape, query)?, shape.unit),
        None => (Vec::new(), 1.0),
    };
    let Some(store) = &query.store else {
        let replies = matches
            .iter()
            .map(|found| found.reply(txn, query.with, unit));
        return Ok(Reply::Array(replies.collect::<Result<_, _>>()?));
    };
    let items = matches.into_iter().map(|found| Item {
        score: if store.distances {
            found.distance / unit
        } else {
            found.item.score
        },
        member: found.item.member,
    });
    zset::store(txn, &store.key, items.collect(), event)
}

/// The matches in order, no more than are wanted.
fn find(
    txn: &mut Txn<'_>,
    set: &mut SortedSet,
    shape: &Shape,
    query: &Query,
) -> Result<Vec<Match>, EvalError> {
    let mut found = Vec::new();
    let mut room = COPY_BYTES_MAX;
    let wanted = query.count.unwrap_or(usize::MAX);
    for cell in shape.cells() {
        if query.any && found.len() >= wanted {
            break;
        }
        set.walk(txn, &members_of(cell), &mut |txn, item| {
            let place = Place::of_score(item.score);
            let Some(distance) = shape.distance_inside(place) else {
                return Ok(true);
            };
            if found.len() < wanted {
                if query.store.is_some() {
                    let bytes = MATCH_BYTES + item.member.len();
                    room = room.checked_sub(bytes).ok_or(COLLECTION_TOO_LARGE)?;
                } else {
                    // Each match takes its head at least; see below.
                    txn.take_reply_room(0)?;
                }
            }
            found.push(Match {
                item,
                place,
                distance,
            });
            if !query.any && found.len() >= wanted.saturating_mul(2).saturating_add(SPARE) {
                sort(&mut found, query.order);
                found.truncate(wanted);
            }
            Ok(!query.any || found.len() < wanted)
        })?;
    }
    sort(&mut found, query.order);
    found.truncate(wanted);
    Ok(found)
}

/// The members of a cell.
fn members_of(cell: Cell) -> Selection {
    let (min, max) = cell.scores();
    Selection::of(Span::Scores(Scores {
        min,
        max,
        min_excluded: false,
        max_excluded: true,
    }))
}

/// Matches as far away as each other stay in the order in which they were found.
fn sort(found: &mut [Match], order: Option<Order>) {
    match order {
        None => {}
        Some(Order::Nearest) => found.sort_by(|a, b| a.distance.total_cmp(&b.distance)),
        Some(Order::Furthest) => found.sort_by(|a, b| b.distance.total_cmp(&a.distance)),
    }
}

impl Match {
    fn reply(&self, txn: &mut Txn<'_>, with: With, unit: f64) -> Result<Reply, EvalError> {
        /// The parts of a reply with all options, at most.
        const PARTS_BYTES: usize = 160;
        let parts = if with.is_any() { PARTS_BYTES } else { 0 };
        txn.take_reply_room(self.item.member.len() + parts)?;
        let member = Reply::Bulk(self.item.member.clone());
        if !with.is_any() {
            return Ok(member);
        }
        let parts = [
            with.distance.then(|| distance_reply(self.distance / unit)),
            with.hash.then(|| Reply::Integer(self.item.score as i64)),
            with.place.then(|| place_reply(self.place)),
        ];
        let parts = std::iter::once(member).chain(parts.into_iter().flatten());
        Ok(Reply::Array(parts.collect()))
    }
}
