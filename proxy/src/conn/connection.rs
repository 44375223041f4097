//! The task of a client connection: it owns the socket, the parser, the session and the pipeline,
//! and any of them wakes it.
//!
//! A turn: take the groups' replies, begin the commands that were read, read, write. No command has
//! a task, a channel or a timer of its own. Reading stops while the client has too much in flight
//! or does not take its replies, so memory is bounded whatever the client sends.
//!
//! Most commands begin at once. Some must run alone (`begin`): they wait until all earlier commands
//! are answered, and later commands wait for them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_redis_compat::{CommandError, Reply};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, poll_fn};

use super::call::Call;
use super::codec::Limits;
use super::departure::{Departure, Idle, Socket};
use super::farewell::{Stall, say_goodbye};
use super::input::Input;
use super::pipeline::Pipeline;
use super::replies::Event;
use super::request_credit::RequestCredit;
use super::session::Session;
use super::state::{Behind, Mode, Until};
use crate::client_peaks::Peak;
use crate::clients::Client;
use crate::commands;
use crate::shared::Shared;

/// Most unanswered commands of a client; at this number its connection stops reading.
const UNANSWERED_MAX: usize = 4096;
/// Most bytes of commands that may wait for an earlier frame.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// Bytes of replies waiting for the client at which its connection stops reading.
const OUTPUT_BYTES_HIGH: usize = 1 << 20;

/// See the module's head.
pub(crate) struct Connection<S> {
    pub(super) io: S,
    pub(super) shared: Arc<Shared>,
    pub(super) client: Arc<Client>,
    pub(super) session: Session,
    pub(super) pipeline: Pipeline,
    pub(super) requests: RequestCredit,
    pub(super) input: Input,
    /// Empty, for the words of the next command: the vector of a command that has ended.
    spare_args: Vec<Bytes>,
    /// The command that holds up all later commands, if any.
    pub(super) mode: Mode,
    /// Tells whether the client is still there while it is not read from.
    pub(super) departure: Departure,
    /// The client is an attacker: closed at once, without writing its replies.
    aborted: bool,
    /// The largest sizes since `publish` last reported them.
    pub(super) peak: Peak,
    /// The last command that began.
    pub(super) last_command: &'static str,
    /// The replies that the next message has to follow.
    pub(super) behind: Option<Behind>,
    /// While the proxy stops: times a client that does not take its replies.
    stall: Stall,
    /// Its user is gone: it is closed behind the reply to the running command.
    pub(super) ends_behind_reply: bool,
    /// Written bytes may wait below: TLS keeps those that the socket does not take.
    unflushed: bool,
}

impl<S: Socket> Connection<S> {
    pub(crate) fn new(io: S, shared: Arc<Shared>, client: Arc<Client>) -> Self {
        let mut connection = Self {
            io,
            session: Session::new(false),
            pipeline: Pipeline::new(Arc::clone(&shared.router)),
            requests: RequestCredit::new(shared.requests.clone()),
            shared,
            client,
            input: Input::default(),
            spare_args: Vec::new(),
            mode: Mode::Normal,
            departure: Departure::default(),
            aborted: false,
            peak: Peak::default(),
            last_command: "NULL",
            behind: None,
            stall: Stall::default(),
            ends_behind_reply: false,
            unflushed: false,
        };
        connection.become_default();
        connection.client.details().authenticated = connection.session.authenticated;
        connection
    }

