//! A range moves from a group to another while it is used: at whatever moment a command runs,
//! clients see the replies of a group that never gave the range away.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::{Bytes, BytesMut};
use coterie_group::{
    Arrival, Body, ChangeAnswer, Effects, Expired, RangeChange, Tally, named_keys, resolve_frame,
};
use coterie_protocol::{Frame, FrameCommand, FrameFlags, FrameReply, Refusal, Watch, decode};
use coterie_redis_compat::{Record, View};
use coterie_types::{
    Epoch, FrameSeq, GroupId, KeyRange, RangeDescriptor, RangeId, SessionId, TableId, UnixMillis,
};
use proptest::prelude::*;

mod common;

use common::Replica;
use common::pieces::next_piece;

const T: TableId = TableId(0);
const SOURCE: GroupId = GroupId(1);
const DESTINATION: GroupId = GroupId(2);
const RANGE: RangeId = RangeId(7);
const AFTER: Epoch = Epoch(2);

fn range(epoch: u64, group_id: GroupId) -> RangeDescriptor {
    RangeDescriptor {
        range_id: RangeId(7),
        epoch: Epoch(epoch),
        bounds: KeyRange::all(T),
        group_id,
    }
}

fn words(line: &str) -> Vec<Bytes> {
    let words = line.split(' ');
    words
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect()
}

/// Two groups between which a range moves, and a group that owns it all the time.
struct World {
    source: Replica,
    destination: Replica,
    reference: Replica,
    seq: u64,
    is_handed_off: bool,
}

fn change(replica: &mut Replica, change: RangeChange) -> ChangeAnswer {
    decode(&replica.apply(Body::Change(change)).replies[0]).unwrap()
}

fn raw(replica: &Replica, key: &[u8]) -> Option<Bytes> {
    let record = replica.store.record(T, key).unwrap()?;
    let mut raw = Vec::new();
    record.encode(&mut raw);
    Some(Bytes::from(raw))
}

impl World {
    fn new() -> Self {
        let mut source = Replica::new(SOURCE);
        source.apply(Body::Init(vec![range(1, SOURCE)]));
        let mut reference = Replica::new(GroupId(3));
        reference.apply(Body::Init(vec![range(1, GroupId(3))]));
        Self {
            source,
            destination: Replica::new(DESTINATION),
            reference,
            seq: 0,
            is_handed_off: false,
        }
    }

    fn frame(&mut self, line: &str) -> Frame {
        self.seq += 1;
        Frame {
            flags: FrameFlags::default(),
            session: SessionId(9),
            seq: FrameSeq(self.seq),
            acknowledged_below: FrameSeq(1),
            reply_room: None,
            tracker: None,
            wait: None,
            watches: Vec::new(),
            commands: vec![FrameCommand {
                table: T,
                args: words(line),
            }],
        }
    }

    /// Applies a frame at the owner, as its leader does: with the records of the keys it names.
    fn send(&mut self, frame: &Frame) -> FrameReply {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        let bytes = bytes.freeze();
        let frames = vec![bytes.clone()];
        let effects = if self.is_handed_off {
            let resolved = resolve_frame(bytes).unwrap();
            let needed = named_keys(&resolved)
                .into_iter()
                .filter(|key| key.is_needed);
            let needed: Vec<Bytes> = needed.map(|needed| needed.key).collect();
            needed
                .iter()
                .for_each(|key| while self.copy_piece(key, 2) {});
            let arrivals = needed.iter().map(|key| self.arrival(key)).collect();
            self.destination.apply(Body::Fetched { arrivals, frames })
        } else {
            self.source.apply(Body::Frames(frames))
        };
        FrameReply::decode(effects.replies[0].clone()).unwrap()
    }

    fn arrival(&self, key: &Bytes) -> Arrival {
        Arrival {
            range_id: RANGE,
            epoch: AFTER,
            table: T,
            key: key.clone(),
            record: raw(&self.source, key),
        }
    }

    /// Runs a command in both worlds.
    fn run(&mut self, line: &str) {
        let frame = self.frame(line);
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        let expected = self.reference.apply(Body::Frames(vec![bytes.freeze()]));
        let expected = FrameReply::decode(expected.replies[0].clone()).unwrap();
        assert_eq!(self.send(&frame), expected, "{line}");
        assert_eq!(self.send(&frame), expected, "{line}, sent again");
    }

    fn advance(&mut self, millis: u64) {
        for replica in [&mut self.source, &mut self.destination, &mut self.reference] {
            replica.clock += millis;
        }
    }

