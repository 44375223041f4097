//! The commands that a pipeline will route again (`reroute`), because keys have moved.
//!
//! Commands come back from refused frames, and out of the lanes where they waited.

use std::time::Instant;

use bytes::Bytes;
use coterie_protocol::{Frame, FrameCommand, FrameFlags};
use coterie_redis_compat::resolve;
use coterie_types::GroupId;
use futures_util::future::BoxFuture;

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
    pub(super) frame: Frame,
    pub(super) deadline: Instant,
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
            let item = returns.into_iter().map(|back| Item {
                cause,
                back,
                frame: frame.clone(),
                deadline,
            });
            self.items.extend(item);
            return;
        }
        let commands = std::mem::take(&mut frame.commands);
        for (back, command) in returns.into_iter().zip(commands) {
            self.items.push(Item {
                cause,
                back,
                frame: Frame {
                    commands: vec![command],
                    watches: Vec::new(),
                    ..frame
                },
                deadline,
            });
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

    /// Whether the map knows the owners of all its keys.
    pub(super) fn is_routable(&self, map: &RangeMap) -> bool {
        let mut watches = self.frame.watches.iter();
        if watches.any(|watch| map.locate(watch.table, &watch.key).is_none()) {
            return false;
        }
        let commands = self.frame.commands.iter();
        let no_range = |command: &FrameCommand| {
            let row = resolve(&command.args).ok();
            row.is_some_and(|row| {
                matches!(
                    destination(map, row, command.table, &command.args),
                    Err(Unroutable::NoRange)
                )
            })
        };
        !commands.into_iter().any(no_range)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::sync::Arc;

    use coterie_protocol::Watch;
    use coterie_protocol::catalog::{Catalog, Change, Row};
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
}
