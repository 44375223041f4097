//! What clients did and saw: one operation per call, with the moments it began and ended.
//!
//! The moments are numbers from one counter shared by all clients: a call takes a number before
//! its command is sent and another after its reply was read, so `a.ended < b.began` means that a's
//! reply was in hand before b was sent. An operation whose fate is unknown (a timeout, a broken
//! connection) has no end: it may take effect at any later moment, or never. An operation that
//! surely did not happen is not recorded.
//!
//! Callers: `workload::registers` writes histories, `checker` judges them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// What a client asked of one key.
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

/// What the reply said.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Observed {
    /// `+OK`.
    Ok,
    /// A value, or nil.
    Value(Option<Bytes>),
    /// An integer.
    Integer(i64),
    /// An error that a correct server gives too, such as `INCR` of text.
    Rejected,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Which client made it.
    pub client: usize,
    /// On which key.
    pub key: Bytes,
    /// What was asked.
    pub action: Action,
    /// When it began.
    pub began: u64,
    /// When it ended and what it saw; `None` when its fate is unknown.
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
    /// Nothing yet.
    #[must_use]
    pub fn new(client: usize, moments: Moments) -> Self {
        Self {
            client,
            moments,
            operations: Vec::new(),
        }
    }

    /// A call begins. It counts as unknown until [`Self::observed`] or [`Self::not_executed`].
    pub fn began(&mut self, key: Bytes, action: Action) {
        self.operations.push(Operation {
            client: self.client,
            key,
            action,
            began: self.moments.now(),
            ended: None,
        });
    }

    /// The call that began last was answered.
    pub fn observed(&mut self, observed: Observed) {
        let now = self.moments.now();
        if let Some(last) = self.operations.last_mut() {
            last.ended = Some((now, observed));
        }
    }

    /// The call that began last surely had no effect.
    pub fn not_executed(&mut self) {
        self.operations.pop();
    }

    /// How many calls are recorded.
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
