//! A large sorted set: its members in order, in the nodes of a tree, and the score of each member
//! as an element of its own.
//!
//! ```text
//! family 0      a place (`txn/place.rs`) and the member -> 8 bytes: the score, big endian
//! families 1-5  the scores and members in order (`order.rs`), counted (`txn/counted.rs`)
//!
//! rest of the header:
//! 16 bytes      the key of places; its first 8 bytes, little endian, choose the nodes
//! ```
//!
//! The layout is on disk, described in `docs/disk-format.md`. Walks are in `walk.rs`.

mod walk;

use std::ops::Bound;

use bytes::{Buf, Bytes};

use super::order::{Item, first_key, just_above, key, key_behind};
use super::span::{Edge, Span};
use crate::txn::counted::Counted;
use crate::txn::place::{self, PlaceKey};
use crate::txn::spread::SpreadHeader;
use crate::{Collection, EvalError, Fault, Txn, Walk};

const PLACES: u8 = 0;
const ORDER: u8 = 1;

/// Bytes of items after which it shows them.
const PIECE_BYTES: usize = 64 << 10;

/// The elements of a large sorted set.
#[derive(Debug)]
pub(super) struct Spread {
    of: Collection,
    count: u64,
    places: PlaceKey,
}

/// An interval of keys in order: `from` included, `to` excluded.
#[derive(Debug)]
struct Keys {
    from: Bytes,
    /// `None`: up to the last.
    to: Option<Bytes>,
}

/// How a command visits items; it returns false to end the walk.
pub(crate) type Visit<'v> = dyn FnMut(&mut Txn<'_>, Item) -> Result<bool, EvalError> + 'v;

impl Spread {
    /// A set of items in order; there is at least one.
    pub(super) fn new(txn: &mut Txn<'_>, key: &Bytes, items: &[Item]) -> Result<Self, Fault> {
        let halves = [txn.random(), txn.random()];
        let mut places = PlaceKey::default();
        places[..8].copy_from_slice(&halves[0].to_le_bytes());
        places[8..].copy_from_slice(&halves[1].to_le_bytes());
        let spread = Self {
            of: txn.begin_collection(key),
            count: items.len() as u64,
            places,
        };
        for item in items {
            spread.put_score(txn, item);
        }
        let pairs = items.iter().map(|item| (item.key(), item.value()));
        spread.counted().build(txn, pairs)?;
        Ok(spread)
    }

    pub(super) fn of(header: &SpreadHeader, of: Collection) -> Result<Self, Fault> {
        let corrupt = || Fault::corrupt("the header of a sorted set is cut short");
        let mut rest = header.rest.clone();
        let mut places = PlaceKey::default();
        rest.try_copy_to_slice(&mut places).map_err(|_| corrupt())?;
        Ok(Self {
            of,
            count: header.count,
            places,
        })
    }

    /// The header to store.
    pub(super) fn header(&self) -> SpreadHeader {
        SpreadHeader {
            incarnation: self.of.incarnation,
            count: self.count,
            rest: Bytes::copy_from_slice(&self.places),
        }
    }

    /// The set is removed with its key.
    pub(super) fn forget(&self, txn: &mut Txn<'_>) -> Result<(), Fault> {
        txn.forget_order(&self.counted())
    }

    pub(super) fn len(&self) -> u64 {
        self.count
    }

    pub(super) fn score(&self, txn: &Txn<'_>, member: &[u8]) -> Result<Option<f64>, Fault> {
        let value = txn.element(&self.of, PLACES, &self.place_key(member))?;
        value.map(|value| score_in(&value)).transpose()
    }

    /// Adds an item whose member is not there.
    pub(super) fn insert(&mut self, txn: &mut Txn<'_>, item: &Item) -> Result<(), Fault> {
        self.put_score(txn, item);
        self.put_in_order(txn, item)
    }

    /// Gives a member that is there another score.
    pub(super) fn change(
        &mut self,
        txn: &mut Txn<'_>,
        before: &Item,
        score: f64,
    ) -> Result<(), Fault> {
        let item = Item {
            score,
            member: before.member.clone(),
        };
        self.put_score(txn, &item);
        self.remove_from_order(txn, before)?;
        self.put_in_order(txn, &item)
    }

    /// Removes an item that is there.
    pub(super) fn remove(&mut self, txn: &mut Txn<'_>, item: &Item) -> Result<(), Fault> {
        let place = self.place_key(&item.member);
        txn.remove_element(&self.of, PLACES, place);
        self.remove_from_order(txn, item)
    }

    /// Removes items that stand side by side, in order or backwards.
    pub(super) fn remove_run(&mut self, txn: &mut Txn<'_>, run: &[Item]) -> Result<(), Fault> {
        let (Some(one), Some(other)) = (run.first(), run.last()) else {
            return Ok(());
        };
        let is_in_order = one.is_before(other);
        let mut keys: Vec<Bytes> = run.iter().map(Item::key).collect();
        if !is_in_order {
            keys.reverse();
        }
        for item in run {
            let place = self.place_key(&item.member);
            txn.remove_element(&self.of, PLACES, place);
        }
        self.counted().remove_run(txn, keys)?;
        self.count -= run.len() as u64;
        Ok(())
    }

    /// How many items there are before this one.
    pub(super) fn rank(&self, txn: &Txn<'_>, item: &Item) -> Result<u64, Fault> {
        self.rank_of(txn, &item.key())
    }

    /// The item with so many before it.
    pub(super) fn select(&self, txn: &Txn<'_>, nth: u64) -> Result<Option<Item>, Fault> {
        let Some(mut path) = self.counted().select(txn, nth)? else {
            return Ok(None);
        };
        let mut found = None;
        self.counted().walk(txn, &mut path, false, |key, value| {
            found = Some(Item::of(key, value));
            false
        })?;
        found.transpose()
    }

