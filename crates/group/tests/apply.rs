//! Frames through the state machine: order, exactly once, all or nothing, WATCH, ownership, expiry.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::{Bytes, BytesMut};
use coterie_group::{
    Arrival, Body, ChangeAnswer, Expired, RangeChange, ReadOutcome, resolve_frame,
};
use coterie_protocol::{Frame, FrameCommand, FrameFlags, FrameReply, Refusal, Watch};
use coterie_types::{
    Epoch, FrameSeq, GroupId, KeyRange, RangeDescriptor, RangeId, SessionId, TableId, UnixMillis,
};

const T: TableId = TableId(0);

mod common;

use common::Replica;

struct Group {
    replica: Replica,
    seq: u64,
}

fn range(start: &str, end: Option<&str>) -> RangeDescriptor {
    RangeDescriptor {
        range_id: RangeId(1),
        epoch: Epoch(1),
        bounds: KeyRange {
            table: T,
            start: Bytes::copy_from_slice(start.as_bytes()),
            end: end.map(|end| Bytes::copy_from_slice(end.as_bytes())),
        },
        group_id: GroupId(1),
    }
}

fn command(line: &str) -> FrameCommand {
    let args = line
        .split(' ')
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect();
    FrameCommand { table: T, args }
}

fn bytes(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out.freeze()
}

impl Group {
    fn new(ranges: Vec<RangeDescriptor>) -> Self {
        let mut group = Self {
            replica: Replica::new(GroupId(1)),
            seq: 0,
        };
        group.apply(Body::Init(ranges));
        group
    }

    fn apply(&mut self, body: Body) -> Vec<Bytes> {
        self.replica.apply(body).replies
    }

    fn frame(&mut self, lines: &[&str]) -> Frame {
        self.seq += 1;
        Frame {
            flags: FrameFlags::default(),
            session: SessionId(9),
            seq: FrameSeq(self.seq),
            acknowledged_below: FrameSeq(self.seq),
            reply_room: None,
            tracker: None,
            wait: None,
            watches: Vec::new(),
            commands: lines.iter().map(|line| command(line)).collect(),
        }
    }

    fn send(&mut self, frame: &Frame) -> FrameReply {
        let replies = self.apply(Body::Frames(vec![bytes(frame)]));
        FrameReply::decode(replies[0].clone()).unwrap()
    }

    fn run(&mut self, lines: &[&str]) -> Vec<String> {
        let frame = self.frame(lines);
        match self.send(&frame) {
            FrameReply::Done(replies) => replies
                .iter()
                .map(|reply| String::from_utf8_lossy(reply).into_owned())
                .collect(),
            other => panic!("refused: {other:?}"),
        }
    }

    fn read(&self, line: &str, now: u64) -> ReadOutcome {
        let frame = Frame {
            flags: FrameFlags::READ_ONLY,
            session: SessionId(9),
            seq: FrameSeq(0),
            acknowledged_below: FrameSeq(0),
            reply_room: None,
            tracker: None,
            wait: None,
            watches: Vec::new(),
            commands: vec![command(line)],
        };
        self.replica
            .state
            .read_state(None)
            .read(
                &resolve_frame(bytes(&frame)).unwrap(),
                &self.replica.store,
                UnixMillis(now),
                0,
            )
            .unwrap()
    }
}

fn changed(answers: &[Bytes]) -> ChangeAnswer {
    coterie_protocol::decode(&answers[0]).unwrap()
}

fn reply(reply: &str) -> ReadOutcome {
    ReadOutcome::Reply(FrameReply::Done(vec![Bytes::copy_from_slice(reply.as_bytes())]).encode())
}

#[test]
fn a_frame_sent_again_is_applied_once_and_answered_alike() {
    let mut group = Group::new(vec![range("", None)]);
    let frame = group.frame(&["incr n", "incr n"]);
    let first = group.send(&frame);
    assert_eq!(group.send(&frame), first);
    assert_eq!(group.run(&["get n"]), ["$1\r\n2\r\n"]);
}

#[test]
fn a_frame_with_a_foreign_key_is_refused_whole_and_for_good() {
    let mut group = Group::new(vec![range("a", Some("m"))]);
    let frame = group.frame(&["set a 1", "set z 1"]);
    let refused = group.send(&frame);
    assert!(matches!(
        refused,
        FrameReply::Refused(Refusal::Moved { .. })
    ));
    assert_eq!(
        group.send(&frame),
        refused,
        "a late copy of it is refused for ever"
    );
    assert_eq!(
        group.run(&["exists a"]),
        [":0\r\n"],
        "nothing of it was executed"
    );
}