    fn begin(&mut self) {
        let (range, source) = (range(2, DESTINATION), SOURCE);
        change(
            &mut self.destination,
            RangeChange::BeginImport { range, source },
        )
        .unwrap();
    }

    fn hand_off(&mut self) {
        let handed = RangeChange::HandOff {
            range: range(2, DESTINATION),
        };
        change(&mut self.source, handed).unwrap();
        let (range_id, epoch) = (RANGE, AFTER);
        change(
            &mut self.destination,
            RangeChange::Activate { range_id, epoch },
        )
        .unwrap();
        self.is_handed_off = true;
    }

    /// Copies the next elements of a spread collection that has not arrived; returns whether there
    /// were any.
    fn copy_piece(&mut self, key: &Bytes, count: usize) -> bool {
        let (source, destination) = (&self.source, &self.destination);
        let of_import = (RANGE, AFTER, T);
        let Some(piece) = next_piece(source, destination, of_import, key, count) else {
            return false;
        };
        change(&mut self.destination, RangeChange::Elements(piece)).unwrap();
        true
    }

    /// Copies the next `count` records; returns whether anything was left to do.
    fn copy(&mut self, count: usize) -> bool {
        let Some(import) = self.destination.state.import(RANGE) else {
            return false;
        };
        let Some(from) = import.known().cursor().cloned() else {
            return false;
        };
        let (mut records, mut next) = (Vec::new(), None);
        let bounds = KeyRange {
            start: from.clone(),
            ..KeyRange::all(T)
        };
        let mut keys = Vec::new();
        self.source
            .store
            .scan(&bounds, &mut |key, _| {
                keys.push(key);
                keys.len() <= count
            })
            .unwrap();
        if let Some(first) = keys.first()
            && self.copy_piece(first, count)
        {
            return true;
        }
        for key in keys {
            let record = raw(&self.source, &key).unwrap();
            let is_spread = Record::incarnation_of(&record).unwrap().is_some();
            if records.len() == count || (is_spread && !records.is_empty()) {
                next = Some(key);
                break;
            }
            records.push((key.clone(), record));
        }
        let chunk = RangeChange::Chunk {
            range_id: RANGE,
            epoch: AFTER,
            from,
            records,
            next,
        };
        change(&mut self.destination, chunk.clone()).unwrap();
        assert!(change(&mut self.destination, chunk).is_err(), "twice");
        true
    }

    fn finish(&mut self) {
        while self.copy(3) {}
        let mut all = Tally::default();
        let mut keys = Vec::new();
        self.source
            .store
            .scan(&KeyRange::all(T), &mut |key, _| {
                keys.push(key);
                true
            })
            .unwrap();
        for key in keys {
            all.add(&key, &raw(&self.source, &key).unwrap());
        }
        let finish = |all| RangeChange::FinishImport {
            range_id: RANGE,
            epoch: AFTER,
            all,
        };
        let wrong = Tally {
            checksum: all.checksum.wrapping_add(1),
            ..all
        };
        assert!(change(&mut self.destination, finish(wrong)).is_err());
        for _twice in 0..2 {
            change(&mut self.destination, finish(all)).unwrap();
        }
        assert!(self.destination.store.marks.is_empty());
        assert!(self.destination.store.known.is_empty());
        let (range_id, epoch) = (RANGE, AFTER);
        for _twice in 0..2 {
            change(
                &mut self.source,
                RangeChange::DropFrozen { range_id, epoch },
            )
            .unwrap();
        }
        assert!(self.source.store.view.is_empty());
    }
}

/// A step of the test.
#[derive(Debug, Clone)]
enum Act {
    Run(String),
    Advance(u64),
    Sweep(u8),
    Copy(usize),
}

fn key() -> impl Strategy<Value = char> {
    proptest::char::range('a', 'h')
}

