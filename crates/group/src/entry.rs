//! The format of a group's log entries.
//!
//! ```text
//! version: u8 = 1    kind: u8    clock: u64 le    seed: u64 le    value_bytes_max: u64 le    body
//! kind 0 Frames: per frame: length (LEB128), the frame's bytes as the proxy sent them
//! kind 1 Tick:   nothing: the clock is all it carries
//! kind 2 Init:   the first ranges, postcard
//! kind 3 Sweep:  expired keys, postcard
//! kind 4 Add:    ranges that are new to the group, postcard
//! kind 5 Drop:   ids of ranges to remove with their records, postcard
//! kind 6 Change: a change of a range's bounds or owner, postcard
//! kind 10 Effects: see `script_effects.rs`
//! kind 8 Digest: its name: u64 le
//! kind 9 Fetched: length (LEB128) and arrivals, postcard; then frames as in kind 0
//! ```
//!
//! The clock is the leader's group clock at the proposal. The seed is the only source of chance for
//! the commands. The longest value is the leader's setting, carried along because it decides
//! replies. Frames are not parsed here: a frame that cannot be decoded is refused when it is
//! applied, by every replica alike.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use coterie_types::{
    Epoch, GroupId, RangeDescriptor, RangeId, TableId, UnixMillis, Version, varint,
};
use serde::{Deserialize, Serialize};

use crate::digest::Tally;
use crate::import::{Arrival, Place};
use crate::script_effects::ScriptEffects;

const VERSION: u8 = 1;
const FRAMES: u8 = 0;
const TICK: u8 = 1;
const INIT: u8 = 2;
const SWEEP: u8 = 3;
const ADD_RANGES: u8 = 4;
const DROP_RANGES: u8 = 5;
const CHANGE: u8 = 6;
const FETCHED: u8 = 9;
const EFFECTS: u8 = 10;
const DIGEST: u8 = 8;

/// A key that was found expired, and its expiry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// The expiry found in the index.
    pub at: UnixMillis,
    /// The key's table.
    pub table: TableId,
    /// The key.
    pub key: Bytes,
}

/// A log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The leader's group clock at the proposal.
    pub clock: UnixMillis,
    /// The only source of chance for its commands.
    pub seed: u64,
    /// Bytes of the longest value that its commands may create.
    pub value_bytes_max: u64,
    /// The work of the entry.
    pub body: Body,
}

/// The work of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Frames of clients, as bytes of [`coterie_protocol::Frame`].
    Frames(Vec<Bytes>),
    /// Advances the clock, so that reads may hide records that have expired.
    Tick,
    /// Gives a new group its first ranges; changes nothing if the group has any.
    Init(Vec<RangeDescriptor>),
    /// Removes expired records and their index entries.
    Sweep(Vec<Expired>),
    /// Gives the group ranges that had no owner before: all of them, or none if any does not fit.
    /// The answer is a [`ChangeAnswer`].
    AddRanges(Vec<RangeDescriptor>),
    /// Removes these ranges and their records from the group. The answer is a [`ChangeAnswer`].
    DropRanges(Vec<RangeId>),
    /// Changes a range. The answer is a [`ChangeAnswer`].
    Change(RangeChange),
    /// Frames, preceded by the records of named keys that had not arrived yet.
    Fetched {
        /// The records.
        arrivals: Vec<Arrival>,
        /// As in [`Body::Frames`].
        frames: Vec<Bytes>,
    },
    /// The effects of frames with scripts, which the leader has run.
    Effects(Box<ScriptEffects>),
    /// Makes every replica count its records in their state after this entry.
    Digest {
        /// Names the count.
        nonce: u64,
    },
}

/// The outcome of a change of ranges: the group's clock at the change, or the reason why nothing
/// was changed.
pub type ChangeAnswer = Result<UnixMillis, String>;

/// A change of the bounds or the owner of a range (design §9). Every change may be retried; a retry
/// finds the result of the first attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RangeChange {
    /// Splits a range; the left part keeps its id, both get the next epoch.
    Split {
        /// The range before.
        range: RangeDescriptor,
        /// The first key of the right part.
        at: Bytes,
        /// The id of the right part.
        right_id: RangeId,
    },
    /// Merges two neighbours; the id of the left range stays, with the epoch after the higher of
    /// both.
    Merge {
        /// The left range before.
        left: RangeDescriptor,
        /// The right range before.
        right: RangeDescriptor,
    },
    /// Announces a range that another group is about to give to this one.
    BeginImport {
        /// The range as it will be here.
        range: RangeDescriptor,
        /// The group that owns it now.
        source: GroupId,
    },
    /// Withdraws an announcement.
    CancelImport {
        /// The range.
        range_id: RangeId,
        /// The announced epoch.
        epoch: Epoch,
    },
    /// Hands a range off to another group; the records here are frozen.
    HandOff {
        /// The range as it will be at its new owner.
        range: RangeDescriptor,
    },
    /// Begins to serve an announced range.
    Activate {
        /// The range.
        range_id: RangeId,
        /// Its epoch.
        epoch: Epoch,
    },
    /// The next records of an imported range, in key order.
    Chunk {
        /// The range.
        range_id: RangeId,
        /// Its epoch.
        epoch: Epoch,
        /// Where the chunk begins, which is where the previous chunk ended.
        from: Bytes,
        /// Keys and records as the source stores them.
        records: Vec<(Bytes, Bytes)>,
        /// Where the next chunk begins; `None` after the last chunk.
        next: Option<Bytes>,
    },
    /// Ends an import, if the copied records match the tally of the source.
    FinishImport {
        /// The range.
        range_id: RangeId,
        /// Its epoch.
        epoch: Epoch,
        /// The source's tally of the range.
        all: Tally,
    },
    /// Deletes the frozen copy of a range.
    DropFrozen {
        /// The range.
        range_id: RangeId,
        /// The epoch at which it was handed off.
        epoch: Epoch,
    },
    /// The next elements of a spread collection of an imported range, or its header.
    Elements(Elements),
}