#[test]
fn a_transaction_runs_only_while_its_watches_hold() {
    let mut group = Group::new(vec![range("", None)]);
    group.run(&["set k 1"]);
    let token = |group: &mut Group| {
        let reply = group.run(&["_watch k"]).remove(0).into_bytes();
        let start = reply.iter().position(|b| *b == b'\n').unwrap() + 1;
        Bytes::copy_from_slice(&reply[start..reply.len() - 2])
    };
    let exec = |group: &mut Group, token: Bytes| {
        let mut frame = group.frame(&["incr k", "get k"]);
        frame.flags = FrameFlags::TRANSACTION;
        frame.watches = vec![Watch {
            table: T,
            key: Bytes::from_static(b"k"),
            token,
        }];
        group.send(&frame)
    };
    let before = token(&mut group);
    assert_eq!(
        exec(&mut group, before.clone()),
        FrameReply::Done(vec![Bytes::from_static(b"*2\r\n:2\r\n$1\r\n2\r\n")])
    );
    assert_eq!(
        exec(&mut group, before),
        FrameReply::Done(vec![Bytes::from_static(b"*-1\r\n")])
    );
    group.run(&["del k"]);
    let absent = token(&mut group);
    group.run(&["set k 5", "del k"]);
    assert_eq!(
        exec(&mut group, absent),
        FrameReply::Done(vec![Bytes::from_static(b"*-1\r\n")]),
        "created and deleted again, within one entry"
    );
}

/// `DEL`, `WATCH` and a write of another key may come in a single pipeline, and so in a single
/// frame.
#[test]
fn a_removal_before_the_watch_in_one_frame_does_not_break_it() {
    let mut group = Group::new(vec![range("", None)]);
    group.run(&["set k 1"]);
    let reply = group.run(&["del k", "_watch k", "set other 1"]).remove(1);
    let token = reply.into_bytes();
    let start = token.iter().position(|b| *b == b'\n').unwrap() + 1;
    let token = Bytes::copy_from_slice(&token[start..token.len() - 2]);
    let mut frame = group.frame(&["exists k"]);
    frame.flags = FrameFlags::TRANSACTION;
    frame.watches = vec![Watch {
        table: T,
        key: Bytes::from_static(b"k"),
        token,
    }];
    assert_eq!(
        group.send(&frame),
        FrameReply::Done(vec![Bytes::from_static(b"*1\r\n:0\r\n")])
    );
}

#[test]
fn what_expired_for_a_reader_never_comes_back() {
    let mut group = Group::new(vec![range("", None)]);
    group.run(&["set k v px 100"]);
    assert_eq!(group.read("get k", 1_050), reply("$1\r\nv\r\n"));
    assert_eq!(group.read("get k", 1_100), ReadOutcome::NeedsTick);
    group.replica.clock = 1_100;
    group.apply(Body::Tick);
    assert_eq!(group.read("get k", 1_100), reply("$-1\r\n"));
    // A new leader whose wall clock is behind.
    group.replica.clock = 500;
    assert_eq!(group.run(&["get k"]), ["$-1\r\n"]);
    assert_eq!(group.read("get k", 500), reply("$-1\r\n"));
}

#[test]
fn a_sweep_removes_what_is_expired_and_nothing_else() {
    let mut group = Group::new(vec![range("", None)]);
    group.run(&["set gone v px 100", "set stays v px 5000"]);
    group.replica.clock = 2_000;
    let expired = |key: &'static str| Expired {
        at: UnixMillis(1_100),
        table: T,
        key: Bytes::from_static(key.as_bytes()),
    };
    let body = Body::Sweep(vec![expired("gone"), expired("stays"), expired("never")]);
    group.apply(body);
    assert_eq!(
        group.run(&["exists gone stays", "pttl stays"]),
        [":1\r\n", ":4000\r\n"]
    );
}

#[test]
fn a_write_outside_the_log_is_refused() {
    let group = Group::new(vec![range("", None)]);
    let ReadOutcome::Reply(answer) = group.read("set k v", 0) else {
        panic!("no reply")
    };
    assert!(matches!(
        FrameReply::decode(answer).unwrap(),
        FrameReply::Refused(Refusal::Malformed { .. })
    ));
}

#[test]
fn replicas_that_apply_the_same_entries_reach_the_same_state() {
    let mut groups = [
        Group::new(vec![range("", None)]),
        Group::new(vec![range("", None)]),
    ];
    for group in &mut groups {
        group.run(&["set a 1", "incr a", "append b x", "del a", "randomkey"]);
        group.run(&["_random 0 0", "setrange c 3 y", "expire b 10"]);
    }
    assert_eq!(groups[0].replica.state, groups[1].replica.state);
    assert_eq!(
        groups[0].replica.state.encode(),
        groups[1].replica.state.encode()
    );
}

