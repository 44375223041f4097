//! A command that waits for data: BLPOP, BLMOVE, XREAD with BLOCK, and their kind.
//!
//! It runs alone on its connection, as in Redis. Its frame waits at the leader of the group that
//! owns its keys (`router::waiting`); the time, CLIENT UNBLOCK and the client's leaving are matters
//! of the proxy. Each ends the wait by a withdrawal, and whatever was served before it counts.
//!
//! When the leader changes or the keys move, the frame is sent again with the time that its client
//! has waited, so that the order of those who wait is kept.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use coterie_protocol::Stage;
use coterie_redis_compat::errors::{TOO_MANY_WAIT, UNBLOCKED};
use coterie_redis_compat::{CommandError, Reply};
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::clients::Unblock;
use crate::commands::Remote;
use crate::conn::{Call, Destination, Unroutable, destination};
use crate::fanout::{only_reply, unreadable};
use crate::router::{Failure, Outcome, Router, Sent, Words};

/// How long to wait for a newer map before looking again.
const MAP_PAUSE: Duration = Duration::from_millis(50);
/// Pause before a frame in doubt is sent again.
const DOUBT_PAUSE: Duration = Duration::from_millis(5);

/// How long a call may wait; `None` if it does not wait, or its timeout makes no sense.
pub(crate) fn limit(call: &Call) -> Option<Option<Duration>> {
    if !call.row.may_wait() {
        return None;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0));
    call.row.wait_limit(&call.args, now_ms).ok().flatten()
}

/// Runs a command that may wait.
pub(crate) fn run(
    call: Remote,
    limit: Option<Duration>,
) -> BoxFuture<'static, Result<Reply, CommandError>> {
    Box::pin(async move {
        let (sender, unblocked) = oneshot::channel();
        call.client.may_be_unblocked(sender);
        let mut waiting = Waiting::new(&call);
        let end = limit.and_then(|limit| waiting.began.checked_add(limit));
        let time = async {
            match end {
                Some(end) => tokio::time::sleep_until(end.into()).await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            biased;
            reply = waiting.serve(&call) => return reply.map(Reply::Raw),
            reason = unblocked => reason.unwrap_or(Unblock::TimedOut),
            () = time => Unblock::TimedOut,
        };
        match waiting.withdraw().await? {
            Some(reply) => Ok(Reply::Raw(reply)),
            None => match ended {
                Unblock::TimedOut => Ok(Reply::NullArray),
                Unblock::Error => Err(UNBLOCKED),
                Unblock::Denied(denial) => Err(denial.error(call.row)),
            },
        }
    })
}

/// A command that waits.
struct Waiting {
    router: Arc<Router>,
    words: Words,
    /// Its frame, as long as its fate is open.
    sent: Option<Sent>,
    began: Instant,
    stage: Stage,
}

impl Waiting {
    fn new(call: &Remote) -> Self {
        Self {
            router: Arc::clone(&call.shared.router),
            words: Words {
                table: call.table,
                args: call.args.clone(),
                resp: call.resp,
                tracker: call.tracker,
            },
            sent: None,
            began: Instant::now(),
            stage: Stage::First,
        }
    }

    /// Sends the frame until it is answered.
    async fn serve(&mut self, call: &Remote) -> Result<Bytes, CommandError> {
        loop {
            let router = Arc::clone(&self.router);
            if self.sent.is_none() {
                self.sent = Some(self.route(call).await?);
            }
            let Some(sent) = &mut self.sent else {
                continue;
            };
            if sent.may_be_forgotten() {
                self.sent = None;
                let reason = "its session may have been forgotten".to_owned();
                return Err(Failure::Unknown(reason).error());
            }
            let (mut waited, mut deadline) = (Duration::ZERO, call.deadline);
            if self.stage == Stage::Waited {
                waited = self.began.elapsed();
                deadline = Instant::now() + router.request_timeout;
            }
            let sending = router.send_waiting(sent, &self.words, self.stage, waited, deadline);
            match sending.await {
                Outcome::Done(replies) => return self.end(replies),
                // From the moment that its words name it waits, though it comes anew.
                Outcome::Resolved(words) => {
                    self.words.args = words;
                    self.stage = Stage::Waited;
                }
                Outcome::Moved => self.sent = None,
                Outcome::Waits(expecting) => {
                    self.stage = Stage::Waited;
                    let answer = tokio::select! {
                        biased;
                        answer = expecting => answer,
                        () = sent.stale() => {
                            match self.withdraw().await? {
                                Some(reply) => return Ok(reply),
                                None => continue,
                            }
                        }
                    };
                    match answer {
                        Some(answer) if answer.first() == Some(&0) => {
                            let replies = answer.slice(1..);
                            router.answered(sent, &replies);
                            return self.end(replies);
                        }
                        _ => tokio::time::sleep(DOUBT_PAUSE).await,
                    }
                }
                // A client that waits has time: the group may find a leader.
                Outcome::Failed(Failure::Unknown(_) | Failure::TryAgain(_))
                    if self.stage == Stage::Waited && Instant::now() >= deadline => {}
                Outcome::Failed(failure) => {
                    self.sent = None;
                    return Err(failure.error());
                }
                Outcome::NeedsRoom(_) => return Err(unreadable()),
            }
        }
    }

    /// The frame's way to the group that owns its keys.
    async fn route(&self, call: &Remote) -> Result<Sent, CommandError> {
        let cache = &self.router.cache;
        loop {
            let map = cache.load();
            match destination(&map, call.row, call.table, &self.words.args) {
                Ok(Destination::One(group)) => {
                    let sent = Sent::new(Arc::clone(group), map.generation);
                    return sent.ok_or(TOO_MANY_WAIT);
                }
                Ok(Destination::Many(_)) => return Err(CommandError::CrossGroup),
                Err(Unroutable::Refused(error)) => return Err(error),
                Err(Unroutable::NoRange)
                    if self.stage == Stage::First && Instant::now() >= call.deadline =>
                {
                    return Err(Failure::no_owner(map.is_empty()));
                }
                Err(Unroutable::NoRange) => cache.newer_than(map.generation, MAP_PAUSE).await,
            }
        }
    }

    /// The only reply of an answer, which ends the wait.
    fn end(&mut self, replies: Bytes) -> Result<Bytes, CommandError> {
        self.sent = None;
        only_reply(replies)
    }

    /// Ends the wait; returns the reply if the command was served before.
    async fn withdraw(&mut self) -> Result<Option<Bytes>, CommandError> {
        let Some(sent) = self.sent.take() else {
            return Ok(None);
        };
        // It goes on when the client leaves meanwhile.
        let (router, words) = (Arc::clone(&self.router), self.words.clone());
        let withdrawing = tokio::spawn(async move { router.withdraw(sent, &words).await });
        match withdrawing.await {
            Ok(Ok(replies)) => replies.map(only_reply).transpose(),
            Ok(Err(failure)) => Err(failure.error()),
            Err(_) => Err(Failure::Unknown("the proxy stops".to_owned()).error()),
        }
    }
}

impl Drop for Waiting {
    /// The client has left: its frame must not be served any more.
    fn drop(&mut self) {
        let Some(sent) = self.sent.take() else {
            return;
        };
        // Without a runtime the proxy is ending, and servers notice that its link is gone.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (router, words) = (Arc::clone(&self.router), self.words.clone());
            runtime.spawn(async move {
                // Whatever it was served is lost with the client, as in Redis.
                let _ = router.withdraw(sent, &words).await;
            });
        }
    }
}
