//! What a server does with a call: a handler gets the request and something to answer with.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::CallError;
use crate::server::Caller;

/// A call as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method's number.
    pub method: u16,
    /// Its body. It shares the memory of the read it came with (64 KiB or more): a handler that
    /// keeps a small part for long copies that part.
    pub body: Bytes,
    /// When the caller stops waiting, by this machine's clock; later answers are dropped.
    pub deadline: Instant,
}

/// Takes calls. Called from the connection's reader, or from the caller's own task when the call
/// stays in the process: it must not block, and starts a task of its own when it has to wait.
pub trait Handler: Send + Sync + 'static {
    /// Answers, now or later, through `responder`.
    fn handle(&self, request: Request, responder: Responder);
}

/// Answers one call, once. Dropped without an answer, it fails the call.
#[must_use]
pub struct Responder(Option<Sink>);

enum Sink {
    Remote { caller: Arc<Caller>, id: u64 },
    Local(oneshot::Sender<Result<Bytes, CallError>>),
}

impl Responder {
    /// Sends the answer. Only queues it: never blocks.
    pub fn send(mut self, body: Bytes) {
        self.finish(Ok(body));
    }

    /// Tells the caller that there is no answer, and why.
    pub fn fail(mut self, reason: &str) {
        self.finish(Err(reason));
    }

    /// Whether nobody waits for the answer any more, so that work for it may stop. A guess: it may
    /// say no though the caller has given up.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        match &self.0 {
            Some(Sink::Remote { caller, .. }) => caller.is_gone(),
            Some(Sink::Local(sender)) => sender.is_closed(),
            None => true,
        }
    }

    pub(crate) fn remote(caller: Arc<Caller>, id: u64) -> Self {
        Self(Some(Sink::Remote { caller, id }))
    }

    pub(crate) fn local(sender: oneshot::Sender<Result<Bytes, CallError>>) -> Self {
        Self(Some(Sink::Local(sender)))
    }

    fn finish(&mut self, result: Result<Bytes, &str>) {
        match self.0.take() {
            Some(Sink::Remote { caller, id }) => caller.answer(id, result),
            Some(Sink::Local(sender)) => {
                let result = result.map_err(|reason| CallError::Failed(reason.to_owned()));
                // The caller may have given up.
                let _ = sender.send(result);
            }
            None => {}
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.finish(Err("dropped"));
    }
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Responder")
    }
}