    /// Serves the client until it leaves, is closed, or the proxy stops.
    pub(crate) async fn run(mut self) {
        match poll_fn(|cx| self.poll(cx)).await {
            Ok(()) if self.is_stopping() && !self.client.is_killed() && !self.aborted => {
                say_goodbye(&mut self.io).await;
            }
            Ok(()) => self.io.say_end(),
            Err(error) => {
                tracing::debug!(client = self.client.id, %error, "connection broke");
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.client.waker.register(cx.waker());
        let mut was_active = false;
        loop {
            if self.client.is_killed() || !self.follow_rights() {
                return Poll::Ready(Ok(()));
            }
            let mut progress = self.pipeline.poll(cx);
            progress |= self.poll_waiting(cx);
            progress |= self.poll_pushes();
            progress |= self.begin_commands();
            if self.aborted {
                return Poll::Ready(Ok(()));
            }
            progress |= self.poll_read(cx)?;
            // Commands just read go out in as few frames as possible, before replies are written.
            progress |= self.pipeline.dispatch();
            progress |= self.pipeline.poll_credit(cx);
            progress |= self.poll_write(cx)?;
            self.settle();
            if self.is_over() {
                return Poll::Ready(Ok(()));
            }
            if progress {
                was_active = true;
                continue;
            }
            if self.poll_departure(cx) {
                tracing::debug!(client = self.client.id, addr = %self.client.addr, "client has left");
                return Poll::Ready(Ok(()));
            }
            self.input.give_back();
            self.publish(was_active);
            return Poll::Pending;
        }
    }

    /// Gives back memory of replies and requests that are gone, and reports how much is held.
    fn settle(&mut self) {
        self.pipeline.settle();
        let answered_below = self.pipeline.replies.oldest();
        self.client.set_answered_below(answered_below);
        if self.requests.is_used() {
            let coming = self.input.wanted();
            if coming == 0 {
                // Its request is complete: sending more would not give the memory back.
                self.client.request_bytes_held.store(0, Ordering::Relaxed);
            }
            self.requests.settle(self.request_bytes() + coming);
        }
        let held = self.pipeline.held_bytes();
        let client = &self.client;
        if client.reply_bytes_held.swap(held, Ordering::Relaxed) > 0 && held == 0 {
            client.keep_beyond(None);
        }
    }

    /// Whether nothing is left to do for this client.
    fn is_over(&mut self) -> bool {
        if self.is_stopping() {
            let is_held = self.mode.is_paused() || self.mode.is_blocked();
            // These commands would not begin or end for minutes, or not before the client takes its
            // replies.
            if is_held || (self.input.unparsed && self.is_full()) {
                if is_held {
                    self.mode = Mode::Normal;
                }
                self.end_input();
            }
        }
        self.input.ended
            && self.is_settled()
            && !self.input.unparsed
            && self.mode.is_normal()
            && !self.is_unread()
    }

    /// Whether the client has not taken all of its replies.
    fn is_unread(&self) -> bool {
        self.unflushed || self.pipeline.replies.out.len() > 0
    }

    /// Whether the proxy stops, so that no client's commands are read any more.
    pub(super) fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Relaxed)
    }

    /// Stops reading: commands that have begun are answered, then the connection is closed.
    pub(super) fn end_input(&mut self) {
        self.input.end();
    }

    /// Closes the connection without a reply.
    pub(super) fn abort(&mut self) {
        self.aborted = true;
        self.end_input();
    }

    /// Whether every command that has begun is answered.
    pub(super) fn is_settled(&self) -> bool {
        self.pipeline.is_idle() && self.pipeline.replies.is_settled()
    }

    /// Whether the client has left and its time is over; called when the connection has nothing to
    /// do.
    fn poll_departure(&mut self, cx: &mut Context<'_>) -> bool {
        let replies = &self.pipeline.replies;
        let idle = Idle {
            unanswered: (replies.len(), replies.bytes()),
            reads: self.reads(),
            is_unread: self.is_unread(),
            is_held_back: (self.mode.is_paused() || self.mode.is_blocked()) && self.is_settled(),
            input_ended: self.input.ended,
        };
        self.departure.poll(cx, &self.io, &idle)
    }

    /// Whether the connection reads from the client now.
    pub(super) fn reads(&self) -> bool {
        !self.input.ended && !self.input.unparsed && self.may_begin()
    }

    /// Whether another command may begin.
    fn may_begin(&self) -> bool {
        self.mode.is_normal() && !self.pipeline.is_mending() && !self.is_full()
    }

    /// Whether the client has as much in flight, or waiting for it, as is allowed.
    fn is_full(&self) -> bool {
        let replies = &self.pipeline.replies;
        replies.len() >= UNANSWERED_MAX
            || replies.bytes() >= OUTPUT_BYTES_HIGH
            || self.pipeline.waiting_bytes() >= WAITING_BYTES_MAX
    }

