//! Commands of one connection on their way to groups, and the replies on their way back in order.
//!
//! Commands for one group keep their order whatever happens: one frame per group is under way, and
//! all commands are routed by one map as long as any is unanswered. When a group says that keys
//! moved, nothing more is sent; once every frame under way has come back, what was refused and what
//! waits is put in the order of the client again and routed by the new map.
//!
//! Commands for different groups run at the same time, and have no order among them.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::FrameFlags;
use coterie_redis_compat::errors::NOT_OFFERED;
use coterie_redis_compat::{Command, CommandError, Resp, Route, lookup};
use coterie_types::{GroupId, TableId};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::credit::Credit;
use super::lane::{Batch, Encode, Lane, Return};
use super::mending::Mending;
use super::replies::{Combine, Event, Replies};
use super::route::{Destination, Unroutable, destination, has_no_keys, piece};
use crate::client_memory::SHORT_BYTES;
use crate::router::{Outcome, RangeMap, Router};
use crate::slowlog::Slow;

/// A command for groups, as the connection has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) command: &'static Command,
    pub(crate) args: &'a [Bytes],
    pub(crate) table: TableId,
    /// How the connection wants it: [`FrameFlags::RESP3`], [`FrameFlags::FOLLOWER_READ`].
    pub(crate) flags: FrameFlags,
    pub(crate) deadline: Instant,
}

/// See the module's head.
pub(crate) struct Pipeline {
    pub(super) router: Arc<Router>,
    pub(super) map: Arc<RangeMap>,
    pub(super) lanes: Vec<Lane>,
    under_way: FuturesUnordered<BoxFuture<'static, Finished>>,
    pub(super) waiting_bytes: usize,
    /// Bytes of the frames under way.
    pub(super) sent_bytes: usize,
    pub(super) mending: Option<Mending>,
    pub(crate) replies: Replies,
    /// What the session has not heard yet.
    pub(crate) events: Vec<Event>,
    /// The groups that were sent writes: those that WAIT is about.
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
    /// The group's id and the frame: to route it again, and for SLOWLOG.
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