fn act() -> impl Strategy<Value = Act> {
    let run = |line: String| Act::Run(line);
    prop_oneof![
        4 => (key(), 0..9u8).prop_map(move |(k, v)| run(format!("set {k} {v}"))),
        1 => (key(), 0..9u8).prop_map(move |(k, v)| run(format!("set {k} {v} px 50"))),
        1 => (key(), 0..9u8).prop_map(move |(k, v)| run(format!("set {k} {v} pxat 1"))),
        1 => (key(), 0..9u8).prop_map(move |(k, v)| run(format!("set {k} {v} keepttl get"))),
        1 => (key(), key()).prop_map(move |(a, b)| run(format!("mset {a} 1 {b} 2"))),
        1 => (key(), 0..3u8).prop_map(move |(k, v)| run(format!("setex {k} {v} soon"))),
        3 => key().prop_map(move |k| run(format!("get {k}"))),
        3 => key().prop_map(move |k| run(format!("del {k}"))),
        3 => key().prop_map(move |k| run(format!("incr {k}"))),
        2 => (key(), key()).prop_map(move |(a, b)| run(format!("mget {a} {b}"))),
        2 => (key(), key()).prop_map(move |(a, b)| run(format!("rename {a} {b}"))),
        1 => key().prop_map(move |k| run(format!("pttl {k}"))),
        2 => (key(), key(), 0..9u8).prop_map(move |(k, f, v)| run(format!("hset {k} {f} {v}"))),
        // Two of these are too long for one record.
        4 => (proptest::char::range('a', 'c'), key(), 0..9u8).prop_map(move |(k, f, v)| {
            run(format!("hset {k} {f} {v}{} x{f} {v}", "v".repeat(4_200)))
        }),
        1 => (key(), key()).prop_map(move |(k, f)| run(format!("hget {k} {f}"))),
        1 => key().prop_map(move |k| run(format!("hlen {k}"))),
        1 => (key(), key()).prop_map(move |(k, f)| run(format!("hdel {k} {f}"))),
        1 => (key(), key()).prop_map(move |(k, f)| run(format!("hincrby {k} {f} 1"))),
        1 => key().prop_map(move |k| run(format!("hgetall {k}"))),
        1 => (key(), key()).prop_map(move |(a, b)| run(format!("_flush {a} {b}"))),
        1 => (0..60u64).prop_map(Act::Advance),
        1 => (0..8u8).prop_map(Act::Sweep),
        3 => (1..4usize).prop_map(Act::Copy),
    ]
}

fn acts(count: usize) -> impl Strategy<Value = Vec<Act>> {
    proptest::collection::vec(act(), 0..count)
}

