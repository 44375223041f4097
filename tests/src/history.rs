//! The history of the clients: an operation per call, with the moments of its begin and its end.
//!
//! Moments are numbers from a counter that all clients share. A call takes a number before its
//! command is sent and another after its reply was read, so `a.ended < b.began` means that the
//! client had a's reply before b was sent. An operation whose fate is unknown (a timeout, a broken
//! connection) has no end: it may take effect at any later moment, or never. An operation that
//! surely had no effect is not recorded.
//!
//! Callers: `workload::registers` writes histories, `checker` judges them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// The command of a call, without its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// `GET`.
    Get,
    /// `SET key value`.
    Set(Bytes),
    /// `SETNX key value`.
    SetNx(Bytes),
    /// `GETSET key value`.
    GetSet(Bytes),
    /// `INCR`.
    Incr,
    /// `APPEND key value`.
    Append(Bytes),
    /// `DEL`.
    Del,
}

/// The reply of a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Observed {
    /// `+OK`.
    Ok,
    /// A value, or nil.
    Value(Option<Bytes>),
    /// An integer.
    Integer(i64),
    /// An error that a correct server returns too, such as `INCR` of text.
    Rejected,
}

/// A call of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The client's number.
    pub client: usize,
    /// The key of the command.
    pub key: Bytes,
    /// The command.
    pub action: Action,
    /// The moment before the command was sent.
    pub began: u64,
    /// The moment after the reply was read, and the reply; `None` if the fate is unknown.
    pub ended: Option<(u64, Observed)>,
}

/// The counter that all clients of a history share.
#[derive(Debug, Clone, Default)]
pub struct Moments(Arc<AtomicU64>);

impl Moments {
    fn now(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// The calls of one client, in order.
#[derive(Debug)]
pub struct ClientHistory {
    client: usize,
    moments: Moments,
    operations: Vec<Operation>,
}

impl ClientHistory {
    /// An empty history.
    #[must_use]
    pub fn new(client: usize, moments: Moments) -> Self {
        Self {
            client,
            moments,
            operations: Vec::new(),
        }
    }

    /// Records the begin of a call. Its fate is unknown until [`Self::observed`] or
    /// [`Self::not_executed`].
    pub fn began(&mut self, key: Bytes, action: Action) {
        self.operations.push(Operation {
            client: self.client,
            key,
            action,
            began: self.moments.now(),
            ended: None,
        });
    }

    /// Records the reply of the latest call.
    pub fn observed(&mut self, observed: Observed) {
        let now = self.moments.now();
        if let Some(last) = self.operations.last_mut() {
            last.ended = Some((now, observed));
        }
    }

    /// Removes the latest call: it surely had no effect.
    pub fn not_executed(&mut self) {
        self.operations.pop();
    }

    /// The number of recorded calls.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether no call is recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}

/// All clients' calls in one list, by the moment they began.
#[must_use]
pub fn merge(clients: Vec<ClientHistory>) -> Vec<Operation> {
    let mut all: Vec<_> = clients.into_iter().flat_map(|c| c.operations).collect();
    all.sort_by_key(|operation| operation.began);
    all
}

/// A line per operation, for a file beside a failed test.
#[must_use]
pub fn render(history: &[Operation]) -> String {
    history.iter().fold(String::new(), |mut text, operation| {
        let _ = writeln!(text, "{operation}");
        text
    })
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = self.key.escape_ascii();
        write!(f, "client {} \"{key}\" {:?} ", self.client, self.action)?;
        match &self.ended {
            Some((at, saw)) => write!(f, "[{}, {at}] saw {saw:?}", self.began),
            None => write!(f, "[{}, ?] fate unknown", self.began),
        }
    }
}