/// A piece of a spread collection that arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elements {
    /// The range.
    pub range_id: RangeId,
    /// Its epoch.
    pub epoch: Epoch,
    /// The key of the collection.
    pub key: Bytes,
    /// The incarnation of its elements.
    pub incarnation: Version,
    /// Where the piece begins, which is where the previous piece ended; `None` in the first.
    pub from: Option<Place>,
    /// Places and values of elements, in their order.
    pub elements: Vec<(Place, Bytes)>,
    /// What comes after this piece.
    pub then: Then,
}

/// What comes after a piece of a spread collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// A piece that begins here.
    Next(Place),
    /// Nothing: the collection is whole, if its elements match the source's tally.
    Header {
        /// The header's record, as the source stores it.
        record: Bytes,
        /// The source's tally of the elements.
        all: Tally,
    },
}

/// An entry that this version cannot read: written by a newer version, or damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("log entry: {0}")]
pub struct EntryError(pub(crate) String);

impl Entry {
    /// The entry's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64 + self.body.len_hint());
        out.put_u8(VERSION);
        out.put_u8(match &self.body {
            Body::Frames(_) => FRAMES,
            Body::Tick => TICK,
            Body::Init(_) => INIT,
            Body::Sweep(_) => SWEEP,
            Body::AddRanges(_) => ADD_RANGES,
            Body::DropRanges(_) => DROP_RANGES,
            Body::Change(_) => CHANGE,
            Body::Fetched { .. } => FETCHED,
            Body::Effects(_) => EFFECTS,
            Body::Digest { .. } => DIGEST,
        });
        out.put_u64_le(self.clock.0);
        out.put_u64_le(self.seed);
        out.put_u64_le(self.value_bytes_max);
        match &self.body {
            Body::Frames(frames) => put_frames(&mut out, frames),
            Body::Fetched { arrivals, frames } => {
                varint::put_bytes(&mut out, &coterie_protocol::encode(arrivals));
                put_frames(&mut out, frames);
            }
            Body::Effects(effects) => effects.encode(&mut out),
            Body::Change(change) => out.put_slice(&coterie_protocol::encode(change)),
            Body::Digest { nonce } => out.put_u64_le(*nonce),
            Body::Tick => {}
            Body::Init(ranges) | Body::AddRanges(ranges) => {
                out.put_slice(&coterie_protocol::encode(ranges));
            }
            Body::DropRanges(ranges) => out.put_slice(&coterie_protocol::encode(ranges)),
            Body::Sweep(expired) => out.put_slice(&coterie_protocol::encode(expired)),
        }
        out.freeze()
    }

    /// Decodes an entry; its parts share the memory of `input`.
    pub fn decode(mut input: Bytes) -> Result<Self, EntryError> {
        let error = |what: &str| EntryError(what.to_owned());
        if input.remaining() < 26 {
            return Err(error("cut short"));
        }
        let (version, kind) = (input.get_u8(), input.get_u8());
        if version != VERSION {
            return Err(EntryError(format!(
                "version {version}, this program knows {VERSION}"
            )));
        }
        let (clock, seed) = (UnixMillis(input.get_u64_le()), input.get_u64_le());
        let value_bytes_max = input.get_u64_le();
        let body = match kind {
            FRAMES => Body::Frames(take_frames(input)?),
            FETCHED => {
                let arrivals = varint::take_bytes(&mut input);
                let arrivals = decode(&arrivals.ok_or_else(|| error("arrivals cut short"))?)?;
                let frames = take_frames(input)?;
                Body::Fetched { arrivals, frames }
            }
            EFFECTS => {
                let effects = ScriptEffects::decode(input).map_err(EntryError)?;
                Body::Effects(Box::new(effects))
            }
            CHANGE => Body::Change(decode(&input)?),
            DIGEST => Body::Digest {
                nonce: input.try_get_u64_le().map_err(|_| error("cut short"))?,
            },
            TICK => Body::Tick,
            INIT => Body::Init(decode(&input)?),
            SWEEP => Body::Sweep(decode(&input)?),
            ADD_RANGES => Body::AddRanges(decode(&input)?),
            DROP_RANGES => Body::DropRanges(decode(&input)?),
            kind => return Err(EntryError(format!("unknown kind {kind}"))),
        };
        Ok(Self {
            clock,
            seed,
            value_bytes_max,
            body,
        })
    }
}

