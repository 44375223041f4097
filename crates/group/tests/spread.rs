//! A spread collection moves with its range: its elements arrive in pieces, its header last, and
//! until then nobody sees any of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::{Bytes, BytesMut};
use coterie_group::{Body, ChangeAnswer, Elements, Place, RangeChange, Tally, Then, add_element};
use coterie_protocol::{Frame, FrameCommand, FrameFlags, FrameReply, Refusal, decode};
use coterie_redis_compat::{Changes, Collection, ElementPlace, Kind, Record, View, Walk};
use coterie_types::{
    Epoch, FrameSeq, GroupId, KeyRange, RangeDescriptor, RangeId, SessionId, TableId, Version,
    varint,
};

mod common;

use common::Replica;

const T: TableId = TableId(0);
const SOURCE: GroupId = GroupId(1);
const DESTINATION: GroupId = GroupId(2);
const RANGE: RangeId = RangeId(7);
const AFTER: Epoch = Epoch(2);
const COUNT: usize = 10;

fn version(change: u64) -> Version {
    let group = SOURCE;
    Version { group, change }
}

fn range(epoch: u64, group_id: GroupId) -> RangeDescriptor {
    RangeDescriptor {
        range_id: RANGE,
        epoch: Epoch(epoch),
        bounds: KeyRange::all(T),
        group_id,
    }
}

fn of(key: &str, change: u64) -> Collection {
    Collection {
        table: T,
        key: Bytes::copy_from_slice(key.as_bytes()),
        incarnation: version(change),
    }
}

/// The record of a spread set.
fn header(change: u64) -> Record {
    let mut value = Vec::new();
    for number in [SOURCE.0, change, COUNT as u64] {
        varint::put(&mut value, number);
    }
    Record {
        kind: Kind::Set,
        version: version(100),
        expires_at: None,
        kept: None,
        is_spread: true,
        value: Bytes::from(value),
    }
}

fn raw(record: &Record) -> Bytes {
    let mut raw = Vec::new();
    record.encode(&mut raw);
    Bytes::from(raw)
}

fn places() -> impl Iterator<Item = (Place, Bytes)> {
    (0..COUNT).map(|n| {
        let element = Bytes::from(format!("{n:03}"));
        (
            (u8::from(n > 6), element),
            Bytes::from(format!("value {n}")),
        )
    })
}

fn all() -> Tally {
    let mut tally = Tally::default();
    for ((family, element), value) in places() {
        add_element(&mut tally, family, &element, &value);
    }
    tally
}

/// Two groups; the range was handed off, and its source has a spread set under each key.
struct World {
    source: Replica,
    destination: Replica,
    seq: u64,
}

impl World {
    fn new(keys: &[&str]) -> Self {
        let (mut source, mut destination) = (Replica::new(SOURCE), Replica::new(DESTINATION));
        source.apply(Body::Init(vec![range(1, SOURCE)]));
        let mut changes = Changes::default();
        for key in keys {
            let place = |change| {
                move |(family, element)| ElementPlace {
                    of: of(key, change),
                    family,
                    element,
                }
            };
            for (at, value) in places() {
                changes.elements.insert(place(5)(at.clone()), Some(value));
                // An older collection of this key.
                changes
                    .elements
                    .insert(place(3)(at), Some(Bytes::from("old")));
            }
            let key = Bytes::copy_from_slice(key.as_bytes());
            changes.records.insert((T, key), Some(header(5)));
        }
        source.store.view.apply(&changes);
        change(
            &mut destination,
            RangeChange::BeginImport {
                range: range(2, DESTINATION),
                source: SOURCE,
            },
        )
        .unwrap();
        let range = range(2, DESTINATION);
        change(&mut source, RangeChange::HandOff { range }).unwrap();
        let (range_id, epoch) = (RANGE, AFTER);
        change(&mut destination, RangeChange::Activate { range_id, epoch }).unwrap();
        Self {
            source,
            destination,
            seq: 0,
        }
    }

