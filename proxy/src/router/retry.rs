//! Sends a frame until it is answered, finally refused, or out of time.
//!
//! Every attempt carries the same number, so a frame whose fate is unknown is applied once and
//! answered with its first replies (design §5). Every attempt also acknowledges the frames that
//! were answered meanwhile, because a group that keeps its maximum of replies waits for nothing
//! else. The client sees an error only when the proxy gives up, and the error says whether the
//! write may have happened.
//!
//! A refusal carries the group's better knowledge. `Moved` updates the map and goes back to the
//! connection, which routes the commands again; `NeedsRoom` goes back for more reply memory; the
//! other refusals are handled here. Between attempts the map may become newer and show that the
//! group owns other intervals, or no longer exists: then a frame that was surely not applied goes
//! back to the connection, too. A frame that may have been applied stays with its group, whose log
//! alone can tell, until it is answered or its time is over.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use coterie_protocol::{FrameFlags, FrameReply, Refusal, decode, method};
use coterie_redis_compat::CommandError;
use coterie_redis_compat::errors::{BUSY_FUNCTION, BUSY_SCRIPT, DISK_FULL, STARTING};
use coterie_rpc::{CallError, Patience};
use coterie_types::{GroupId, NodeId};
use tokio::runtime::Handle;
use tracing::{debug, warn};

use super::backoff::Backoff;
use super::links::{Expecting, Links};
use super::prepared::{Numbers, numbers_of, renumbered};
use super::window::Ticket;
use super::{GroupRoute, Prepared, RangeCache, RangeMap};
use crate::client_memory::ClientMemory;
use crate::metrics::Metrics;

/// How long a leader may be silent in the first attempt: shorter than a client should have to wait,
/// longer than any commit of a healthy group. Doubles with each time-out, up to 16 times this. A
/// leader is not silent while it reports that it works on the frame, sends parts of the answer, or
/// answers other frames of the kind.
const ATTEMPT: Duration = Duration::from_millis(800);
/// After this time no frame is sent again, because the group may have forgotten that it applied the
/// frame. By the wall clock, which goes on while a machine sleeps.
pub(super) const AWAKE_MAX: Duration = Duration::from_secs(8 * 60);
/// Assumed transfer rate: the transfer time of a body is added to an attempt.
const BYTES_PER_SECOND: u64 = 16 << 20;

/// The result of sending a frame.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The replies: count, lengths, bytes, as in `FrameReply` behind the tag.
    Done(Bytes),
    /// Nothing was executed: the commands have other owners, which the map may know by now.
    Moved,
    /// Nothing was executed: the first reply needs room for this many bytes.
    NeedsRoom(usize),
    /// Nothing was executed: the frame waits for data, and its answer is expected.
    Waits(Expecting),
    /// Nothing was executed: the command is to be sent with these words.
    Resolved(Vec<Bytes>),
    /// The router gave up.
    Failed(Failure),
}

/// Why the router gave up a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It may have been applied.
    Unknown(String),
    /// It was surely not applied.
    TryAgain(String),
    /// The group's disks are full.
    DiskFull,
    /// The group could not decode it, or it exceeds a limit.
    Refused(String),
    /// It was surely not applied, and cannot be routed as keys lie now.
    Unroutable(CommandError),
}

impl Failure {
    /// The map does not know the owners of the keys, and the time to wait for a newer map is over.
    pub(crate) fn no_range() -> Self {
        Failure::TryAgain("no range of the map holds its keys".to_owned())
    }

    /// The error of a command whose time is over while the map does not know the owners of its
    /// keys.
    pub(crate) fn no_owner(map_is_empty: bool) -> CommandError {
        if map_is_empty {
            STARTING
        } else {
            Failure::no_range().error()
        }
    }

    /// The group reported another owner of the keys, too late to ask that owner.
    pub(crate) fn moved_too_late(group: GroupId) -> Self {
        Failure::TryAgain(format!(
            "its time was over when keys of group {group} had moved"
        ))
    }

