//! What a group's log entries say.
//!
//! ```text
//! version: u8 = 1    kind: u8    clock: u64 le    seed: u64 le    value_bytes_max: u64 le    body
//! kind 0 Frames: per frame: length (LEB128), the frame's bytes as the proxy sent them
//! kind 1 Tick:   nothing: the clock is all it carries
//! kind 2 Init:   the first ranges, postcard
//! kind 3 Sweep:  expired keys, postcard
//! kind 4 Add:    ranges that are new to the group, postcard
//! kind 5 Drop:   ids of ranges that go with their records, postcard
//! ```
//!
//! The clock is the leader's group clock when it proposed; the seed is all the chance the commands
//! get; the longest value is the leader's setting, carried along as it decides replies. Frames are not looked into here: a frame that cannot be decoded is refused when applied,
//! by every replica alike.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use coterie_types::{RangeDescriptor, RangeId, TableId, UnixMillis, varint};
use serde::{Deserialize, Serialize};

const VERSION: u8 = 1;
const FRAMES: u8 = 0;
const TICK: u8 = 1;
const INIT: u8 = 2;
const SWEEP: u8 = 3;
const ADD_RANGES: u8 = 4;
const DROP_RANGES: u8 = 5;

/// A key that was seen expired, and when it expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// The expiry that was found in the index.
    pub at: UnixMillis,
    /// The key's table.
    pub table: TableId,
    /// The key.
    pub key: Bytes,
}

/// One log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The leader's group clock at the proposal.
    pub clock: UnixMillis,
    /// All the chance its commands get.
    pub seed: u64,
    /// Bytes of the longest value that its commands may make.
    pub value_bytes_max: u64,
    /// What it does.
    pub body: Body,
}

/// What an entry does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Frames of clients, as bytes of [`coterie_protocol::Frame`].
    Frames(Vec<Bytes>),
    /// Moves the clock, so that a read may hide what has expired.
    Tick,
    /// Gives a new group its first ranges; changes nothing when it has any.
    Init(Vec<RangeDescriptor>),
    /// Removes records that are expired, and their index entries.
    Sweep(Vec<Expired>),
    /// Gives the group ranges that nobody owned before: all or, when one does not fit, none. The
    /// answer is empty, or the reason why not.
    AddRanges(Vec<RangeDescriptor>),
    /// Takes these ranges from the group, with their records. The answer is empty.
    DropRanges(Vec<RangeId>),
}

/// An entry that this version cannot read: written by a newer one, or damaged.
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
        });
        out.put_u64_le(self.clock.0);
        out.put_u64_le(self.seed);
        out.put_u64_le(self.value_bytes_max);
        match &self.body {
            Body::Frames(frames) => {
                for frame in frames {
                    varint::put_bytes(&mut out, frame);
                }
            }
            Body::Tick => {}
            Body::Init(ranges) | Body::AddRanges(ranges) => {
                out.put_slice(&coterie_protocol::encode(ranges));
            }
            Body::DropRanges(ranges) => out.put_slice(&coterie_protocol::encode(ranges)),
            Body::Sweep(expired) => out.put_slice(&coterie_protocol::encode(expired)),
        }
        out.freeze()
    }

    /// An entry from its bytes, sharing their memory.
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
            FRAMES => {
                let mut frames = Vec::new();
                while input.has_remaining() {
                    let frame = varint::take_bytes(&mut input);
                    frames.push(frame.ok_or_else(|| error("frame cut short"))?);
                }
                Body::Frames(frames)
            }
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
            Self::Frames(frames) => frames.iter().map(|frame| frame.len() + 5).sum(),
            _ => 0,
        }
    }
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, EntryError> {
    coterie_protocol::decode(bytes).map_err(|e| EntryError(e.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
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
        // One range: id, epoch, table, start, no end, group.
        let bytes = entry(Body::AddRanges(vec![range()])).encode();
        assert_eq!(bytes, with(4, &[1, 7, 1, 16, 1, b'a', 0, 3]));
        let bytes = entry(Body::DropRanges(vec![RangeId(7), RangeId(300)])).encode();
        assert_eq!(bytes, with(5, &[2, 7, 0xac, 0x02]));
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