    /// Sends a command to the destination, without records.
    fn run(&mut self, line: &str) -> FrameReply {
        self.seq += 1;
        let words = line
            .split(' ')
            .map(|w| Bytes::copy_from_slice(w.as_bytes()));
        let frame = Frame {
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
                args: words.collect(),
            }],
        };
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        let effects = self.destination.apply(Body::Frames(vec![bytes.freeze()]));
        FrameReply::decode(effects.replies[0].clone()).unwrap()
    }

    fn take(&mut self, piece: Elements) -> ChangeAnswer {
        change(&mut self.destination, RangeChange::Elements(piece))
    }

    fn chunk(&mut self, from: &str, key: &str, next: Option<&str>) -> ChangeAnswer {
        let b = |key: &str| Bytes::copy_from_slice(key.as_bytes());
        let chunk = RangeChange::Chunk {
            range_id: RANGE,
            epoch: AFTER,
            from: b(from),
            records: vec![(b(key), raw(&header(5)))],
            next: next.map(b),
        };
        change(&mut self.destination, chunk)
    }

    fn finish(&mut self, keys: &[&str]) -> ChangeAnswer {
        let mut all = Tally::default();
        keys.iter()
            .for_each(|key| all.add(key.as_bytes(), &raw(&header(5))));
        let (range_id, epoch) = (RANGE, AFTER);
        let finish = RangeChange::FinishImport {
            range_id,
            epoch,
            all,
        };
        change(&mut self.destination, finish)
    }

    /// The elements that commands see under a key of the destination.
    fn seen(&self, key: &str) -> Option<usize> {
        let store = &self.destination.store;
        let record = store.record(T, key.as_bytes()).unwrap()?;
        let incarnation = record.incarnation().unwrap()?;
        let of = Collection {
            incarnation,
            ..of(key, 0)
        };
        let mut count = 0;
        for family in 0..8 {
            store
                .scan_elements(&of, family, Walk::ALL, &mut |_, _| {
                    count += 1;
                    true
                })
                .unwrap();
        }
        Some(count)
    }

    fn pieces(&self) -> usize {
        let pieces = self.destination.state.pieces(RANGE);
        pieces.map_or(0, std::collections::BTreeMap::len)
    }
}

fn change(replica: &mut Replica, change: RangeChange) -> ChangeAnswer {
    decode(&replica.apply(Body::Change(change)).replies[0]).unwrap()
}

/// The elements from number `from` on, before number `to`; the header with the last.
fn piece(key: &str, from: usize, to: usize) -> Elements {
    let all_places: Vec<_> = places().collect();
    let place = |n: usize| all_places.get(n).map(|(place, _)| place.clone());
    let record = raw(&header(5));
    Elements {
        range_id: RANGE,
        epoch: AFTER,
        key: Bytes::copy_from_slice(key.as_bytes()),
        incarnation: version(5),
        from: place(from).filter(|_| from > 0),
        elements: all_places[from..to].to_vec(),
        then: match place(to) {
            Some(next) => Then::Next(next),
            None => Then::Header { record, all: all() },
        },
    }
}

const MOVING: FrameReply = FrameReply::Refused(Refusal::Moving);

fn done(reply: &'static str) -> FrameReply {
    FrameReply::Done(vec![Bytes::from_static(reply.as_bytes())])
}

#[test]
fn a_collection_is_seen_when_all_of_it_is_here() {
    let mut world = World::new(&["k"]);
    let refused = world.chunk("", "k", None);
    assert!(refused.unwrap_err().contains("are not here yet"));
    for (from, to) in [(0, 4), (4, 8)] {
        assert_eq!(world.run("exists k"), MOVING);
        world.take(piece("k", from, to)).unwrap();
        assert!(world.take(piece("k", from, to)).is_err(), "twice");
        assert_eq!((world.seen("k"), world.pieces()), (None, 1));
    }
    assert!(world.take(piece("k", 0, 4)).is_err(), "from the start");
    assert!(world.chunk("", "k", None).is_err());
    let mut other = piece("k", 8, COUNT);
    other.incarnation = version(3);
    assert!(world.take(other).is_err(), "of another incarnation");
    world.take(piece("k", 8, COUNT)).unwrap();
    assert_eq!((world.seen("k"), world.pieces()), (Some(COUNT), 0));
    world.take(piece("k", 8, COUNT)).unwrap();
    assert_eq!(world.run("exists k"), done(":1\r\n"));
    world.chunk("", "k", None).unwrap();
    world.finish(&["k"]).unwrap();
    assert_eq!(world.seen("k"), Some(COUNT));
    // The older elements of the source did not travel.
    assert_eq!(world.destination.store.view.elements_len(), COUNT);
}

