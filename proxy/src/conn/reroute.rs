//! Recovers a pipeline when keys have moved: it drains, and routes again by the newest map.
//!
//! The commands to route again (`mending`) are put in the client's order and enter lanes again,
//! each with its old deadline. While the map does not know the owners of all their keys, they wait
//! for a newer map.

use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use coterie_protocol::Frame;
use coterie_redis_compat::resolve;
use futures_util::future::BoxFuture;

use super::lane::{Batch, Return};
use super::mending::{Cause, Item, Work};
use super::pipeline::Pipeline;
use super::route::Unroutable;
use crate::router::Failure;

/// How long to wait for a newer map before looking again.
const MAP_PAUSE: Duration = Duration::from_millis(25);

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
        for item in mending.items.extract_if(.., |item| item.deadline() <= now) {
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
        let Item { back, work, .. } = item;
        let result = match work {
            Work::Command(call) => self.enqueue(&call, back.slot, back.piece.clone()),
            Work::Transaction { frame, deadline } => {
                self.transact_again(&frame, deadline, back.clone())
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
        batch.tracker = frame.tracker;
        batch.watches.clone_from(&frame.watches);
        for command in &frame.commands {
            batch.put(command.table, &command.args, false);
        }
        self.push_transaction(batch, &group, back);
        Ok(())
    }
}