    /// Whether no command waits for a group.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.is_empty() && self.mending.is_none() && self.lanes.iter().all(Lane::is_idle)
    }

    /// Whether any frame is under way.
    pub(crate) fn is_sent(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Whether commands go to groups now; else they wait for a map.
    pub(crate) fn is_mending(&self) -> bool {
        self.mending.is_some()
    }

    /// Bytes of commands that wait for the frame before them.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Bytes of commands that groups are asked for now.
    pub(crate) fn sent_bytes(&self) -> usize {
        self.sent_bytes
    }

    /// From which duration on frames are reported as slow.
    pub(crate) fn set_slower_than(&mut self, duration: Option<Duration>) {
        self.slower_than = duration;
    }

    /// The newest map, if nothing was routed by an older one; see the module's head.
    pub(crate) fn refresh_map(&mut self) {
        if self.map.generation != self.router.cache.generation() && self.is_idle() {
            self.map = self.router.cache.load();
            self.lanes.clear();
        }
    }

    /// Whether a newer map is there and waits for this pipeline to be idle.
    pub(crate) fn has_newer_map(&self) -> bool {
        self.map.generation != self.router.cache.generation()
    }

    /// The map that commands are routed by.
    pub(crate) fn map(&self) -> &Arc<RangeMap> {
        &self.map
    }

    /// Puts a command into the lanes of its groups. It is sent by [`Pipeline::dispatch`].
    pub(crate) fn submit(&mut self, request: Request<'_>, silent: bool) -> Result<(), Unroutable> {
        let slot = self.replies.open(silent);
        let back = Return { slot, piece: None };
        let result = self.enqueue(request, back);
        if result.is_err() {
            self.replies.close_last();
        }
        result
    }

    /// `WATCH`: asks for the token of each key.
    pub(crate) fn submit_watch(
        &mut self,
        request: Request<'_>,
        generation: u64,
        silent: bool,
    ) -> Result<(), Unroutable> {
        let Some(watch) = lookup(b"_watch") else {
            let missing = NOT_OFFERED;
            return Err(Unroutable::Refused(missing));
        };
        let keys = &request.args[1..];
        if keys
            .iter()
            .any(|key| self.map.locate(request.table, key).is_none())
        {
            return Err(Unroutable::NoRange);
        }
        let slot = self.replies.open(silent);
        let combine = Combine::watch(generation, request.table, keys);
        self.replies
            .gather(slot, combine, keys.len(), false, resp_of(request.flags));
        for (ordinal, key) in (0u32..).zip(keys) {
            let args = [Bytes::from_static(b"_watch"), key.clone()];
            let request = Request {
                command: watch,
                args: &args,
                // A token must not be older than what the client reads next.
                flags: FrameFlags(request.flags.0 & !FrameFlags::FOLLOWER_READ.0),
                ..request
            };
            let piece = Some([ordinal].into());
            self.enqueue(request, Return { slot, piece })?;
        }
        Ok(())
    }

    /// `EXEC`: commands that are one frame, all or nothing; answers its slot. If it is only a part,
    /// the group's answer comes as [`Event::Transacted`], else it is the reply.
    pub(crate) fn submit_transaction(
        &mut self,
        batch: Batch,
        group: &RoutedGroup,
        is_part: bool,
        silent: bool,
    ) -> u64 {
        let slot = self.replies.open(silent);
        let mut back = Return { slot, piece: None };
        if is_part {
            let combine = Combine::Transaction(Bytes::new());
            let resp = resp_of(batch.flags);
            self.replies.gather(slot, combine, 1, true, resp);
            back.piece = Some([].into());
        }
        self.push_transaction(batch, group, back);
        slot
    }

    pub(super) fn push_transaction(&mut self, mut batch: Batch, group: &RoutedGroup, back: Return) {
        batch.returns.push(back);
        self.waiting_bytes += batch.commands.len();
        lane(&mut self.lanes, &group.0).waiting.push_back(batch);
    }

    /// The one group of a transaction's keys.
    pub(crate) fn transaction_group<'a>(
        &self,
        commands: impl Iterator<Item = (&'static Command, TableId, &'a [Bytes])>,
        watched: impl Iterator<Item = (TableId, &'a Bytes)>,
    ) -> Result<Option<RoutedGroup>, Unroutable> {
        let mut found = None;
        let mut is_same = |group: &Arc<crate::router::Group>| {
            let known = found.get_or_insert_with(|| Arc::clone(group));
            match known.id == group.id {
                true => Ok(()),
                false => Err(Unroutable::Refused(CommandError::CrossGroup)),
            }
        };
        let mut anyone = None;
        for (command, table, args) in commands {
            if has_no_keys(command, args) {
                anyone = Some((command, table, args));
                continue;
            }
            match destination(&self.map, command, table, args) {
                Ok(Destination::One(group)) => is_same(group)?,
                // What is wrong with one command is not the answer to all of them.
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
        // What has no keys goes where the others go.
        if found.is_none()
            && let Some((command, table, args)) = anyone
            && let Destination::One(group) = destination(&self.map, command, table, args)?
        {
            found = Some(Arc::clone(group));
        }
        Ok(found.map(RoutedGroup))
    }

    /// Sends the next frame of every lane that has none under way, as far as there is room for its
    /// replies; whether any was sent.
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

    /// Whether a frame that waits for memory may be sent now.
    pub(crate) fn poll_credit(&mut self, cx: &mut Context<'_>) -> bool {
        self.credit.poll(cx)
    }

    /// Room for the replies to the next frame of a lane; `None` if it is not to be sent now.
    fn room(&mut self, at: usize) -> Option<usize> {
        let lane = &self.lanes[at];
        let batch = lane.waiting.front()?;
        let oldest = self.replies.oldest();
        let is_oldest = batch
            .returns
            .first()
            .is_some_and(|back| back.slot == oldest);
        let unread = match is_oldest {
            true => self.replies.out.len(),
            false => self.replies.bytes(),
        };
        let client_bytes = self.credit.client_bytes();
        // A client that does not read asks for no more; one that reads finds the next ones there.
        if unread >= client_bytes / 2 {
            return None;
        }
        let left = client_bytes - unread;
        let others = self.lanes.iter().enumerate();
        let is_only_lane = others.filter(|(n, _)| *n != at).all(|(_, l)| l.is_idle());
        let wanted = match batch.is_read() {
            true if is_only_lane => lane.sizes.room(batch.count, left),
            // Replies behind the first may have to wait for those of other groups.
            true => lane.sizes.room(1, left),
            // What goes through the log gets on with any room.
            false => 0,
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

    /// Bytes of memory for replies that the client holds.
    pub(crate) fn held_bytes(&self) -> usize {
        self.credit.held_bytes()
    }

    /// Gives back the memory that is not needed any more.
    pub(crate) fn settle(&mut self) {
        let waiting = self.replies.bytes();
        if self.credit.held_bytes() > 0 || waiting > SHORT_BYTES {
            let granted = self.lanes.iter().map(|lane| lane.granted).sum();
            self.credit.settle(granted, waiting);
        }
    }

    /// Takes what has come back; whether anything has.
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

    pub(super) fn enqueue(&mut self, request: Request<'_>, back: Return) -> Result<(), Unroutable> {
        let Request {
            command,
            args,
            table,
            flags,
            deadline,
        } = request;
        let is_read = !command.is_write();
        match destination(&self.map, command, table, args)? {
            Destination::One(group) => {
                let command = Encode {
                    table,
                    args,
                    is_read,
                    deadline,
                };
                let lane = lane(&mut self.lanes, group);
                self.waiting_bytes += lane.push(flags, command, back);
            }
            Destination::Many(pieces) => {
                let slot = back.slot;
                match &back.piece {
                    Some(_) => self.replies.cut_piece(slot, pieces.len()),
                    None => {
                        let keys: usize = pieces.iter().map(|(_, keys)| keys.len()).sum();
                        let combine = combine(command, keys);
                        let resp = resp_of(flags);
                        self.replies
                            .gather(slot, combine, pieces.len(), !is_read, resp);
                    }
                }
                for (group, ordinals) in pieces {
                    let words = piece(command, args, &ordinals);
                    let command = Encode {
                        table,
                        args: &words,
                        is_read,
                        deadline,
                    };
                    let of_whole = |at: u32| match &back.piece {
                        Some(ordinals) => ordinals[at as usize],
                        None => at,
                    };
                    let piece = Some(ordinals.into_iter().map(of_whole).collect());
                    let lane = lane(&mut self.lanes, group);
                    self.waiting_bytes += lane.push(flags, command, Return { slot, piece });
                }
            }
        }
        Ok(())
    }
}

/// A group that was found by the pipeline's map.
#[derive(Debug)]
pub(crate) struct RoutedGroup(Arc<crate::router::Group>);

fn lane<'a>(lanes: &'a mut Vec<Lane>, group: &Arc<crate::router::Group>) -> &'a mut Lane {
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

fn resp_of(flags: FrameFlags) -> Resp {
    match flags.has(FrameFlags::RESP3) {
        true => Resp::V3,
        false => Resp::V2,
    }
}