impl World {
    fn act(&mut self, act: &Act) {
        match act {
            Act::Run(line) => self.run(line),
            Act::Advance(millis) => self.advance(*millis),
            Act::Copy(count) => drop(self.copy(*count)),
            Act::Sweep(key) => {
                let expired = |at| Expired {
                    at: UnixMillis(at),
                    table: T,
                    key: Bytes::from(vec![b'a' + key]),
                };
                for replica in [&mut self.source, &mut self.destination, &mut self.reference] {
                    let at = replica.clock;
                    replica.apply(Body::Sweep(vec![expired(at)]));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_move_changes_no_reply(before in acts(30), announced in acts(6), after in acts(40)) {
        let mut world = World::new();
        before.iter().for_each(|act| world.act(act));
        world.begin();
        announced.iter().for_each(|act| world.act(act));
        world.hand_off();
        after.iter().for_each(|act| world.act(act));
        world.finish();
        for key in 'a'..='h' {
            world.run(&format!("get {key}"));
            world.run(&format!("hgetall {key}"));
            world.run(&format!("pttl {key}"));
        }
    }
}

fn refusal(effects: &Effects) -> Refusal {
    match FrameReply::decode(effects.replies[0].clone()).unwrap() {
        FrameReply::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

fn apply(replica: &mut Replica, frame: &Frame) -> Effects {
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    replica.apply(Body::Frames(vec![bytes.freeze()]))
}

#[test]
fn a_frame_whose_keys_have_not_arrived_is_not_remembered() {
    let mut world = World::new();
    world.run("set a 1");
    world.begin();
    let frame = world.frame("incr a");
    let announced = refusal(&apply(&mut world.destination, &frame));
    assert_eq!(announced, Refusal::Moving, "not served yet");
    world.hand_off();
    let unknown = refusal(&apply(&mut world.destination, &frame));
    assert_eq!(unknown, Refusal::Moving, "the record is at the source");
    let done = FrameReply::Done(vec![Bytes::from_static(b":2\r\n")]);
    assert_eq!(world.send(&frame), done, "the same frame, with its record");
}

#[test]
fn what_is_only_overwritten_need_not_have_arrived() {
    let mut world = World::new();
    world.run("set a 1");
    world.begin();
    world.hand_off();
    let mut both = world.frame("set a 2");
    both.commands.extend(world.frame("incr a").commands);
    let refused = refusal(&apply(&mut world.destination, &both));
    assert_eq!(refused, Refusal::Moving, "the second command reads it");
    for line in ["set a 2 nx", "set a 2 KeepTtl", "getset a 2"] {
        let frame = world.frame(line);
        let refused = refusal(&apply(&mut world.destination, &frame));
        assert_eq!(refused, Refusal::Moving, "{line}");
    }
    let frame = world.frame("set a 2 px 5000");
    let done = apply(&mut world.destination, &frame).replies;
    let ok = FrameReply::Done(vec![Bytes::from_static(b"+OK\r\n")]);
    assert_eq!(FrameReply::decode(done[0].clone()).unwrap(), ok);
    world.reference.apply(Body::Frames(vec![{
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        bytes.freeze()
    }]));
    world.run("get a");
    world.finish();
    world.run("incr a");
}

#[test]
fn the_source_refuses_and_names_the_new_owner() {
    let mut world = World::new();
    world.run("set a 1");
    world.begin();
    let applied = world.frame("incr a");
    let answer = world.send(&applied);
    world.hand_off();
    let frame = world.frame("incr a");
    let moved = refusal(&apply(&mut world.source, &frame));
    let ranges = vec![range(2, DESTINATION)];
    assert_eq!(moved, Refusal::Moved { ranges });
    let again = apply(&mut world.source, &applied).replies;
    assert_eq!(FrameReply::decode(again[0].clone()).unwrap(), answer);
}

#[test]
fn an_interval_cannot_be_read_by_the_log_before_it_has_arrived() {
    let mut world = World::new();
    world.begin();
    world.hand_off();
    let frame = world.frame("_count a z");
    let refused = refusal(&apply(&mut world.destination, &frame));
    assert_eq!(refused, Refusal::Moving);
    world.finish();
    world.run("_count a z");
}

/// The token that `WATCH` remembers of a key.
fn watch(world: &mut World, key: &'static str) -> Watch {
    let frame = world.frame(&format!("_watch {key}"));
    let FrameReply::Done(replies) = world.send(&frame) else {
        panic!("refused");
    };
    let line_end = replies[0].iter().position(|byte| *byte == b'\n').unwrap();
    Watch {
        table: T,
        key: Bytes::from_static(key.as_bytes()),
        token: replies[0].slice(line_end + 1..replies[0].len() - 2),
    }
}

/// Whether a transaction that watches the key is executed.
fn exec(world: &mut World, watch: Watch) -> bool {
    let mut frame = world.frame("get other");
    frame.flags = FrameFlags::TRANSACTION;
    frame.watches = vec![watch];
    world.send(&frame) != FrameReply::Done(vec![Bytes::from_static(b"*-1\r\n")])
}

#[test]
fn what_was_watched_is_watched_across_a_move() {
    let mut world = World::new();
    for key in ["same", "changed", "removed"] {
        world.run(&format!("set {key} 1"));
    }
    let same = watch(&mut world, "same");
    let changed = watch(&mut world, "changed");
    let removed = watch(&mut world, "removed");
    let absent = watch(&mut world, "absent");
    world.begin();
    world.hand_off();
    assert!(exec(&mut world, same.clone()));
    world.run("set changed 1");
    assert!(!exec(&mut world, changed));
    world.run("del removed");
    assert!(!exec(&mut world, removed));
    assert!(!exec(&mut world, absent), "in vain rather than wrong");
    world.finish();
    assert!(exec(&mut world, same));
}

#[test]
fn an_absent_key_that_was_there_elsewhere_in_between_counts_as_touched() {
    let mut world = World::new();
    let absent = watch(&mut world, "absent");
    world.begin();
    world.hand_off();
    world.run("set absent 1");
    world.run("del absent");
    world.finish();
    let back = range(3, SOURCE);
    let (range_id, epoch) = (RANGE, Epoch(3));
    for step in [
        RangeChange::BeginImport {
            range: back.clone(),
            source: DESTINATION,
        },
        RangeChange::Activate { range_id, epoch },
    ] {
        change(&mut world.source, step).unwrap();
    }
    let mut frame = world.frame("exists other");
    frame.flags = FrameFlags::TRANSACTION;
    frame.watches = vec![absent.clone()];
    let arrivals = ["absent", "other"].map(|key| Arrival {
        range_id,
        epoch,
        table: T,
        key: Bytes::from_static(key.as_bytes()),
        record: None,
    });
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    let (arrivals, frames) = (arrivals.to_vec(), vec![bytes.freeze()]);
    let effects = world.source.apply(Body::Fetched { arrivals, frames });
    let failed = FrameReply::Done(vec![Bytes::from_static(b"*-1\r\n")]);
    assert_eq!(
        FrameReply::decode(effects.replies[0].clone()).unwrap(),
        failed
    );
}