impl Body {
    fn len_hint(&self) -> usize {
        match self {
            Self::Frames(frames) | Self::Fetched { frames, .. } => {
                frames.iter().map(|frame| frame.len() + 5).sum()
            }
            _ => 0,
        }
    }
}

fn put_frames(out: &mut BytesMut, frames: &[Bytes]) {
    for frame in frames {
        varint::put_bytes(out, frame);
    }
}

fn take_frames(mut input: Bytes) -> Result<Vec<Bytes>, EntryError> {
    let mut frames = Vec::new();
    while input.has_remaining() {
        let frame = varint::take_bytes(&mut input);
        frames.push(frame.ok_or_else(|| EntryError("frame cut short".to_owned()))?);
    }
    Ok(frames)
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, EntryError> {
    coterie_protocol::decode(bytes).map_err(|e| EntryError(e.to_string()))
}

#[cfg(test)]
mod tests {
    use coterie_types::{Epoch, GroupId, KeyRange};

    use super::*;

    fn range() -> RangeDescriptor {
        RangeDescriptor {
            range_id: RangeId(7),
            epoch: Epoch(1),
            bounds: KeyRange {
                table: TableId(16),
                start: Bytes::from_static(b"a"),
                end: None,
            },
            group_id: GroupId(3),
        }
    }

    fn entry(body: Body) -> Entry {
        Entry {
            clock: UnixMillis(5),
            seed: 6,
            value_bytes_max: 7,
            body,
        }
    }

    #[test]
    fn entries_survive_the_round_trip() {
        let expired = Expired {
            at: UnixMillis(1),
            table: TableId(2),
            key: Bytes::from_static(b"k"),
        };
        for body in [
            Body::Frames(vec![Bytes::from_static(b"one"), Bytes::new()]),
            Body::Tick,
            Body::Init(vec![]),
            Body::Sweep(vec![expired]),
            Body::AddRanges(vec![range()]),
            Body::DropRanges(vec![RangeId(7), RangeId(8)]),
            Body::Change(RangeChange::HandOff { range: range() }),
            Body::Change(RangeChange::Chunk {
                range_id: RangeId(7),
                epoch: Epoch(2),
                from: Bytes::new(),
                records: vec![(Bytes::from_static(b"k"), Bytes::from_static(b"r"))],
                next: None,
            }),
            Body::Fetched {
                arrivals: vec![Arrival {
                    range_id: RangeId(7),
                    epoch: Epoch(2),
                    table: TableId(0),
                    key: Bytes::from_static(b"k"),
                    record: None,
                }],
                frames: vec![Bytes::from_static(b"one")],
            },
            Body::Digest { nonce: u64::MAX },
        ] {
            let entry = entry(body);
            assert_eq!(Entry::decode(entry.encode()).unwrap(), entry);
        }
    }

    #[test]
    fn the_layout_in_the_log_is_pinned() {
        let bytes = entry(Body::Frames(vec![Bytes::from_static(b"x")])).encode();
        let expected = [
            1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, b'x',
        ];
        assert_eq!(bytes, expected.as_slice());
        let head = &expected[..26];
        let with = |kind: u8, body: &[u8]| {
            let mut bytes = head.to_vec();
            bytes[1] = kind;
            bytes.extend_from_slice(body);
            bytes
        };
        // A range: id, epoch, table, start, no end, group.
        let bytes = entry(Body::AddRanges(vec![range()])).encode();
        assert_eq!(bytes, with(4, &[1, 7, 1, 16, 1, b'a', 0, 3]));
        let bytes = entry(Body::DropRanges(vec![RangeId(7), RangeId(300)])).encode();
        assert_eq!(bytes, with(5, &[2, 7, 0xac, 0x02]));
        let change = RangeChange::Activate {
            range_id: RangeId(7),
            epoch: Epoch(300),
        };
        let bytes = entry(Body::Change(change)).encode();
        assert_eq!(bytes, with(6, &[5, 7, 0xac, 0x02]));
        let arrival = Arrival {
            range_id: RangeId(7),
            epoch: Epoch(2),
            table: TableId(0),
            key: Bytes::from_static(b"k"),
            record: Some(Bytes::from_static(b"r")),
        };
        let (arrivals, frames) = (vec![arrival], vec![Bytes::from_static(b"x")]);
        let bytes = entry(Body::Fetched { arrivals, frames }).encode();
        assert_eq!(
            bytes,
            with(9, &[9, 1, 7, 2, 0, 1, b'k', 1, 1, b'r', 1, b'x'])
        );
        let bytes = entry(Body::Digest { nonce: 1 }).encode();
        assert_eq!(bytes, with(8, &[1, 0, 0, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn newer_and_cut_entries_are_refused() {
        let whole = entry(Body::Frames(vec![Bytes::from_static(b"frame")])).encode();
        assert!(Entry::decode(whole.slice(..whole.len() - 1)).is_err());
        let mut newer = whole.to_vec();
        newer[0] = 2;
        assert!(Entry::decode(Bytes::from(newer)).is_err());
    }
}
