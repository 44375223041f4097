//! Bytes of log entries and of persisted states: however they are damaged, decoding gives a value
//! or an error. A frame that no proxy would send is applied or refused; no replica fails by it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::{Bytes, BytesMut};
use coterie_fuzz::fuzz;
use coterie_group::{Arrival, Body, Entry, GroupState, RangeChange};
use coterie_protocol::{Frame, FrameCommand, FrameFlags, Watch};
use coterie_types::{
    Epoch, FrameSeq, GroupId, KeyRange, RangeDescriptor, RangeId, SessionId, TableId, UnixMillis,
};

mod common;

use common::Replica;

fn range() -> RangeDescriptor {
    RangeDescriptor {
        range_id: RangeId(1),
        epoch: Epoch(1),
        bounds: KeyRange {
            table: TableId(0),
            start: Bytes::new(),
            end: None,
        },
        group_id: GroupId(1),
    }
}

fn frame(flags: FrameFlags, lines: &[&str]) -> Bytes {
    let command = |line: &&str| FrameCommand {
        table: TableId(0),
        args: line
            .split(' ')
            .map(|word| Bytes::copy_from_slice(word.as_bytes()))
            .collect(),
    };
    let watch = Watch {
        table: TableId(0),
        key: Bytes::from_static(b"k"),
        token: Bytes::from_static(b"token"),
    };
    let frame = Frame {
        flags,
        session: SessionId(1),
        seq: FrameSeq(1),
        acknowledged_below: FrameSeq(1),
        reply_room: None,
        tracker: None,
        wait: None,
        watches: vec![watch; usize::from(flags.has(FrameFlags::TRANSACTION))],
        commands: lines.iter().map(command).collect(),
    };
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out.freeze()
}

fn frames() -> Vec<Bytes> {
    let lines = ["SET k 7", "INCR k", "GETRANGE k 0 -1", "SETBIT b 9 1"];
    vec![
        frame(FrameFlags::default(), &lines),
        frame(FrameFlags::TRANSACTION, &["APPEND k x", "EXPIRE k 10"]),
        frame(FrameFlags::RESP3, &["_WATCH k", "COPY k l DB 0", "DUMP k"]),
    ]
}

fn entry(body: Body) -> Vec<u8> {
    let entry = Entry {
        clock: UnixMillis(1_000),
        seed: 1,
        value_bytes_max: 1 << 20,
        body,
    };
    entry.encode().to_vec()
}

#[test]
fn entries() {
    let arrival = Arrival {
        range_id: RangeId(1),
        epoch: Epoch(1),
        table: TableId(0),
        key: Bytes::from_static(b"k"),
        record: Some(Bytes::from_static(b"\0\x01\x01value")),
    };
    let split = RangeChange::Split {
        range: range(),
        at: Bytes::from_static(b"m"),
        right_id: RangeId(2),
    };
    let bodies = [
        Body::Frames(frames()),
        Body::Tick,
        Body::Init(vec![range()]),
        Body::Change(split),
        Body::Fetched {
            arrivals: vec![arrival],
            frames: frames(),
        },
        Body::Digest { nonce: 7 },
    ];
    fuzz(&bodies.map(entry), |input| {
        if let Ok(entry) = Entry::decode(Bytes::copy_from_slice(input)) {
            assert_eq!(Entry::decode(entry.encode()).unwrap(), entry);
        }
    });
}

#[test]
fn frames_that_no_proxy_would_send_are_applied_or_refused() {
    let seeds: Vec<Vec<u8>> = frames().iter().map(|frame| frame.to_vec()).collect();
    fuzz(&seeds, |input| {
        let mut replica = Replica::new(GroupId(1));
        replica.apply(Body::Init(vec![range()]));
        // Twice: the second time it is a repetition.
        for _ in 0..2 {
            let effects = replica.apply(Body::Frames(vec![Bytes::copy_from_slice(input)]));
            assert_eq!(effects.replies.len(), 1, "each frame has an answer");
        }
    });
}

#[test]
fn persisted_states() {
    let mut replica = Replica::new(GroupId(1));
    let seeds: Vec<Vec<u8>> = [Body::Init(vec![range()]), Body::Frames(frames())]
        .into_iter()
        .map(|body| {
            replica.apply(body);
            replica.state.encode()
        })
        .collect();
    fuzz(&seeds, |input| {
        if let Ok(state) = GroupState::decode(input) {
            assert_eq!(GroupState::decode(&state.encode()).unwrap(), state);
        }
    });
}