    /// The error line for the client.
    pub(crate) fn error(&self) -> CommandError {
        match self {
            Failure::Unknown(reason) => CommandError::Unknown(format!(
                "the command may or may not have been applied: {reason}"
            )),
            Failure::TryAgain(reason) => {
                CommandError::TryAgain(format!("the command was not applied: {reason}"))
            }
            Failure::DiskFull => DISK_FULL,
            Failure::Refused(reason) => CommandError::Other(format!("ERR {reason}")),
            Failure::Unroutable(error) => error.clone(),
        }
    }
}

/// Sends frames.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) cache: Arc<RangeCache>,
    pub(crate) rpc: coterie_rpc::Client,
    pub(crate) metrics: Arc<Metrics>,
    /// Memory for the replies of all clients.
    pub(crate) replies: ClientMemory,
    /// How long a command may take in all.
    pub(crate) request_timeout: Duration,
    /// The answers of frames that wait.
    pub(crate) links: Links,
}

impl Router {
    /// A router with the same state, which calls over its own connections on `runtime`.
    pub(crate) fn on(&self, runtime: &Handle) -> Self {
        let rpc = self.rpc.on(runtime);
        Self {
            cache: Arc::clone(&self.cache),
            links: Links::new(rpc.clone()),
            rpc,
            metrics: Arc::clone(&self.metrics),
            replies: self.replies.clone(),
            request_timeout: self.request_timeout,
        }
    }

    /// Sends `frame` to `group`, which owns its keys by the map of generation `routed_by`. Also
    /// returns the body that was sent: the group's id and the frame.
    pub(crate) async fn execute(
        &self,
        group: &GroupRoute,
        routed_by: u64,
        frame: Prepared,
    ) -> (Outcome, Bytes) {
        let mut ticket = if frame.is_read() {
            None
        } else {
            Some(group.window.ticket().await)
        };
        let attempts = Attempts::new(self, group, routed_by, frame.flags, frame.deadline);
        let numbers = ticket
            .as_mut()
            .map_or_else(Numbers::default, Ticket::numbers);
        let body = frame.into_body(group.id, numbers);
        attempts.run(&mut ticket, body).await
    }
}

/// The attempts to send a frame.
pub(super) struct Attempts<'a> {
    router: &'a Router,
    group: &'a GroupRoute,
    /// The generation of the map that chose the group.
    routed_by: u64,
    flags: FrameFlags,
    deadline: Instant,
    began: SystemTime,
    backoff: Backoff,
    /// How many attempts timed out.
    silences: u32,
    /// Some attempt may have been applied.
    pub(super) maybe_applied: bool,
    /// The group's voters when an attempt failed. They are asked even after the catalog has dropped
    /// the group, as they may know the fate of the frame.
    voters: Vec<NodeId>,
    /// Why the last attempt failed.
    reason: String,
}

/// What to do after an attempt.
enum Next {
    /// Return this outcome.
    Finish(Outcome),
    /// Try at once: the leader is known.
    Now,
    /// Try after a pause.
    Pause,
    /// Try after a pause that stays short, because the wait ends soon.
    BriefPause,
    /// Number the frame anew, because its session has expired.
    Renew,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(
        router: &'a Router,
        group: &'a GroupRoute,
        routed_by: u64,
        flags: FrameFlags,
        deadline: Instant,
    ) -> Self {
        Self {
            router,
            group,
            routed_by,
            flags,
            deadline,
            began: SystemTime::now(),
            backoff: Backoff::new(),
            silences: 0,
            maybe_applied: false,
            voters: Vec::new(),
            reason: String::new(),
        }
    }

