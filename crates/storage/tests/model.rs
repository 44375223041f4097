//! Compares stores with a map: every read, scan and cursor sees the state at its start, also after
//! later writes, flushes and clearings.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ops::Bound;

use coterie_storage::{
    Batch, Cursor, Engine, MemEngine, Reader, RecordCache, RocksEngine, RocksShared,
};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// The same numbers each time.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }

    /// A key in any of four spaces; few keys, so that operations meet.
    fn key(&mut self) -> Vec<u8> {
        let mut key = vec![b'a' + self.below(4) as u8];
        if self.below(8) != 0 {
            key.push(self.below(60) as u8);
        }
        key
    }

    /// Start and end of an interval; a few are empty.
    fn interval(&mut self) -> (Vec<u8>, Vec<u8>) {
        let (a, b) = (self.key(), self.key());
        match self.below(20) {
            0 => (a.clone().max(b.clone()), a.min(b)),
            1..4 => (b"a".to_vec(), b"z".to_vec()),
            _ => (a.clone().min(b.clone()), a.max(b)),
        }
    }

    fn batch(&mut self, model: &mut Model) -> Batch {
        let mut batch = Batch::default();
        if self.below(60) == 0 {
            let (start, end) = self.interval();
            if start < end {
                model.retain(|key, _| *key < start || *key >= end);
                batch.clear(start, end);
            }
        }
        for _ in 0..self.below(4) {
            let key = self.key();
            if self.below(3) == 0 {
                model.remove(&key);
                batch.delete(key);
            } else {
                let value = self.0.to_be_bytes().to_vec();
                model.insert(key.clone(), value.clone());
                batch.put(key, value);
            }
        }
        batch
    }
}

/// A cursor, and its expected place.
struct Walk<'a> {
    cursor: Box<dyn Cursor + 'a>,
    /// The interval as it was when the cursor was made.
    model: Model,
    at: Option<Vec<u8>>,
}

impl<'a> Walk<'a> {
    fn begin(reader: &'a dyn Reader, model: &Model, next: &mut Sequence) -> Self {
        let (start, end) = next.interval();
        let cursor = reader.cursor(&start, &end).unwrap();
        assert_eq!(cursor.entry(), None);
        let within = model
            .iter()
            .filter(|(key, _)| start <= **key && **key < end);
        let model = within.map(|(key, value)| (key.clone(), value.clone()));
        Self {
            cursor,
            model: model.collect(),
            at: None,
        }
    }

    fn step(&mut self, next: &mut Sequence) {
        let from = |bound| {
            let mut rest = self.model.range::<Vec<u8>, _>((bound, Bound::Unbounded));
            rest.next().map(|(key, _)| key.clone())
        };
        let before = |key: &Vec<u8>| {
            let mut rest = self
                .model
                .range::<[u8], _>((Bound::Unbounded, Bound::Excluded(&key[..])));
            rest.next_back().map(|(key, _)| key.clone())
        };
        self.at = match next.below(8) {
            0 => {
                let key = next.key();
                self.cursor.seek(&key).unwrap();
                from(Bound::Included(key))
            }
            1 => {
                let key = next.key();
                self.cursor.seek_before(&key).unwrap();
                before(&key)
            }
            2..5 => {
                self.cursor.next().unwrap();
                self.at.take().and_then(|key| from(Bound::Excluded(key)))
            }
            _ => {
                self.cursor.prev().unwrap();
                self.at.take().and_then(|key| before(&key))
            }
        };
        let expected = self.at.as_ref().map(|key| (&key[..], &self.model[key][..]));
        assert_eq!(self.cursor.entry(), expected);
    }
}

fn all(reader: &dyn Reader) -> Model {
    let mut seen = Model::new();
    let mut visit = |key: &[u8], value: &[u8]| seen.insert(key.into(), value.into()).is_none();
    reader.scan(b"a", b"z", &mut visit).unwrap();
    seen
}

fn check_key(reader: &dyn Reader, model: &Model, key: &[u8]) {
    let found = reader.get(key).unwrap();
    assert_eq!(found.as_deref(), model.get(key).map(Vec::as_slice));
}

fn rocks(dir: &std::path::Path) -> RocksEngine {
    let shared = RocksShared::new(1 << 20, 0).unwrap();
    RocksEngine::open(dir, &shared.with_records(RecordCache::new(1 << 16))).unwrap()
}

#[test]
fn cursors_see_the_moment_when_they_were_made() {
    let dir = tempfile::tempdir().unwrap();
    let engine = rocks(dir.path());
    let (mut model, mut next) = (Model::new(), Sequence(1));
    let mut walks: Vec<Walk<'_>> = Vec::new();
    for _ in 0..15_000 {
        match next.below(10) {
            0..5 => engine.write(next.batch(&mut model)).unwrap(),
            5 if next.below(200) == 0 => engine.flush().unwrap(),
            5 if next.below(10) == 0 => engine.start_flush().unwrap(),
            6 if next.below(4) == 0 => {
                let walk = Walk::begin(&engine, &model, &mut next);
                match walks.len() {
                    0..4 => walks.push(walk),
                    len => walks[next.below(len as u64) as usize] = walk,
                }
            }
            7 => check_key(&engine, &model, &next.key()),
            8 if next.below(50) == 0 => assert_eq!(all(&engine), model),
            _ if walks.is_empty() => {}
            _ => {
                let n = next.below(walks.len() as u64) as usize;
                walks[n].step(&mut next);
            }
        }
    }
}

#[test]
fn views_see_the_moment_when_they_were_taken() {
    let dir = tempfile::tempdir().unwrap();
    let engine = rocks(dir.path());
    let (mut model, mut next) = (Model::new(), Sequence(2));
    for _ in 0..250 {
        for _ in 0..next.below(10) {
            engine.write(next.batch(&mut model)).unwrap();
        }
        engine.read_consistently(&mut |view| {
            let then = model.clone();
            let mut walk = Walk::begin(view, &then, &mut next);
            for _ in 0..40 {
                match next.below(6) {
                    0 if next.below(10) == 0 => engine.start_flush().unwrap(),
                    0 if next.below(10) == 0 => engine.flush().unwrap(),
                    0 => engine.write(next.batch(&mut model)).unwrap(),
                    1 => check_key(view, &then, &next.key()),
                    2 if next.below(8) == 0 => walk = Walk::begin(view, &then, &mut next),
                    2 if next.below(8) == 0 => assert_eq!(all(view), then),
                    _ => walk.step(&mut next),
                }
            }
        });
    }
}

#[test]
fn the_store_in_memory_walks_as_the_real_one() {
    let engine = MemEngine::default();
    let (mut model, mut next) = (Model::new(), Sequence(3));
    for _ in 0..250 {
        engine.write(next.batch(&mut model)).unwrap();
        let mut walk = Walk::begin(&engine, &model, &mut next);
        for _ in 0..40 {
            walk.step(&mut next);
        }
        assert_eq!(all(&engine), model);
    }
}