    /// How many items a span has.
    pub(super) fn count(&self, txn: &Txn<'_>, span: &Span) -> Result<u64, Fault> {
        let Some(keys) = self.keys(txn, span)? else {
            return Ok(0);
        };
        let (from, to) = self.ranks(txn, &keys)?;
        Ok(to.saturating_sub(from))
    }

    /// Members from a cursor on, about `max`; and the cursor of the rest, 0 if there is none. Those
    /// that share a place come together.
    pub(super) fn scan(
        &self,
        txn: &Txn<'_>,
        cursor: u64,
        max: usize,
    ) -> Result<(u64, Vec<Item>), Fault> {
        let (mut found, mut next, mut bytes) = (Vec::new(), 0, 0);
        let Some(from) = place::at(cursor) else {
            return Ok((0, found));
        };
        let (mut before, mut fault) = (None, None);
        let walk = Walk::Up(Bound::Included(&from[..]));
        txn.scan_elements(&self.of, PLACES, walk, &mut |key, value| {
            let Some((place, member)) = key.split_first_chunk() else {
                fault = Some(lost());
                return false;
            };
            let is_full = found.len() >= max || bytes >= PIECE_BYTES;
            if is_full && before.is_some_and(|before| before != *place) {
                next = place::number(*place);
                return false;
            }
            before = Some(*place);
            bytes += key.len();
            match score_in(value) {
                Ok(score) => found.push(Item {
                    score,
                    member: Bytes::copy_from_slice(member),
                }),
                Err(broken) => fault = Some(broken),
            }
            fault.is_none()
        })?;
        fault.map_or(Ok((next, found)), Err)
    }

    /// Bytes that the elements of an item take in an entry.
    pub(super) fn entry_bytes(key: &[u8], item: &Item) -> usize {
        let element = key.len() + item.member.len() + place::PLACE_BYTES + size_of::<f64>();
        2 * element
    }

    fn put_score(&self, txn: &mut Txn<'_>, item: &Item) {
        let value = Bytes::copy_from_slice(&item.score.to_be_bytes());
        txn.put_element(&self.of, PLACES, self.place_key(&item.member), value);
    }

    fn put_in_order(&mut self, txn: &mut Txn<'_>, item: &Item) -> Result<(), Fault> {
        txn.put_in_order(&self.counted(), item.key(), item.value())?;
        self.count += 1;
        Ok(())
    }

    fn remove_from_order(&mut self, txn: &mut Txn<'_>, item: &Item) -> Result<(), Fault> {
        txn.remove_from_order(&self.counted(), item.key())?;
        self.count -= 1;
        Ok(())
    }

    fn place_key(&self, member: &[u8]) -> Bytes {
        let place = place::place(&self.places, member);
        Bytes::from([&place[..], member].concat())
    }

    fn counted(&self) -> Counted<'_> {
        let [seed @ .., _, _, _, _, _, _, _, _] = self.places;
        Counted {
            of: &self.of,
            family: ORDER,
            seed: u64::from_le_bytes(seed),
            count: self.count,
        }
    }

    /// How many items there are before a key.
    fn rank_of(&self, txn: &Txn<'_>, key: &[u8]) -> Result<u64, Fault> {
        if key.is_empty() {
            return Ok(0);
        }
        self.counted().rank(txn, key)
    }

    /// How many items there are before the start and before the end of an interval.
    fn ranks(&self, txn: &Txn<'_>, keys: &Keys) -> Result<(u64, u64), Fault> {
        let from = self.rank_of(txn, &keys.from)?;
        let to = match &keys.to {
            Some(to) => self.rank_of(txn, to)?,
            None => self.count,
        };
        Ok((from, to))
    }

    /// The interval of a span; `None` if nothing can be in it.
    fn keys(&self, txn: &Txn<'_>, span: &Span) -> Result<Option<Keys>, Fault> {
        let all = || Keys {
            from: Bytes::new(),
            to: None,
        };
        Ok(match span {
            Span::All => Some(all()),
            Span::Scores(scores) if scores.is_empty() => None,
            Span::Scores(scores) => Some(Keys {
                from: match scores.min_excluded {
                    true => key_behind(scores.min),
                    false => first_key(scores.min),
                },
                to: Some(match scores.max_excluded {
                    true => first_key(scores.max),
                    false => key_behind(scores.max),
                }),
            }),
            Span::Members(members) if members.is_empty() => None,
            Span::Members(members) => {
                let first = self.counted().first(txn)?;
                let first = first
                    .map(|(key, value)| Item::of(&key, &value))
                    .transpose()?;
                let score = first.ok_or_else(lost)?.score;
                let mut keys = all();
                if let Edge::At { member, excluded } = &members.min {
                    let min = key(score, member);
                    keys.from = if *excluded { just_above(&min) } else { min };
                }
                if let Edge::At { member, excluded } = &members.max {
                    let max = key(score, member);
                    keys.to = Some(if *excluded { max } else { just_above(&max) });
                }
                Some(keys)
            }
        })
    }
}

fn score_in(value: &[u8]) -> Result<f64, Fault> {
    let bytes = <[u8; 8]>::try_from(value);
    let score = bytes.map(f64::from_be_bytes).ok();
    let score = score.filter(|score| !score.is_nan());
    score.ok_or_else(|| Fault::corrupt("the score of a member does not fit"))
}

fn lost() -> Fault {
    Fault::corrupt("the elements of a sorted set do not fit its header")
}
