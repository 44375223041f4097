//! Sends a connection's commands to groups, and puts the replies back in order.
//!
//! Commands for the same group always keep their order: a group has one frame in flight, and all
//! commands are routed by the same map as long as any is unanswered. When a group reports that keys
//! moved, nothing more is sent. Once every frame in flight has come back, the refused and the
//! waiting commands are put in the client's order again and routed by the new map (`reroute`).
//!
//! Commands for different groups run at the same time, in no particular order.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_redis_compat::errors::NOT_OFFERED;
use coterie_redis_compat::{Command, CommandError, Route, lookup};
use coterie_types::{GroupId, TableId};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::call::Call;
use super::credit::Credit;
use super::lane::{Batch, Lane, Return};
use super::mending::Mending;
use super::replies::{Combine, Event, Replies};
use super::route::{Destination, Unroutable, destination, has_no_keys, words_of};
use crate::client_memory::SHORT_BYTES;
use crate::router::{Outcome, RangeMap, Router};
use crate::slowlog::Slow;

/// See the module's head.
pub(crate) struct Pipeline {
    pub(super) router: Arc<Router>,
    pub(super) map: Arc<RangeMap>,
    pub(super) lanes: Vec<Lane>,
    under_way: FuturesUnordered<BoxFuture<'static, Finished>>,
    pub(super) waiting_bytes: usize,
    /// Bytes of the frames in flight.
    pub(super) sent_bytes: usize,
    pub(super) mending: Option<Mending>,
    pub(crate) replies: Replies,
    /// Events that the connection has not processed yet.
    pub(crate) events: Vec<Event>,
    /// The groups that were sent writes; WAIT asks them.
    pub(crate) wrote: Vec<GroupId>,
    /// Frames that took long, for SLOWLOG.
    pub(crate) slow: Vec<Slow>,
    pub(super) slower_than: Option<Duration>,
    credit: Credit,
}

/// A frame that came back.
pub(super) struct Finished {
    pub(super) group: GroupId,
    /// Bytes of its commands.
    bytes: usize,
    pub(super) outcome: Outcome,
    pub(super) started: Instant,
    pub(super) deadline: Instant,
    /// The group's id and the frame, to route it again and for SLOWLOG.
    pub(super) body: Bytes,
}

impl Pipeline {
    pub(crate) fn new(router: Arc<Router>) -> Self {
        Self {
            map: router.cache.load(),
            credit: Credit::new(router.replies.clone()),
            router,
            lanes: Vec::new(),
            under_way: FuturesUnordered::new(),
            waiting_bytes: 0,
            sent_bytes: 0,
            mending: None,
            replies: Replies::default(),
            events: Vec::new(),
            wrote: Vec::new(),
            slow: Vec::new(),
            slower_than: None,
        }
    }

