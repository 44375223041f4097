//! Recovers a pipeline when keys have moved: it drains, and routes again by the newest map.
//!
//! Commands come back from refused frames, and out of the lanes where they waited. They are put in
//! the client's order and enter lanes again, each with its old deadline. While the map does not
//! know the owner of one of their keys, they wait for a newer map.

use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::{Frame, FrameCommand, FrameFlags};
use coterie_redis_compat::resolve;
use coterie_types::GroupId;
use futures_util::future::BoxFuture;

use super::lane::{Batch, Return};
use super::pipeline::{Pipeline, Request};
use super::route::{Unroutable, destination};
use crate::router::{Failure, RangeMap, frame_of};

/// How long to wait for a newer map before looking again.
const MAP_PAUSE: Duration = Duration::from_millis(25);

/// Commands that wait for a new map, and for the frames in flight under the old map.
#[derive(Default)]
pub(super) struct Mending {
    items: Vec<Item>,
    newer_map: Option<BoxFuture<'static, ()>>,
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
struct Item {
    cause: Cause,
    back: Return,
    frame: Frame,
    deadline: Instant,
}

impl Pipeline {
    /// Routes refused commands again, once nothing is in flight; returns whether anything was done.
    pub(super) fn poll_mending(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(mut mending) = self.mending.take() else {
            return false;
        };
        if let Some(newer_map) = &mut mending.newer_map
            && newer_map.as_mut().poll(cx).is_pending()
        {
            self.mending = Some(mending);
            return false;
        }
        for mut lane in self.lanes.drain(..) {
            for batch in lane.waiting.drain(..) {
                let deadline = batch.deadline;
                let (frame, returns) = batch.into_parts(0);
                mending.add(
                    &frame.into_body(lane.group.id, Default::default()),
                    (returns, Cause::Waited),
                    deadline,
                );
            }
        }
        self.waiting_bytes = 0;
        mending.items.sort_by_key(|item| item.back.slot);
        self.map = self.router.cache.load();
        let now = Instant::now();
        for item in mending.items.extract_if(.., |item| item.deadline <= now) {
            let failure = item.too_late(&self.map);
            self.fail(item.back, failure);
        }
        if mending.items.iter().all(|item| item.is_routable(&self.map)) {
            for item in mending.items {
                self.route_again(item);
            }
        } else {
            let (router, generation) = (Arc::clone(&self.router), self.map.generation);
            let mut newer_map: BoxFuture<'static, ()> = Box::pin(async move {
                router.cache.newer_than(generation, MAP_PAUSE).await;
            });
            // Polled once, so that it wakes this task.
            let ready = newer_map.as_mut().poll(cx).is_ready();
            mending.newer_map = (!ready).then_some(newer_map);
            self.mending = Some(mending);
            return ready;
        }
        true
    }

    fn route_again(&mut self, item: Item) {
        let Item {
            back,
            frame,
            deadline,
            ..
        } = item;
        let base = FrameFlags(frame.flags.0 & !FrameFlags::READ_ONLY.0);
        let result = if frame.flags.has(FrameFlags::TRANSACTION) {
            self.transact_again(&frame, deadline, back.clone())
        } else {
            let args = &frame.commands[0].args;
            match resolve(args).ok() {
                Some(command) => {
                    let request = Request {
                        command,
                        args,
                        table: frame.commands[0].table,
                        flags: base,
                        deadline,
                    };
                    self.enqueue(request, back.clone())
                }
                None => Err(Unroutable::NoRange),
            }
        };
        match result {
            Ok(()) => {}
            Err(Unroutable::Refused(error)) => self.fail(back, Failure::Unroutable(error)),
            Err(Unroutable::NoRange) => self.fail(back, Failure::no_range()),
        }
    }

    fn transact_again(
        &mut self,
        frame: &Frame,
        deadline: Instant,
        back: Return,
    ) -> Result<(), Unroutable> {
        let rows = frame.commands.iter().filter_map(|command| {
            let row = resolve(&command.args).ok()?;
            Some((row, command.table, command.args.as_slice()))
        });
        let watches = frame.watches.iter().map(|watch| (watch.table, &watch.key));
        let group = self
            .transaction_group(rows, watches)?
            .ok_or(Unroutable::NoRange)?;
        let mut batch = Batch::new(frame.flags, deadline);
        batch.watches.clone_from(&frame.watches);
        for command in &frame.commands {
            batch.put(command.table, &command.args, false);
        }
        self.push_transaction(batch, &group, back);
        Ok(())
    }
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
    fn too_late(&self, map: &RangeMap) -> Failure {
        match self.cause {
            _ if !self.is_routable(map) => Failure::no_range(),
            Cause::Moved(group) => Failure::moved_too_late(group),
            Cause::Waited => Failure::TryAgain(
                "its time was over while it waited behind commands whose keys had moved".to_owned(),
            ),
        }
    }

    fn is_routable(&self, map: &RangeMap) -> bool {
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
    use coterie_protocol::Watch;
    use coterie_protocol::catalog::{Catalog, Change, Row};
    use coterie_types::{Epoch, KeyRange, RangeDescriptor, RangeId, Revision, TableId};

    use super::*;
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
