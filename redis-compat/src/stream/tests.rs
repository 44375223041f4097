//! Random commands over streams; after each, all counters and hints are held against a walk.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::{Bytes, BytesMut};

use super::Stream;
use super::body::{
    Body, CONSUMER_NAMES, CONSUMERS, ENTRIES, PENDING, PENDING_BY_TIME, PENDING_OF_CONSUMERS,
};
use super::entry::Entry;
use super::id::StreamId;
use crate::txn::tests::{T, ctx};
use crate::{MemView, Resolved, Resp, Txn, Walk, execute};

/// A store, its clock, and the numbers that make the commands.
struct World {
    view: MemView,
    now: u64,
    next_change: u64,
    random: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            view: MemView::new(),
            now: 1000,
            next_change: 1,
            random: seed,
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.random >> 33) % end
    }

    fn with<R>(&mut self, run: impl FnOnce(&mut Txn<'_>) -> R) -> R {
        let mut ctx = ctx(self.now);
        ctx.next_change = self.next_change;
        let mut txn = Txn::new(&self.view, ctx);
        let result = run(&mut txn);
        let changes = txn.finish().unwrap();
        self.next_change = changes.next_change;
        self.view.apply(&changes);
        result
    }

    fn run(&mut self, line: &str) -> String {
        let words = line
            .split(' ')
            .map(|word| Bytes::copy_from_slice(word.as_bytes()));
        let command = Resolved::new(T, words.collect());
        let mut reply = BytesMut::new();
        self.with(|txn| execute(txn, &command, Resp::V2, &mut reply).unwrap());
        String::from_utf8_lossy(&reply).into_owned()
    }

    /// Some ids around those that are there.
    fn ids(&mut self, last: u64) -> String {
        let ids = (0..=self.below(4)).map(|_| {
            let ms = last.saturating_sub(self.below(last.min(80) + 1));
            format!("{ms}-0")
        });
        ids.collect::<Vec<_>>().join(" ")
    }
}

/// All elements of a family.
fn family(stream: &Stream, txn: &Txn<'_>, family: u8) -> Vec<(Bytes, Bytes)> {
    let mut all = Vec::new();
    let mut from = Bound::Unbounded;
    loop {
        let walk = Walk::Up(from.as_ref().map(|key: &Bytes| &key[..]));
        let page = stream.body.page(txn, (family, &[]), walk, 100).unwrap();
        let Some((last, _)) = page.last() else {
            return all;
        };
        from = Bound::Excluded(last.clone());
        all.extend(page);
    }
}

/// Counters and hints agree with a walk; returns whether the stream is spread.
fn check(txn: &mut Txn<'_>, key: &'static str) -> Option<bool> {
    let stream = txn.stream(&Bytes::from(key)).unwrap()?;
    let entries = family(&stream, txn, ENTRIES);
    let entries = entries
        .into_iter()
        .map(|(key, value)| Entry::of(&key, value).unwrap());
    let entries: Vec<_> = entries.collect();
    let head = &stream.head;
    assert_eq!(head.length, entries.len() as u64);
    let ends = entries.first().zip(entries.last());
    let ends = ends.map_or_else(Default::default, |(first, last)| (first.id, last.id));
    assert_eq!((head.first_entry, head.last_entry), ends);
    assert!(head.last >= head.last_entry && head.added >= head.length);
    let of_node = |number| entries.iter().filter(|entry| entry.node == number).count() as u64;
    if let Some(tail) = &head.tail {
        assert_eq!(
            (tail.live, tail.number),
            (of_node(tail.number), head.last_node)
        );
    }
    if let Some(front) = head.front {
        let first = entries.first().map(|entry| entry.node);
        assert_eq!(
            (Some(front.number), front.live),
            (first, of_node(front.number))
        );
        let last = entries.iter().rfind(|entry| entry.node == front.number);
        assert_eq!(last.map(|entry| entry.id), Some(front.last));
    }
    check_groups(&stream, txn);
    Some(matches!(stream.body, Body::Spread(_)))
}

fn check_groups(stream: &Stream, txn: &mut Txn<'_>) {
    let groups = stream.all_groups(txn).unwrap();
    assert_eq!(stream.head.groups, groups.len() as u64);
    let (mut pending, mut owned, mut consumers) = (0, 0, 0);
    for mut group in groups {
        pending += group.pending;
        let all = group.all_consumers(stream, txn).unwrap();
        assert_eq!(group.consumers, all.len() as u64);
        consumers += all.len();
        let entries = group
            .some_pending(stream, txn, StreamId::MIN, usize::MAX)
            .unwrap();
        assert_eq!(group.pending, entries.len() as u64);
        let by_time: BTreeMap<_, _> = entries
            .iter()
            .map(|(id, p)| ((p.delivered_at, *id), ()))
            .collect();
        let first = (0, StreamId::MIN);
        let longest = group
            .longest_pending(stream, txn, (first, u64::MAX), usize::MAX)
            .unwrap();
        assert!(longest.iter().eq(by_time.keys()), "by time");
        for number in all {
            let of_consumer = entries
                .iter()
                .filter(|(_, pending)| pending.consumer == number);
            let of_consumer: Vec<_> = of_consumer.map(|(id, _)| *id).collect();
            let ids = group.some_of_consumer(stream, txn, number, StreamId::MIN, usize::MAX);
            assert_eq!(ids.unwrap(), of_consumer);
            let consumer = group.consumer(stream, txn, number).unwrap();
            assert_eq!(consumer.pending, of_consumer.len() as u64);
            owned += of_consumer.len();
        }
    }
    let count = |of| family(stream, txn, of).len();
    assert_eq!(
        (count(PENDING) as u64, count(PENDING_BY_TIME) as u64),
        (pending, pending)
    );
    assert_eq!(count(PENDING_OF_CONSUMERS), owned);
    assert_eq!(
        (count(CONSUMERS), count(CONSUMER_NAMES)),
        (consumers, consumers)
    );
}