    /// Whether no command is in flight or waits for a group.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.is_empty() && self.mending.is_none() && self.lanes.iter().all(Lane::is_idle)
    }

    /// Whether any frame is in flight.
    pub(crate) fn is_sent(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Whether keys have moved: the pipeline sends nothing until commands are routed by a newer
    /// map.
    pub(crate) fn is_mending(&self) -> bool {
        self.mending.is_some()
    }

    /// Bytes of commands that wait for an earlier frame.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Bytes of commands in flight.
    pub(crate) fn sent_bytes(&self) -> usize {
        self.sent_bytes
    }

    /// Sets the duration from which on frames are reported as slow.
    pub(crate) fn set_slower_than(&mut self, duration: Option<Duration>) {
        self.slower_than = duration;
    }

    /// Loads the newest map if the pipeline is idle, so that no command was routed by an older map.
    pub(crate) fn refresh_map(&mut self) {
        if self.map.generation != self.router.cache.generation() && self.is_idle() {
            self.map = self.router.cache.load();
            self.lanes.clear();
        }
    }

    /// Whether a newer map exists, which this pipeline loads once it is idle.
    pub(crate) fn has_newer_map(&self) -> bool {
        self.map.generation != self.router.cache.generation()
    }

    /// The map that commands are routed by.
    pub(crate) fn map(&self) -> &Arc<RangeMap> {
        &self.map
    }

    /// Notes the group that a command writes to, which is sent beside the lanes.
    pub(crate) fn will_write(&mut self, call: &Call) {
        let destination = destination(&self.map, call.row, call.table, &call.args);
        if let Ok(Destination::One(group)) = destination
            && !self.wrote.contains(&group.id)
        {
            self.wrote.push(group.id);
        }
    }

    /// Puts a command into the lanes of its groups; [`Pipeline::dispatch`] sends it. Returns the
    /// number of its reply.
    pub(crate) fn submit(&mut self, call: &Call) -> Result<u64, Unroutable> {
        let slot = self.replies.open(call.silent);
        let result = self.enqueue(call, slot, None);
        if result.is_err() {
            self.replies.close_last();
        }
        result.map(|()| slot)
    }

    /// `WATCH`: asks for the token of each key.
    pub(crate) fn submit_watch(&mut self, call: &Call, generation: u64) -> Result<(), Unroutable> {
        let Some(row) = lookup(b"_watch") else {
            return Err(Unroutable::Refused(NOT_OFFERED));
        };
        let keys = &call.args[1..];
        if keys
            .iter()
            .any(|key| self.map.locate(call.table, key).is_none())
        {
            return Err(Unroutable::NoRange);
        }
        let slot = self.replies.open(call.silent);
        let combine = Combine::watch(generation, call.table, keys);
        self.replies
            .gather(slot, combine, keys.len(), false, call.resp);
        for (ordinal, key) in (0u32..).zip(keys) {
            let watch = Call {
                row,
                args: vec![Bytes::from_static(b"_watch"), key.clone()],
                // A token must not be older than the client's next read.
                follower_reads: false,
                tracker: None,
                ..*call
            };
            self.enqueue(&watch, slot, Some([ordinal].into()))?;
        }
        Ok(())
    }

    /// `EXEC`: queues commands as one frame, all or nothing; returns its slot. If the frame is only
    /// a part of the transaction, the group's reply comes as [`Event::Transacted`]; else it fills
    /// the slot.
    pub(crate) fn submit_transaction(
        &mut self,
        exec: &Call,
        batch: Batch,
        group: &RoutedGroup,
        is_part: bool,
    ) -> u64 {
        let slot = self.replies.open(exec.silent);
        let mut piece = None;
        if is_part {
            let combine = Combine::Transaction(Bytes::new());
            self.replies.gather(slot, combine, 1, true, exec.resp);
            piece = Some([].into());
        }
        let row = exec.row;
        self.push_transaction(batch, group, Return { slot, piece, row });
        slot
    }

    pub(super) fn push_transaction(&mut self, mut batch: Batch, group: &RoutedGroup, back: Return) {
        batch.returns.push(back);
        self.waiting_bytes += batch.commands.len();
        lane(&mut self.lanes, &group.0).waiting.push_back(batch);
    }

    /// The group that owns all keys of a transaction; `None` if nothing in it needs a group.
    pub(crate) fn transaction_group<'a>(
        &self,
        commands: impl Iterator<Item = (&'static Command, TableId, &'a [Bytes])>,
        watched: impl Iterator<Item = (TableId, &'a Bytes)>,
    ) -> Result<Option<RoutedGroup>, Unroutable> {
        let mut found = None;
        let mut is_same = |group: &Arc<crate::router::GroupRoute>| {
            let known = found.get_or_insert_with(|| Arc::clone(group));
            if known.id == group.id {
                Ok(())
            } else {
                Err(Unroutable::Refused(CommandError::CrossGroup))
            }
        };
        let mut anyone = None;
        for (command, table, args) in commands {
            if has_no_keys(command, args) {
                anyone = Some(table);
                continue;
            }
            if command.positions(args).is_err() {
                // Its words hide keys: the group that owns the other keys reports the error.
                anyone = Some(table);
                let mut checked = Ok(());
                let mut check = |table, key: &Bytes| {
                    let entry = self.map.locate(table, key).ok_or(Unroutable::NoRange);
                    let same = entry.and_then(|entry| is_same(&entry.group));
                    checked = std::mem::replace(&mut checked, Ok(())).and(same);
                };
                let _ = command.visit_keys(table, args, &mut check);
                checked?;
                continue;
            }
            match destination(&self.map, command, table, args) {
                Ok(Destination::One(group)) => is_same(group)?,
                // An error of a single command must not become the reply to the whole transaction.
                Ok(Destination::Many(_)) | Err(Unroutable::Refused(_)) => {
                    return Err(Unroutable::Refused(CommandError::CrossGroup));
                }
                Err(Unroutable::NoRange) => return Err(Unroutable::NoRange),
            }
        }
        for (table, key) in watched {
            is_same(
                &self
                    .map
                    .locate(table, key)
                    .ok_or(Unroutable::NoRange)?
                    .group,
            )?;
        }
        // Commands without keys go to the group of the others, or to any group if there are no
        // others.
        if found.is_none()
            && let Some(table) = anyone
        {
            let first = self.map.entries(table).first();
            found = Some(Arc::clone(&first.ok_or(Unroutable::NoRange)?.group));
        }
        Ok(found.map(RoutedGroup))
    }

    /// Sends the next frame of every lane that has none in flight, if there is room for its
    /// replies; returns whether any was sent.
    pub(crate) fn dispatch(&mut self) -> bool {
        if self.mending.is_some() {
            return false;
        }
        let mut sent = false;
        for at in 0..self.lanes.len() {
            if self.lanes[at].under_way.is_some() || self.lanes[at].waiting.is_empty() {
                continue;
            }
            let Some(room) = self.room(at) else {
                self.lanes[at].is_timed_anew = true;
                continue;
            };
            let lane = &mut self.lanes[at];
            let Some(mut batch) = lane.waiting.pop_front() else {
                continue;
            };
            if lane.is_timed_anew {
                batch.deadline = Instant::now() + self.router.request_timeout;
            }
            lane.granted = if room > SHORT_BYTES { room } else { 0 };
            self.waiting_bytes = self.waiting_bytes.saturating_sub(batch.commands.len());
            self.send(at, batch, room);
            sent = true;
        }
        sent
    }

    /// Whether a frame that waited for memory may be sent now.
    pub(crate) fn poll_credit(&mut self, cx: &mut Context<'_>) -> bool {
        self.credit.poll(cx)
    }

    /// Room for the replies to the next frame of a lane; `None` if the frame must not be sent now.
    fn room(&mut self, at: usize) -> Option<usize> {
        let lane = &self.lanes[at];
        let batch = lane.waiting.front()?;
        let oldest = self.replies.oldest();
        let is_oldest = batch
            .returns
            .first()
            .is_some_and(|back| back.slot == oldest);
        let unread = if is_oldest {
            self.replies.out.len()
        } else {
            self.replies.bytes()
        };
        let client_bytes = self.credit.client_bytes();
        // Fetches no more for a client that does not read. A client that reads still has up to this
        // much to read while the next frame is in flight.
        if unread >= client_bytes / 2 {
            return None;
        }
        let left = client_bytes - unread;
        let others = self.lanes.iter().enumerate();
        let is_only_lane = others.filter(|(n, _)| *n != at).all(|(_, l)| l.is_idle());
        let wanted = if !batch.is_read() {
            // A frame that goes through the log makes progress with any room.
            0
        } else if is_only_lane {
            lane.sizes.room(batch.count, left)
        } else {
            // Replies behind the first may have to wait for replies of other groups.
            lane.sizes.room(1, left)
        };
        if wanted <= SHORT_BYTES {
            return Some(SHORT_BYTES);
        }
        if !is_oldest {
            return None;
        }
        let in_parts = |lane: &Lane| {
            lane.granted > 0
                && lane
                    .under_way
                    .as_ref()
                    .and_then(|returns| returns.first())
                    .is_some_and(|back| back.slot == oldest)
        };
        let is_begun = self.replies.held_bytes() > 0 || self.lanes.iter().any(in_parts);
        let group = self.lanes[at].group.id;
        self.credit.take(group, wanted, is_begun)
    }

    fn send(&mut self, at: usize, batch: Batch, room: usize) {
        let lane = &mut self.lanes[at];
        let bytes = batch.commands.len();
        self.sent_bytes += bytes;
        let (frame, returns) = batch.into_parts(room);
        self.router
            .metrics
            .frame_commands
            .observe(frame.count as f64);
        if !frame.is_read() && !self.wrote.contains(&lane.group.id) {
            self.wrote.push(lane.group.id);
        }
        lane.under_way = Some(returns);
        let (router, group) = (Arc::clone(&self.router), Arc::clone(&lane.group));
        let routed_by = self.map.generation;
        self.under_way.push(Box::pin(async move {
            let (started, deadline) = (Instant::now(), frame.deadline);
            let (outcome, body) = router.execute(&group, routed_by, frame).await;
            Finished {
                group: group.id,
                bytes,
                outcome,
                started,
                deadline,
                body,
            }
        }));
    }

    /// Bytes of reply memory that the client holds.
    pub(crate) fn held_bytes(&self) -> usize {
        self.credit.held_bytes()
    }

    /// Gives back reply memory that is no longer needed.
    pub(crate) fn settle(&mut self) {
        let waiting = self.replies.bytes();
        if self.credit.held_bytes() > 0 || waiting > SHORT_BYTES {
            let granted = self.lanes.iter().map(|lane| lane.granted).sum();
            self.credit.settle(granted, waiting);
        }
    }

    /// Processes the frames that have come back; returns whether there were any.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while let Poll::Ready(Some(finished)) = self.under_way.poll_next_unpin(cx) {
            self.sent_bytes -= finished.bytes;
            self.finish(finished);
            progress = true;
        }
        if self.mending.is_some() {
            self.credit.give_up();
            if self.under_way.is_empty() {
                progress |= self.poll_mending(cx);
            }
        }
        if progress {
            self.dispatch();
        }
        progress
    }

    /// Puts a command into the lanes of its groups. Its reply fills the slot, or this piece of it.
    pub(super) fn enqueue(
        &mut self,
        call: &Call,
        slot: u64,
        piece: Option<Box<[u32]>>,
    ) -> Result<(), Unroutable> {
        let row = call.row;
        match destination(&self.map, row, call.table, &call.args)? {
            Destination::One(group) => {
                let lane = lane(&mut self.lanes, group);
                self.waiting_bytes += lane.push(call, Return { slot, piece, row });
            }
            Destination::Many(parts) => {
                if piece.is_some() {
                    self.replies.cut_piece(slot, parts.len());
                } else {
                    let keys = parts.iter().map(|(_, keys)| keys.len()).sum();
                    let combine = combine(row, keys);
                    self.replies
                        .gather(slot, combine, parts.len(), row.is_write(), call.resp);
                }
                for (group, ordinals) in parts {
                    let part = Call {
                        args: words_of(row, &call.args, &ordinals),
                        ..*call
                    };
                    let of_whole = |at: u32| match &piece {
                        Some(ordinals) => ordinals[at as usize],
                        None => at,
                    };
                    let piece = Some(ordinals.into_iter().map(of_whole).collect());
                    let lane = lane(&mut self.lanes, group);
                    self.waiting_bytes += lane.push(&part, Return { slot, piece, row });
                }
            }
        }
        Ok(())
    }
}

/// A group found in the pipeline's map.
#[derive(Debug)]
pub(crate) struct RoutedGroup(Arc<crate::router::GroupRoute>);

fn lane<'a>(lanes: &'a mut Vec<Lane>, group: &Arc<crate::router::GroupRoute>) -> &'a mut Lane {
    match lanes.iter().position(|lane| lane.group.id == group.id) {
        Some(at) => &mut lanes[at],
        None => {
            lanes.push(Lane::new(Arc::clone(group)));
            let last = lanes.len() - 1;
            &mut lanes[last]
        }
    }
}

fn combine(command: &Command, keys: usize) -> Combine {
    match command.route {
        Route::ArrayOverKeys => Combine::Array(vec![Bytes::new(); keys]),
        Route::PairsOverKeys => Combine::AllOk,
        _ => Combine::Sum(0),
    }
}