#[test]
fn elements_that_differ_from_the_sources_are_not_shown() {
    let mut world = World::new(&["k"]);
    world.take(piece("k", 0, 8)).unwrap();
    let mut changed = piece("k", 8, COUNT);
    changed.elements[0].1 = Bytes::from("changed");
    let mut lost = piece("k", 8, COUNT);
    lost.elements.pop();
    let mut damaged = piece("k", 8, COUNT);
    damaged.then = Then::Header {
        record: Bytes::from("damaged"),
        all: all(),
    };
    let mut foreign = piece("k", 8, COUNT);
    foreign.then = Then::Header {
        record: raw(&header(6)),
        all: all(),
    };
    for wrong in [changed, lost, damaged, foreign] {
        assert!(world.take(wrong).is_err());
        assert_eq!((world.seen("k"), world.pieces()), (None, 1));
    }
    world.take(piece("k", 8, COUNT)).unwrap();
    assert_eq!(world.seen("k"), Some(COUNT));
}

#[test]
fn a_key_that_is_overwritten_meanwhile_stays_as_it_is() {
    for (line, after) in [("set k 1", ":1\r\n"), ("_flush a z", ":0\r\n")] {
        let mut world = World::new(&["k", "m"]);
        world.take(piece("k", 0, 4)).unwrap();
        world.run(line);
        assert_eq!(world.pieces(), 0);
        world.take(piece("k", 4, COUNT)).unwrap();
        world.take(piece("k", 0, COUNT)).unwrap();
        assert_eq!(world.run("exists k"), done(after), "{line}");
        assert_eq!((world.seen("k"), world.pieces()), (None, 0), "{line}");
        world.take(piece("m", 0, COUNT)).unwrap();
        world.chunk("", "k", Some("m")).unwrap();
        world.chunk("m", "m", None).unwrap();
        world.finish(&["k", "m"]).unwrap();
        assert_eq!(world.run("exists k"), done(after), "{line}");
    }
}

#[test]
fn a_key_that_was_whole_and_is_deleted_does_not_come_back() {
    let mut world = World::new(&["k"]);
    world.take(piece("k", 0, COUNT)).unwrap();
    assert_eq!(world.run("del k"), done(":1\r\n"));
    world.take(piece("k", 0, COUNT)).unwrap();
    world.chunk("", "k", None).unwrap();
    assert_eq!(world.run("exists k"), done(":0\r\n"));
    world.finish(&["k"]).unwrap();
    assert_eq!(world.run("exists k"), done(":0\r\n"));
}

#[test]
fn few_keys_arrive_in_pieces_at_a_time() {
    let names: Vec<String> = (0..65).map(|n| format!("k{n:02}")).collect();
    let keys: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::new(&keys);
    for key in &keys[..64] {
        world.take(piece(key, 0, 4)).unwrap();
    }
    let refused = world.take(piece(keys[64], 0, 4));
    assert!(refused.unwrap_err().contains("arriving in pieces"));
    world.take(piece(keys[0], 4, COUNT)).unwrap();
    world.take(piece(keys[64], 0, 4)).unwrap();
    let drop = Body::DropRanges(vec![RANGE]);
    world.destination.apply(drop);
    assert_eq!(world.pieces(), 0);
}

#[test]
fn pieces_of_other_ranges_and_epochs_are_refused() {
    let mut world = World::new(&["k"]);
    let mut other = piece("k", 0, 4);
    other.epoch = Epoch(3);
    assert!(world.take(other).is_err());
    let mut other = piece("k", 0, 4);
    other.range_id = RangeId(8);
    assert!(world.take(other).is_err());
    let mut later = piece("k", 4, 8);
    later.from = None;
    world.take(later).unwrap();
    assert_eq!(world.source.store.view.elements_len(), 2 * COUNT);
    let last = world.take(piece("k", 8, COUNT));
    assert!(last.is_err(), "the first elements are missing");
}