fn line(world: &mut World, last: &mut u64) -> String {
    let (group, consumer) = (
        ["g", "h"][world.below(2) as usize],
        ["a", "b"][world.below(2) as usize],
    );
    let ids = world.ids(*last);
    let count = ids.split(' ').count();
    let refs = ["KEEPREF", "DELREF", "ACKED"][world.below(3) as usize];
    let threshold = world.below(120);
    match world.below(30) {
        0..10 => {
            *last += 1;
            let value = "v".repeat(world.below(60) as usize);
            let trim = match world.below(8) {
                0 => format!("MAXLEN ~ {threshold} "),
                1 => format!("{refs} MAXLEN {threshold} "),
                _ => String::new(),
            };
            format!("xadd s {trim}{last}-0 field {value}")
        }
        10 => format!("xgroup create s {group} 0 mkstream"),
        11 if world.below(4) == 0 => format!("xgroup destroy s {group}"),
        11 => format!(
            "xgroup setid s {group} {}",
            ids.split(' ').next().unwrap_or("0")
        ),
        12 if world.below(3) == 0 => format!("xgroup delconsumer s {group} {consumer}"),
        12 => format!("xgroup createconsumer s {group} {consumer}"),
        13..17 => format!("xreadgroup group {group} {consumer} count 5 streams s >"),
        17 => format!("xreadgroup group {group} {consumer} count 5 claim 3 streams s >"),
        18 => format!("xreadgroup group {group} {consumer} noack count 2 streams s 0"),
        19..22 => format!("xack s {group} {ids}"),
        22 => format!("xclaim s {group} {consumer} 2 {ids} force"),
        23 => format!("xautoclaim s {group} {consumer} 2 0 count 3"),
        24 | 25 => format!("xdel s {ids}"),
        26 => format!("xdelex s {refs} ids {count} {ids}"),
        27 => format!("xackdel s {group} {refs} ids {count} {ids}"),
        28 => format!("xnack s {group} fail ids {count} {ids} force"),
        _ => match world.below(4) {
            0 => format!("xtrim s maxlen ~ {threshold}"),
            1 => format!("xtrim s minid {}-0 {refs}", last.saturating_sub(threshold)),
            2 => format!("xtrim s minid ~ {}-0", last.saturating_sub(threshold)),
            _ => format!("xtrim s maxlen {threshold} {refs}"),
        },
    }
}

#[test]
fn counters_and_hints_agree_with_a_walk() {
    let (mut spread, mut packed, mut fine) = (0, 0, 0);
    for seed in 0..40 {
        let (mut world, mut last) = (World::new(seed), 0);
        for step in 0..250 {
            world.now += world.below(3);
            let line = line(&mut world, &mut last);
            let reply = world.run(&line);
            fine += usize::from(!reply.starts_with('-'));
            match world.with(|txn| check(txn, "s")) {
                Some(true) => spread += 1,
                Some(false) => packed += 1,
                None => {}
            }
            if step % 100 == 99 {
                world.run("copy s copy replace");
                world.with(|txn| check(txn, "copy"));
            }
        }
    }
    assert!(
        spread > 1000 && packed > 1000 && fine > 5000,
        "{spread} {packed} {fine}"
    );
}

#[test]
fn a_stream_is_spread_when_its_record_is_long_and_stays_so() {
    let mut world = World::new(1);
    let mut ms = 0;
    let is_spread = |world: &mut World| world.with(|txn| check(txn, "s")).unwrap();
    world.run("xgroup create s g 0 mkstream");
    assert!(!is_spread(&mut world));
    while !is_spread(&mut world) {
        ms += 1;
        assert!(ms < 1000, "never spread");
        world.run(&format!("xadd s {ms}-0 f v"));
    }
    assert!(ms > 50, "spread at {ms} entries");
    assert_eq!(world.run("xlen s"), format!(":{ms}\r\n"));
    assert_eq!(
        world.run("xreadgroup group g c count 1 streams s >").len(),
        50
    );
    world.run("xtrim s maxlen 0");
    assert!(is_spread(&mut world));
    assert_eq!(world.run("xrange s - +"), "*0\r\n");
    assert!(world.run("xpending s g").starts_with("*4\r\n:1\r\n"));
}

/// Adding with `MAXLEN` must not look at what was removed.
#[test]
fn a_trimmed_stream_has_no_more_elements_than_entries() {
    let mut world = World::new(1);
    for ms in 1..=3000 {
        world.run(&format!("xadd s maxlen ~ 100 {ms}-0 field value"));
        world.run(&format!("xadd t maxlen 100 {ms}-0 field value"));
    }
    for (key, least) in [("s", 100), ("t", 100)] {
        world.with(|txn| check(txn, key));
        let length = world.run(&format!("xlen {key}"));
        let length: u64 = length[1..].trim().parse().unwrap();
        assert!((least..200).contains(&length), "{key} has {length}");
    }
}
