//! The commands that a pipeline will route again (`reroute`), because keys have moved.
//!
//! Commands come back from refused frames, and out of the lanes where they waited.

use std::time::Instant;

use bytes::Bytes;
use coterie_protocol::{Frame, FrameFlags};
use coterie_redis_compat::resolve;
use coterie_types::GroupId;
use futures_util::future::BoxFuture;

use super::call::Call;
use super::lane::Return;
use super::route::{Unroutable, destination};
use crate::router::{Failure, RangeMap, frame_of};

/// Commands that wait for a new map, and for the frames in flight under the old map.
#[derive(Default)]
pub(super) struct Mending {
    pub(super) items: Vec<Item>,
    pub(super) newer_map: Option<BoxFuture<'static, ()>>,
}

/// Why a command is routed again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cause {
    /// The group no longer owns all keys of the frame.
    Moved(GroupId),
    /// It waited behind commands whose keys had moved.
    Waited,
}

/// A command or a whole transaction, to be routed again.
pub(super) struct Item {
    cause: Cause,
    pub(super) back: Return,
    pub(super) work: Work,
}

/// The part of an [`Item`] that goes to a group.
pub(super) enum Work {
    Command(Call),
    Transaction { frame: Frame, deadline: Instant },
}

impl Mending {
    /// Adds the commands of a frame's body.
    pub(super) fn add(
        &mut self,
        body: &Bytes,
        (returns, cause): (Vec<Return>, Cause),
        deadline: Instant,
    ) {
        // Cannot fail: this proxy encoded it.
        let Some(mut frame) = frame_of(body) else {
            return;
        };
        if frame.flags.has(FrameFlags::TRANSACTION) {
            self.items.extend(returns.into_iter().map(|back| Item {
                cause,
                back,
                work: Work::Transaction {
                    frame: frame.clone(),
                    deadline,
                },
            }));
            return;
        }
        let commands = std::mem::take(&mut frame.commands);
        for (back, command) in returns.into_iter().zip(commands) {
            let call = Call::of_frame(back.row, command, (frame.flags, frame.tracker), deadline);
            let work = Work::Command(call);
            self.items.push(Item { cause, back, work });
        }
    }
}

impl Item {
    /// The failure to report when its deadline is over.
    pub(super) fn too_late(&self, map: &RangeMap) -> Failure {
        match self.cause {
            _ if !self.is_routable(map) => Failure::no_range(),
            Cause::Moved(group) => Failure::moved_too_late(group),
            Cause::Waited => Failure::TryAgain(
                "its time was over while it waited behind commands whose keys had moved".to_owned(),
            ),
        }
    }

    /// When it times out.
    pub(super) fn deadline(&self) -> Instant {
        match &self.work {
            Work::Command(call) => call.deadline,
            Work::Transaction { deadline, .. } => *deadline,
        }
    }

    /// Whether the map knows the owners of all its keys.
    pub(super) fn is_routable(&self, map: &RangeMap) -> bool {
        let no_range = |row, table, args: &[Bytes]| {
            let found = destination(map, row, table, args);
            matches!(found, Err(Unroutable::NoRange))
        };
        let frame = match &self.work {
            Work::Command(call) => return !no_range(call.row, call.table, &call.args),
            Work::Transaction { frame, .. } => frame,
        };
        let mut watches = frame.watches.iter();
        if watches.any(|watch| map.locate(watch.table, &watch.key).is_none()) {
            return false;
        }
        let mut commands = frame.commands.iter();
        !commands.any(|command| {
            let row = resolve(&command.args);
            row.is_ok_and(|row| no_range(row, command.table, &command.args))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use coterie_protocol::Watch;
    use coterie_protocol::catalog::{Catalog, Change, Row};
    use coterie_redis_compat::lookup;
    use coterie_types::{Epoch, KeyRange, RangeDescriptor, RangeId, Revision, TableId};

    use super::*;
    use crate::conn::lane::Batch;
    use crate::router::RangeCache;

    fn map_of(end: Option<&'static [u8]>) -> Arc<RangeMap> {
        let mut catalog = Catalog::default();
        let range = RangeDescriptor {
            range_id: RangeId(1),
            epoch: Epoch(1),
            bounds: KeyRange {
                end: end.map(Bytes::from_static),
                ..KeyRange::all(TableId(0))
            },
            group_id: GroupId(1),
        };
        catalog.apply(&Change {
            revision: Revision(1),
            deletes: vec![],
            upserts: vec![Row::Range(range)],
        });
        let cache = RangeCache::new();
        cache.follow(Arc::new(catalog));
        cache.load()
    }

    #[test]
    fn a_transaction_waits_for_a_map_that_knows_its_watched_keys_too() {
        let words = [Bytes::from_static(b"incr"), Bytes::from_static(b"a")];
        let mut batch = Batch::new(FrameFlags::TRANSACTION, Instant::now());
        batch.put(TableId(0), &words, false);
        batch.watches.push(Watch {
            table: TableId(0),
            key: Bytes::from_static(b"z"),
            token: Bytes::new(),
        });
        let body = batch
            .into_parts(0)
            .0
            .into_body(GroupId(1), Default::default());
        let back = Return {
            slot: 0,
            piece: None,
            row: lookup(b"exec").unwrap(),
        };
        let mut mending = Mending::default();
        mending.add(
            &body,
            (vec![back], Cause::Moved(GroupId(1))),
            Instant::now(),
        );
        let [item] = mending.items.as_slice() else {
            panic!("one item")
        };
        assert!(item.is_routable(&map_of(None)));
        let part = map_of(Some(b"m"));
        assert!(!item.is_routable(&part));
        assert_eq!(item.too_late(&part), Failure::no_range());
        let moved = Failure::moved_too_late(GroupId(1));
        assert_eq!(item.too_late(&map_of(None)), moved);
    }

    #[test]
    fn commands_of_a_frame_come_back_as_calls_with_their_own_rows() {
        let deadline = Instant::now();
        let mut batch = Batch::new(FrameFlags::RESP3.with(FrameFlags::READ_ONLY), deadline);
        let rows = ["_watch", "get"].map(|name| lookup(name.as_bytes()).unwrap());
        for (slot, row) in (7..).zip(rows) {
            let words = [Bytes::from_static(row.name.as_bytes()), Bytes::from("k")];
            batch.put(TableId(slot as u32), &words, true);
            let piece = None;
            batch.returns.push(Return { slot, piece, row });
        }
        let (frame, returns) = batch.into_parts(0);
        let body = frame.into_body(GroupId(1), Default::default());
        let mut mending = Mending::default();
        mending.add(&body, (returns, Cause::Waited), deadline);
        for (item, row) in mending.items.iter().zip(rows) {
            let Work::Command(call) = &item.work else {
                panic!("a command")
            };
            assert_eq!(call.row.name, row.name);
            assert_eq!(call.args, [row.name.as_bytes(), b"k"]);
            assert_eq!(u64::from(call.table.0), item.back.slot);
            assert_eq!(call.resp, coterie_redis_compat::Resp::V3);
            assert_eq!(item.deadline(), deadline);
        }
        assert_eq!(mending.items.len(), 2);
    }
}
