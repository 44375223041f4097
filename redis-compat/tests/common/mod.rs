//! Shared by the tests: a store that executes commands, and a real Redis to compare with.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod both;
pub(crate) mod compare;
pub(crate) mod real;
pub(crate) mod streams;

use bytes::{Bytes, BytesMut};
use coterie_redis_compat::{
    Changes, Classes, Context, KeyEvent, MemView, Resolved, Resp, Txn, execute,
};
use coterie_types::{GroupId, KeyRange, TableId, UnixMillis};

/// The words of a line, split at spaces.
pub(crate) fn words(line: &str) -> Vec<Bytes> {
    line.split(' ')
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect()
}

/// The store of a group.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) view: MemView,
    /// The group clock.
    pub(crate) now: u64,
    pub(crate) next_change: u64,
    /// The classes of events that are collected, and the events since a test took them.
    pub(crate) collects: Classes,
    pub(crate) events: Vec<KeyEvent>,
    /// The changes of the last entry, without their events.
    pub(crate) changes: Changes,
}

impl Store {
    /// Runs a command as a log entry of its own.
    pub(crate) fn run(&mut self, table: u32, args: &[Bytes], resp: Resp) -> Bytes {
        self.run_all(&[(table, args.to_vec())], resp).remove(0)
    }

    /// Runs commands as a single log entry; a reply for each.
    pub(crate) fn run_all(&mut self, commands: &[(u32, Vec<Bytes>)], resp: Resp) -> Vec<Bytes> {
        self.next_change = self.next_change.max(1);
        let ctx = Context {
            group: GroupId(1),
            now: UnixMillis(self.now),
            read_now: None,
            seed: self.next_change,
            next_change: self.next_change,
        };
        let mut txn = Txn::new(&self.view, ctx);
        let tables = (0..16).map(|table| KeyRange::all(TableId(table)));
        txn.set_whole_ranges(tables.collect());
        txn.collect_events(self.collects);
        let replies = commands
            .iter()
            .map(|(table, args)| {
                let mut out = BytesMut::new();
                let command = Resolved::new(TableId(*table), args.clone());
                execute(&mut txn, &command, resp, &mut out).unwrap();
                out.freeze()
            })
            .collect();
        let mut changes = txn.finish().unwrap();
        self.view.apply(&changes);
        self.next_change = changes.next_change;
        self.events.append(&mut changes.events);
        self.changes = changes;
        replies
    }
}
