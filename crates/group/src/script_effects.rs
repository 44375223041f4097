//! The effects of frames with scripts, as they go through the log ([`crate::Body::Effects`]).
//!
//! ```text
//! change counter: u64 le    digest of the ownership: u64 le    frames and changes, postcard
//! ```
//!
//! The leader has computed them over a state with this counter and this ownership. A replica whose
//! state is another refuses them, and the leader runs the frames again. A change of a record that a
//! command could see raises the counter. Other changes in between are a tick, which the clock of
//! the entry shows, and the removal of expired records and the arrival of records whose keys are
//! not known yet, which no script could see.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use coterie_protocol::{FrameFlags, Watch};
use coterie_redis_compat::{Changes, Collection, ElementPlace, KeyEvent, Record, Removal};
use coterie_types::{FrameSeq, KeyRange, SessionId, TableId, Version};
use serde::{Deserialize, Serialize};

/// The state that effects were computed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The group's change counter.
    pub next_change: u64,
    /// A digest of the ranges that it owns.
    pub owned: u64,
}

/// A frame that was run, or refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFrame {
    /// Its session.
    pub session: SessionId,
    /// Its number.
    pub seq: FrameSeq,
    /// As in the frame.
    pub acknowledged_below: FrameSeq,
    /// As in the frame.
    pub flags: FrameFlags,
    /// Keys that must be unchanged; otherwise the frame is answered by a null, and changes nothing.
    /// A frame with watches has an entry of its own.
    pub watches: Vec<Watch>,
    /// Bytes of [`coterie_protocol::FrameReply`].
    pub answer: Bytes,
}

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptEffects {
    /// The state that they were computed over.
    pub standing: Standing,
    /// At least one.
    pub frames: Vec<RunFrame>,
    /// The changes of all frames together.
    pub changes: Changes,
}

/// Session, number, number below which all is acknowledged, flags, watches, answer.
type Frame = (u64, u64, u64, u8, Vec<(TableId, Bytes, Bytes)>, Bytes);
/// Collection, family, element, its value.
type Element = ((TableId, Bytes, Version), u8, Bytes, Option<Bytes>);

#[derive(Serialize, Deserialize)]
struct Wire {
    frames: Vec<Frame>,
    clears: Vec<KeyRange>,
    cleared: u64,
    /// Table, key, record as stored.
    records: Vec<(TableId, Bytes, Option<Bytes>)>,
    elements: Vec<Element>,
    /// Table, key, change counter.
    removals: Vec<(TableId, Bytes, u64)>,
    next_change: u64,
    /// Table, key, name: told by the leader, no part of the state.
    events: Vec<(TableId, Bytes, String)>,
}

impl ScriptEffects {
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u64_le(self.standing.next_change);
        out.put_u64_le(self.standing.owned);
        let changes = &self.changes;
        let wire = Wire {
            frames: self.frames.iter().map(frame_out).collect(),
            clears: changes.clears.clone(),
            cleared: changes.cleared,
            records: changes.records.iter().map(record_out).collect(),
            elements: changes.elements.iter().map(element_out).collect(),
            removals: changes.removals.iter().map(removal_out).collect(),
            next_change: changes.next_change,
            events: changes.events.iter().map(event_out).collect(),
        };
        out.put_slice(&coterie_protocol::encode(&wire));
    }

    /// The error names the defect of the bytes.
    pub(crate) fn decode(mut input: Bytes) -> Result<Self, String> {
        if input.remaining() < 16 {
            return Err("effects cut short".to_owned());
        }
        let standing = Standing {
            next_change: input.get_u64_le(),
            owned: input.get_u64_le(),
        };
        let wire: Wire = coterie_protocol::decode(&input).map_err(|error| error.to_string())?;
        let records = wire.records.into_iter().map(record_in);
        let changes = Changes {
            clears: wire.clears,
            cleared: wire.cleared,
            records: records.collect::<Result<_, _>>()?,
            elements: wire.elements.into_iter().map(element_in).collect(),
            removals: wire.removals.into_iter().map(removal_in).collect(),
            next_change: wire.next_change,
            events: wire.events.into_iter().map(event_in).collect(),
        };
        Ok(Self {
            standing,
            frames: wire.frames.into_iter().map(frame_in).collect(),
            changes,
        })
    }
}

fn event_out(event: &KeyEvent) -> (TableId, Bytes, String) {
    (event.table, event.key.clone(), event.name.to_string())
}

fn event_in((table, key, name): (TableId, Bytes, String)) -> KeyEvent {
    let name = name.into();
    KeyEvent { table, key, name }
}

fn frame_out(frame: &RunFrame) -> Frame {
    let watches = frame.watches.iter();
    let watches = watches.map(|watch| (watch.table, watch.key.clone(), watch.token.clone()));
    (
        frame.session.0,
        frame.seq.0,
        frame.acknowledged_below.0,
        frame.flags.0,
        watches.collect(),
        frame.answer.clone(),
    )
}