    fn begin_commands(&mut self) -> bool {
        if !self.input.unparsed || !self.may_begin() {
            return false;
        }
        let settings = &self.shared.settings;
        let limits = Limits {
            bulk_bytes_max: settings.proto_max_bulk_len.load(Ordering::Relaxed),
            value_bytes_max: self.shared.value_bytes_max(),
            trusted: self.session.authenticated,
        };
        let now = Instant::now();
        self.pipeline.refresh_map();
        self.pipeline.set_slower_than(settings.slower_than());
        let mut begun = 0;
        while self.may_begin() {
            let mut args = std::mem::take(&mut self.spare_args);
            match self.input.next(&limits, &mut args) {
                Ok(true) => {
                    begun += 1;
                    let cut = self.input.take_cut();
                    self.begin(args, cut, now);
                    if !self.input.unparsed || self.session.authenticated != limits.trusted {
                        break;
                    }
                }
                Ok(false) => {
                    self.reuse(args);
                    break;
                }
                Err(error) => {
                    self.push_error(error, false);
                    self.end_input();
                }
            }
            if self.input.ended && !self.input.unparsed {
                break;
            }
        }
        self.departure.begun += begun;
        self.shared.metrics.commands.inc_by(begun);
        self.shared
            .stats
            .commands
            .fetch_add(begun, Ordering::Relaxed);
        true
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let out = &mut self.pipeline.replies.out;
        if out.len() == 0 {
            return self.poll_flush(cx);
        }
        self.unflushed = true;
        self.peak = self.peak.or(out.peak());
        match out.poll_write(cx, &mut self.io) {
            Poll::Ready(written) => {
                let written = written? as u64;
                let taken = &self.client.reply_bytes_taken;
                taken.fetch_add(written, Ordering::Relaxed);
                self.stall.ends();
                self.shared.metrics.output_bytes.inc_by(written);
                self.shared
                    .stats
                    .output_bytes
                    .fetch_add(written, Ordering::Relaxed);
                Ok(true)
            }
            Poll::Pending => {
                self.check_output_limit()?;
                if self.is_stopping() && self.stall.poll_over(cx).is_ready() {
                    return Err(io::Error::other("takes no replies, and the proxy stops"));
                }
                Ok(false)
            }
        }
    }

