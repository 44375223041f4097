//! The handler of a server: it gets each request with a responder for the answer.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use coterie_budget::Budget;
use tokio::sync::oneshot;

use crate::caller::Caller;
use crate::long_answers::Hold;
use crate::{CallError, Progress};

/// A received call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method's number.
    pub method: u16,
    /// Its body. It shares the memory of the read it arrived with (64 KiB or more): a handler that
    /// keeps a small part for long should copy that part.
    pub body: Bytes,
    /// When the caller stops waiting, by this machine's clock; later answers are dropped.
    pub deadline: Instant,
}

/// Takes calls. Called from the connection's reader, or from the caller's own task if the call
/// stays in the process: it must not block, and spawns a task if it has to wait.
pub trait Handler: Send + Sync + 'static {
    /// Answers, now or later, through `responder`.
    fn handle(&self, request: Request, responder: Responder);
}

/// Answers a call, once. Dropped without an answer, it fails the call.
#[must_use]
pub struct Responder(Option<Sink>);

enum Sink {
    Remote {
        caller: Arc<Caller>,
        id: u64,
    },
    Local {
        sender: oneshot::Sender<Result<Bytes, CallError>>,
        heard: Arc<Progress>,
    },
}

impl Responder {
    /// Sends the answer. Only queues it: never blocks.
    pub fn send(mut self, body: Bytes) {
        self.finish(Ok(body), None);
    }

    /// Like [`Responder::send`]; also drops `hold`, permits for the answer's bytes, when the bytes
    /// are written.
    pub fn send_holding(mut self, body: Bytes, hold: impl Any + Send) {
        self.finish(Ok(body), Some(Box::new(hold)));
    }

    /// Tells the caller that the call is being worked on, so that it keeps waiting. To be repeated
    /// now and then, and only while it is true.
    pub fn working(&self) {
        match &self.0 {
            Some(Sink::Remote { caller, id }) => caller.working(*id),
            Some(Sink::Local { heard, .. }) => heard.note(),
            None => {}
        }
    }

    /// Bytes of long answers that may wait on the caller's connection; `None` for a caller in this
    /// process.
    #[must_use]
    pub fn link_budget(&self) -> Option<&Budget> {
        match &self.0 {
            Some(Sink::Remote { caller, .. }) => Some(caller.budget()),
            _ => None,
        }
    }

    /// Fails the call with a reason.
    pub fn fail(mut self, reason: &str) {
        self.finish(Err(reason), None);
    }

    /// Whether the caller no longer waits for the answer, so that work for it should stop.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        match &self.0 {
            Some(Sink::Remote { caller, id }) => caller.is_gone() || caller.is_cancelled(*id),
            Some(Sink::Local { sender, .. }) => sender.is_closed(),
            None => true,
        }
    }

    pub(crate) fn remote(caller: Arc<Caller>, id: u64) -> Self {
        Self(Some(Sink::Remote { caller, id }))
    }

    pub(crate) fn local(
        sender: oneshot::Sender<Result<Bytes, CallError>>,
        heard: Arc<Progress>,
    ) -> Self {
        Self(Some(Sink::Local { sender, heard }))
    }

    fn finish(&mut self, result: Result<Bytes, &str>, hold: Hold) {
        match self.0.take() {
            Some(Sink::Remote { caller, id }) => caller.answer(id, result, hold),
            // The bytes now belong to the caller, which counts them itself.
            Some(Sink::Local { sender, .. }) => {
                let result = result.map_err(|reason| CallError::Failed(reason.to_owned()));
                // The caller may have stopped waiting.
                let _ = sender.send(result);
            }
            None => {}
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.finish(Err("dropped"), None);
    }
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Responder")
    }
}