    pub(super) async fn run(
        mut self,
        ticket: &mut Option<Ticket>,
        mut body: Bytes,
    ) -> (Outcome, Bytes) {
        // Redirects in a row: the frame must not bounce between two replicas that name each other.
        let mut redirects = 0;
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let slept = self.began.elapsed().is_ok_and(|passed| passed > AWAKE_MAX);
            if left.is_zero() || slept {
                return (Outcome::Failed(self.give_up()), body);
            }
            let map = self.router.cache.load();
            let next = match self.target(&map) {
                Some((node, addr)) => self.attempt(&map, node, addr, &body, left).await,
                None => {
                    self.reason = format!("no address of a replica of group {}", self.group.id);
                    Next::Pause
                }
            };
            match next {
                Next::Finish(outcome) => {
                    if let (Outcome::Done(_) | Outcome::Waits(_), Some(ticket)) =
                        (&outcome, &*ticket)
                    {
                        ticket.session_is_known();
                    }
                    return (outcome, body);
                }
                Next::Now if redirects < 2 => redirects += 1,
                Next::Now | Next::Pause | Next::BriefPause => {
                    redirects = 0;
                    self.router.metrics.retries.inc();
                    if let Some(group) = map.catalog.groups.get(&self.group.id) {
                        self.voters = group.voters().collect();
                    }
                    let pause = match next {
                        Next::BriefPause => self.backoff.brief_pause(),
                        _ => self.backoff.pause(),
                    };
                    let cache = &self.router.cache;
                    cache.newer_than(map.generation, pause.min(left)).await;
                    if !self.may_be_applied() && self.group.owns_other_than(self.routed_by) {
                        return (Outcome::Moved, body);
                    }
                }
                Next::Renew => *ticket = ticket.take().map(Ticket::renew),
            }
            if let Some(ticket) = ticket {
                body = renumbered(body, ticket.numbers());
            }
        }
    }

    async fn attempt(
        &mut self,
        map: &RangeMap,
        node: NodeId,
        addr: &str,
        body: &Bytes,
        left: Duration,
    ) -> Next {
        let way = Duration::from_secs(body.len() as u64 / BYTES_PER_SECOND);
        let is_read = self.flags.has(FrameFlags::READ_ONLY);
        let patience = Patience {
            deadline: Instant::now() + left,
            silence: ATTEMPT * (1 << self.silences.min(4)) + way,
            progress: Some(Arc::clone(self.group.progress(is_read))),
        };
        let rpc = &self.router.rpc;
        // Before the call: the answer may come before the word that the frame waits.
        let expecting = match numbers_of(body) {
            Some(numbers) if self.flags.has(FrameFlags::WAITS) => {
                let id = (numbers.session, numbers.seq);
                Some(self.router.links.expect(addr, id))
            }
            _ => None,
        };
        let calling = rpc.call_patiently(addr, method::EXECUTE, body.clone(), patience);
        match calling.await {
            Ok(reply) => match reply.first() {
                Some(0) => {
                    self.group.progressed(is_read);
                    if !self.flags.has(FrameFlags::FOLLOWER_READ) {
                        self.group.confirm(node);
                    }
                    Next::Finish(Outcome::Done(reply.slice(1..)))
                }
                Some(1) => match decode::<Refusal>(&reply[1..]) {
                    Ok(refusal) => self.refused(map, node, refusal).await,
                    Err(error) => self.garbled(node, &error.to_string()),
                },
                Some(2 | 3) => self.waits(node, reply, expecting),
                _ => self.garbled(node, "an answer without a tag"),
            },
            Err(error) => self.silent(node, &error),
        }
    }

    /// Handles the word that the frame waits, or needs other words.
    fn waits(&mut self, node: NodeId, reply: Bytes, expecting: Option<Expecting>) -> Next {
        self.group.progressed(false);
        self.group.confirm(node);
        match (FrameReply::decode(reply), expecting) {
            (Ok(FrameReply::Waits { epoch }), Some(expecting)) => {
                self.maybe_applied = true;
                if expecting.waits(epoch) {
                    return Next::Finish(Outcome::Waits(expecting));
                }
                // The link began anew: what the server said before does not hold.
                self.reason = format!("node {node} has lost the link");
                Next::BriefPause
            }
            (Ok(FrameReply::Resolved(words)), _) => Next::Finish(Outcome::Resolved(words)),
            (Err(error), _) => self.garbled(node, &error.to_string()),
            (Ok(_), _) => self.garbled(node, "a frame waits that may not"),
        }
    }

    /// Handles a missing answer.
    fn silent(&mut self, node: NodeId, error: &CallError) -> Next {
        debug!(group_id = %self.group.id, node_id = %node, %error, "no answer to a frame");
        self.reason = format!("node {node}: {error}");
        self.maybe_applied |= !error.surely_not_executed();
        self.group.suspect(node);
        if matches!(error, CallError::TimedOut) {
            self.silences += 1;
        }
        Next::Pause
    }

    /// Handles an answer that cannot be decoded: a fault of the server, which may have done
    /// anything.
    fn garbled(&mut self, node: NodeId, what: &str) -> Next {
        warn!(group_id = %self.group.id, node_id = %node, error = what, "a frame's answer is malformed");
        self.maybe_applied = true;
        self.reason = format!("node {node} answered what cannot be read");
        Next::Pause
    }

    async fn refused(&mut self, map: &RangeMap, node: NodeId, refusal: Refusal) -> Next {
        debug!(group_id = %self.group.id, node_id = %node, ?refusal, "frame refused");
        match refusal {
            Refusal::NotLeader { leader, term } => {
                self.reason = format!("group {} has no leader", self.group.id);
                if self.group.redirect(node, leader, term) {
                    Next::Now
                } else {
                    Next::Pause
                }
            }
            Refusal::Moved { ranges } => {
                self.router.metrics.moved.inc();
                self.router.cache.learn(ranges);
                // If these descriptors were known, the next owner is not known yet: pause instead
                // of a storm.
                let pause = self.backoff.pause();
                self.router.cache.newer_than(map.generation, pause).await;
                Next::Finish(Outcome::Moved)
            }
            Refusal::NoSuchGroup { .. } => {
                self.reason = format!("node {node} has no replica of group {}", self.group.id);
                self.group.suspect(node);
                Next::Pause
            }
            Refusal::Overloaded => {
                self.reason = format!("group {} is overloaded", self.group.id);
                Next::Pause
            }
            Refusal::Moving => {
                self.router.metrics.moving.inc();
                self.reason = format!("keys are moving to group {}", self.group.id);
                Next::BriefPause
            }
            Refusal::FateUnknown => {
                self.maybe_applied = true;
                self.reason = format!("group {} changed its leader", self.group.id);
                Next::Pause
            }
            Refusal::SessionExpired if !self.maybe_applied => Next::Renew,
            Refusal::SessionExpired => Next::Finish(Outcome::Failed(Failure::Unknown(
                "its session has expired".to_owned(),
            ))),
            // An earlier attempt may have been applied: then only the group's log can tell.
            Refusal::DiskFull if self.maybe_applied => {
                self.reason = format!("the disks of group {} are full", self.group.id);
                Next::Pause
            }
            Refusal::DiskFull => Next::Finish(Outcome::Failed(Failure::DiskFull)),
            Refusal::Busy { .. } if self.maybe_applied => {
                self.reason = format!("group {} runs a script", self.group.id);
                Next::Pause
            }
            Refusal::Busy { function } => {
                let error = if function { BUSY_FUNCTION } else { BUSY_SCRIPT };
                Next::Finish(Outcome::Failed(Failure::Unroutable(error)))
            }
            Refusal::NeedsRoom { bytes } => {
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                Next::Finish(Outcome::NeedsRoom(bytes))
            }
            Refusal::Malformed { reason } => {
                Next::Finish(Outcome::Failed(Failure::Refused(reason)))
            }
        }
    }

    fn target<'m>(&self, map: &'m RangeMap) -> Option<(NodeId, &'m str)> {
        let address = |node: NodeId| {
            let node = map.catalog.nodes.get(&node)?;
            Some((node.node_id, node.addr.as_str()))
        };
        let follower_read = self.flags.has(FrameFlags::FOLLOWER_READ);
        if !follower_read && let Some(leader) = self.group.leader().and_then(address) {
            return Some(leader);
        }
        let candidates: Vec<_> = match map.catalog.groups.get(&self.group.id) {
            Some(group) => group.voters().filter_map(address).collect(),
            None => self.voters.iter().copied().filter_map(address).collect(),
        };
        self.group.probe(&candidates)
    }

    /// Whether an attempt may have been applied and the frame writes.
    fn may_be_applied(&self) -> bool {
        self.maybe_applied && !self.flags.has(FrameFlags::READ_ONLY)
    }

    fn give_up(&self) -> Failure {
        let reason = if self.reason.is_empty() {
            "it took too long".to_owned()
        } else {
            self.reason.clone()
        };
        if self.may_be_applied() {
            Failure::Unknown(reason)
        } else {
            Failure::TryAgain(reason)
        }
    }
}