#[test]
fn a_range_that_is_dropped_goes_with_its_records_and_comes_back_empty() {
    let mut group = Group::new(vec![range("", Some("m"))]);
    let added = RangeDescriptor {
        range_id: RangeId(2),
        ..range("m", None)
    };
    for _ in 0..2 {
        let answers = group.apply(Body::AddRanges(vec![added.clone()]));
        assert!(changed(&answers).is_ok());
    }
    group.run(&["set a 1", "set z 2", "set zz 3 px 50"]);
    let overlapping = RangeDescriptor {
        range_id: RangeId(3),
        ..range("k", None)
    };
    let answers = group.apply(Body::AddRanges(vec![overlapping]));
    assert!(changed(&answers).is_err());
    for _ in 0..2 {
        let answers = group.apply(Body::DropRanges(vec![RangeId(2)]));
        assert!(changed(&answers).is_ok());
    }
    assert_eq!(group.run(&["get a"]), ["$1\r\n1\r\n"]);
    let frame = group.frame(&["get z"]);
    assert!(matches!(
        group.send(&frame),
        FrameReply::Refused(Refusal::Moved { ranges }) if ranges.is_empty()
    ));
    // Its expiry was in the sweep's index: only the index entry is left to remove.
    group.replica.clock += 100;
    let swept = Expired {
        at: UnixMillis(1_050),
        table: T,
        key: Bytes::from_static(b"zz"),
    };
    group.apply(Body::Sweep(vec![swept]));
    group.apply(Body::AddRanges(vec![RangeDescriptor {
        range_id: RangeId(4),
        ..added
    }]));
    assert_eq!(group.run(&["exists z zz"]), [":0\r\n"]);
}

#[test]
fn small_requests_make_no_value_over_the_limit_and_no_entry_without_bound() {
    let mut group = Group::new(vec![range("", None)]);
    let refused = group.run(&["setbit k 4294967295 1"]).remove(0);
    assert!(refused.starts_with("-ERR bit offset is not"), "{refused}");
    assert_eq!(group.run(&["setbit big 8388000 1"]), [":0\r\n"]);
    // Each creates a value of nearly 1 MiB; together they would be 300 MiB.
    let lines: Vec<String> = (0..300).map(|n| format!("bitop or k{n} big")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let replies = group.run(&lines);
    assert_eq!(
        replies, [":1048501\r\n"; 33],
        "the rest comes with another frame"
    );
    assert_eq!(group.run(&["exists k32 k33"]), [":1\r\n"]);
}

#[test]
fn what_was_fetched_for_an_earlier_import_is_not_taken_by_a_later_one() {
    let mut group = Group::new(vec![range("", None)]);
    let (elsewhere, range_id, epoch) = (GroupId(9), RangeId(1), Epoch(3));
    let at = |epoch: u64, group_id: GroupId| RangeDescriptor {
        epoch: Epoch(epoch),
        group_id,
        ..range("", None)
    };
    for step in [
        RangeChange::HandOff {
            range: at(2, elsewhere),
        },
        RangeChange::DropFrozen {
            range_id,
            epoch: Epoch(2),
        },
        RangeChange::BeginImport {
            range: at(3, GroupId(1)),
            source: elsewhere,
        },
        RangeChange::Activate { range_id, epoch },
    ] {
        assert!(changed(&group.apply(Body::Change(step))).is_ok());
    }
    let mut fetched = |epoch: Epoch| {
        let arrival = Arrival {
            range_id,
            epoch,
            table: T,
            key: Bytes::from_static(b"k"),
            record: None,
        };
        let frames = vec![bytes(&group.frame(&["exists k"]))];
        let arrivals = vec![arrival];
        let replies = group.apply(Body::Fetched { arrivals, frames });
        FrameReply::decode(replies[0].clone()).unwrap()
    };
    let late = fetched(Epoch(1));
    assert_eq!(late, FrameReply::Refused(Refusal::Moving));
    let found = fetched(epoch);
    assert_eq!(found, FrameReply::Done(vec![Bytes::from_static(b":0\r\n")]));
}

#[test]
fn sort_reads_the_keys_that_its_elements_name_where_the_group_has_them() {
    let mut group = Group::new(vec![range("", Some("n"))]);
    group.run(&["rpush list 1 2 3", "mset a_1 30 a_2 20 a_3 10"]);
    let sorted = "*3\r\n$1\r\n3\r\n$1\r\n2\r\n$1\r\n1\r\n";
    assert_eq!(group.run(&["sort list by a_*"]), [sorted]);
    assert_eq!(group.run(&["sort list by a_* store kept"]), [":3\r\n"]);
    let refused = group.run(&["sort list by z_*"]).remove(0);
    assert!(refused.starts_with("-ERR BY and GET patterns"), "{refused}");
    // A range that lacks some of its records is not read.
    let arriving = RangeDescriptor {
        range_id: RangeId(8),
        ..range("n", None)
    };
    let (source, range_id, epoch) = (GroupId(9), arriving.range_id, arriving.epoch);
    let announced = RangeChange::BeginImport {
        range: arriving,
        source,
    };
    for step in [announced, RangeChange::Activate { range_id, epoch }] {
        assert!(changed(&group.apply(Body::Change(step))).is_ok());
    }
    assert_eq!(group.run(&["sort list by z_*"]), [refused]);
    assert_eq!(group.run(&["sort list by a_*"]), [sorted]);
}