fn frame_in((session, seq, below, flags, watches, answer): Frame) -> RunFrame {
    let watches = watches.into_iter();
    let watches = watches.map(|(table, key, token)| Watch { table, key, token });
    RunFrame {
        session: SessionId(session),
        seq: FrameSeq(seq),
        acknowledged_below: FrameSeq(below),
        flags: FrameFlags(flags),
        watches: watches.collect(),
        answer,
    }
}

fn record_out(
    ((table, key), record): (&(TableId, Bytes), &Option<Record>),
) -> (TableId, Bytes, Option<Bytes>) {
    let record = record.as_ref().map(|record| {
        let mut out = Vec::with_capacity(record.encoded_len());
        record.encode(&mut out);
        Bytes::from(out)
    });
    (*table, key.clone(), record)
}

fn record_in(
    (table, key, record): (TableId, Bytes, Option<Bytes>),
) -> Result<((TableId, Bytes), Option<Record>), String> {
    let record = record.map(Record::decode).transpose();
    let record = record.map_err(|fault| fault.to_string())?;
    Ok(((table, key), record))
}

fn element_out((place, value): (&ElementPlace, &Option<Bytes>)) -> Element {
    let of = (place.of.table, place.of.key.clone(), place.of.incarnation);
    (of, place.family, place.element.clone(), value.clone())
}

fn element_in(
    ((table, key, incarnation), family, element, value): Element,
) -> (ElementPlace, Option<Bytes>) {
    let of = Collection {
        table,
        key,
        incarnation,
    };
    let place = ElementPlace {
        of,
        family,
        element,
    };
    (place, value)
}

fn removal_out(removal: &Removal) -> (TableId, Bytes, u64) {
    (removal.table, removal.key.clone(), removal.touched)
}

fn removal_in((table, key, touched): (TableId, Bytes, u64)) -> Removal {
    Removal {
        table,
        key,
        touched,
    }
}

#[cfg(test)]
mod tests {
    use coterie_types::GroupId;

    use super::*;

    fn version(change: u64) -> Version {
        let group = GroupId(1);
        Version { group, change }
    }

    /// One of everything.
    pub(crate) fn effects() -> ScriptEffects {
        let key = |key: &'static str| (TableId(3), Bytes::from_static(key.as_bytes()));
        let record = Record::decode(Bytes::from_static(b"\x00\x01\x07value")).unwrap();
        let of = Collection {
            table: TableId(3),
            key: Bytes::from_static(b"spread"),
            incarnation: version(6),
        };
        let place = |family| ElementPlace {
            of: of.clone(),
            family,
            element: Bytes::from_static(b"field"),
        };
        let watch = Watch {
            table: TableId(3),
            key: Bytes::from_static(b"watched"),
            token: Bytes::from_static(b"token"),
        };
        ScriptEffects {
            standing: Standing {
                next_change: 7,
                owned: u64::MAX,
            },
            frames: vec![RunFrame {
                session: SessionId(u64::MAX),
                seq: FrameSeq(300),
                acknowledged_below: FrameSeq(299),
                flags: FrameFlags::TRANSACTION.with(FrameFlags::SCRIPTS),
                watches: vec![watch],
                answer: Bytes::from_static(b"answer"),
            }],
            changes: Changes {
                clears: vec![KeyRange::all(TableId(4))],
                cleared: 8,
                records: [(key("a"), Some(record)), (key("b"), None)].into(),
                elements: [(place(0), Some(Bytes::from_static(b"v"))), (place(1), None)].into(),
                removals: vec![Removal {
                    table: TableId(3),
                    key: Bytes::from_static(b"b"),
                    touched: 9,
                }],
                events: vec![KeyEvent {
                    table: TableId(3),
                    key: Bytes::from_static(b"b"),
                    name: "del".into(),
                }],
                next_change: 10,
            },
        }
    }

    #[test]
    fn effects_survive_the_round_trip_and_are_refused_when_cut() {
        let effects = effects();
        let mut out = BytesMut::new();
        effects.encode(&mut out);
        let bytes = out.freeze();
        assert_eq!(ScriptEffects::decode(bytes.clone()).unwrap(), effects);
        for len in 0..bytes.len() {
            assert!(ScriptEffects::decode(bytes.slice(..len)).is_err(), "{len}");
        }
    }

    #[test]
    fn the_layout_in_the_log_is_pinned() {
        let mut out = BytesMut::new();
        effects().encode(&mut out);
        let frame = b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\xac\x02\xab\x02\x84\
            \x01\x03\x07watched\x05token\x06answer";
        let changes = b"\x01\x04\x00\x00\x08\
            \x02\x03\x01a\x01\x08\x00\x01\x07value\x03\x01b\x00\
            \x02\x03\x06spread\x01\x06\x00\x05field\x01\x01v\
            \x03\x06spread\x01\x06\x01\x05field\x00\
            \x01\x03\x01b\x09\x0a\
            \x01\x03\x01b\x03del";
        let expected = [&frame[..], changes].concat();
        assert_eq!(&out[..16], [&7_u64.to_le_bytes()[..], &[0xff; 8]].concat());
        assert_eq!(&out[16..], expected);
    }
}