    /// Lets the socket take the bytes that TLS has kept; returns whether it has taken the last.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if !self.unflushed {
            return Ok(false);
        }
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Ready(flushed) => {
                flushed?;
                self.unflushed = false;
                Ok(true)
            }
            Poll::Pending => {
                if self.is_stopping() && self.stall.poll_over(cx).is_ready() {
                    return Err(io::Error::other("takes no replies, and the proxy stops"));
                }
                Ok(false)
            }
        }
    }

    fn check_output_limit(&self) -> io::Result<()> {
        let limit = &self.shared.settings.output_limits.normal.hard;
        let limit = limit.load(Ordering::Relaxed);
        if limit > 0 && self.pipeline.replies.bytes() as u64 > limit {
            self.shared.metrics.output_limit_disconnections.inc();
            tracing::warn!(client = self.client.id, addr = %self.client.addr, "output buffer limit reached");
            return Err(io::Error::other("output buffer limit reached"));
        }
        Ok(())
    }

    /// Continues the waiting command, parked or running alone; returns whether it made progress.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> bool {
        self.take_events();
        match std::mem::take(&mut self.mode) {
            Mode::Parked { call, mut until } => {
                if self.poll_until(&mut until, cx).is_pending() {
                    self.mode = Mode::Parked { call, until };
                    return false;
                }
                self.pipeline.refresh_map();
                self.resume(call, &until);
                true
            }
            Mode::Alone { call, mut work } => {
                let Poll::Ready(result) = work.poll_unpin(cx) else {
                    self.mode = Mode::Alone { call, work };
                    return false;
                };
                self.finish_alone(&call, result);
                true
            }
            Mode::Finishing {
                slot,
                queue,
                theirs,
                work,
            } => self.poll_finishing((slot, queue, theirs), work, cx),
            mode @ (Mode::Normal | Mode::Transacting { .. }) => {
                self.mode = mode;
                false
            }
        }
    }

    /// Ready when the parked command may try to begin.
    fn poll_until(&self, until: &mut Until, cx: &mut Context<'_>) -> Poll<()> {
        let is_ready = match until {
            Until::Settled => self.is_settled(),
            Until::Unpaused(over) | Until::News(over) => return over.poll_unpin(cx),
            Until::Map { newer } => {
                self.is_settled() && {
                    let (router, map) = (&self.shared.router, self.pipeline.map());
                    let newer = newer.get_or_insert_with(|| wait_for_map(router, map.generation));
                    self.pipeline.has_newer_map() || newer.poll_unpin(cx).is_ready()
                }
            }
        };
        if is_ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn finish_alone(&mut self, call: &Call, result: Result<Reply, CommandError>) {
        // A client that waits for data costs nobody time.
        let waited = call.row.may_wait();
        let elapsed = if waited {
            Duration::ZERO
        } else {
            call.began.elapsed()
        };
        if self
            .shared
            .settings
            .slower_than()
            .is_some_and(|bound| elapsed >= bound && !waited)
        {
            let len_max = self.shared.settings.slowlog_max_len.load(Ordering::Relaxed);
            let addr = self.client.addr.to_string();
            let name = self.client.details().name.clone();
            self.shared
                .slowlog
                .add(&call.args, elapsed, &addr, &name, len_max as usize);
        }
        self.count_call(call.row, elapsed, result.is_err());
        if commands::subscribes(call.row) {
            // No message of a subscription that has ended may follow.
            self.flush_pushes();
        }
        match result {
            Ok(reply) => {
                let silent = call.silent && !commands::subscribes(call.row);
                self.push(&reply, silent);
            }
            Err(error) => self.push_error(error, call.silent),
        }
        // The users may have changed with the reply.
        if !self.follow_rights() || self.ends_behind_reply {
            self.end_input();
        }
    }

    /// Processes the pipeline's events for the session, its counts, and its slow frames for
    /// SLOWLOG.
    fn take_events(&mut self) {
        for event in std::mem::take(&mut self.pipeline.events) {
            match event {
                Event::Watched {
                    generation,
                    watches,
                } => self.session.watched(generation, watches),
                Event::Transacted { slot, reply } => self.transacted(slot, reply),
            }
        }
        self.count_answered();
        if !self.pipeline.slow.is_empty() {
            let len_max = self.shared.settings.slowlog_max_len.load(Ordering::Relaxed);
            let name = self.client.details().name.clone();
            let addr = self.client.addr.to_string();
            for slow in self.pipeline.slow.drain(..) {
                self.shared
                    .slowlog
                    .add_frame(&slow, &addr, &name, len_max as usize);
            }
        }
    }

    /// Replies to a command, which ends with that.
    pub(super) fn reply(&mut self, call: Call, reply: &Reply) {
        self.push(reply, call.silent);
        self.reuse(call.args);
    }

    /// Takes back the vector of a command's words, so that the next command needs no new one.
    pub(super) fn reuse(&mut self, mut args: Vec<Bytes>) {
        args.clear();
        self.spare_args = args;
    }

    pub(super) fn push(&mut self, reply: &Reply, silent: bool) {
        self.pipeline.replies.push(reply, self.session.resp, silent);
    }

    pub(super) fn push_error(&mut self, error: CommandError, silent: bool) {
        self.shared.metrics.errors.inc();
        self.shared.stats.errors.count(&error.line());
        self.push(&Reply::from(error), silent);
    }
}

fn wait_for_map(router: &Arc<crate::router::Router>, generation: u64) -> BoxFuture<'static, ()> {
    const PAUSE: Duration = Duration::from_millis(50);
    let router = Arc::clone(router);
    Box::pin(async move { router.cache.newer_than(generation, PAUSE).await })
}
