//! Invalidation messages to clients, in the forms of Redis (`tracking.c`).
//!
//! A client in RESP3 gets a push. A client in RESP2 can be told only in place of another, as a
//! message of the channel `__redis__:invalidate`, while it is subscribed to anything.

use std::sync::Arc;

use bytes::Bytes;
use coterie_redis_compat::Reply;

use crate::clients::{Client, Clients};
use crate::pushes::{Forms, Push, Turn};

/// The channel of messages in RESP2.
const CHANNEL: &str = "__redis__:invalidate";

/// A message, and its pushes once somebody got it.
#[derive(Debug)]
pub(super) struct Message {
    /// For a client itself.
    own: Forms,
    /// For a client in place of another; `None` if that is told nothing.
    other: Option<Forms>,
    /// The push of `own`, if many clients get it.
    shared: Option<Arc<Push>>,
}

impl Message {
    /// These keys have changed.
    pub(super) fn keys<'a>(keys: impl IntoIterator<Item = &'a Bytes>) -> Self {
        let keys = keys.into_iter().map(|key| Reply::Bulk(key.clone()));
        Self::of(&Reply::Array(keys.collect()))
    }

    /// All keys may have changed.
    pub(super) fn all() -> Self {
        Self::of(&Reply::Null)
    }

    /// The client that is told in place of the recipient is gone.
    pub(super) fn broken(redirect: u64) -> Self {
        let id = Reply::Integer(i64::try_from(redirect).unwrap_or(i64::MAX));
        let push = Reply::Push(vec![Reply::text("tracking-redir-broken"), id]);
        Self {
            own: Forms::of_each(&Reply::Raw(Bytes::new()), &push),
            other: None,
            shared: None,
        }
    }

    fn of(keys: &Reply) -> Self {
        let push = Reply::Push(vec![Reply::text("invalidate"), keys.clone()]);
        let parts = [Reply::text("message"), Reply::text(CHANNEL), keys.clone()];
        let published = Reply::Array(parts.to_vec());
        Self {
            own: Forms::of_each(&Reply::Raw(Bytes::new()), &push),
            other: Some(Forms::of_each(&published, &push)),
            shared: None,
        }
    }

    /// The same, encoded once for many clients.
    pub(super) fn shared(mut self, clients: &Clients) -> Self {
        self.shared = Some(clients.push_of(self.own.clone(), Turn::BehindReplies));
        self
    }

    /// Sends it to a client about its own keys.
    pub(super) fn send(&self, clients: &Clients, client: &Client) {
        match &self.shared {
            Some(push) => client.push(push),
            None => client.push(&clients.push_of(self.own.clone(), Turn::BehindReplies)),
        }
    }

    /// Sends it to a client about the keys of another.
    pub(super) fn send_for_another(&self, clients: &Clients, client: &Client) {
        let Some(forms) = &self.other else {
            return;
        };
        // A client in RESP2 takes no messages unless it is subscribed.
        let forms = if client.is_subscriber() {
            forms
        } else {
            &self.own
        };
        client.push(&clients.push_of(forms.clone(), Turn::Next));
    }
}
