//! News of servers for proxies that did not ask for them: published messages, invalidations.
//!
//! A proxy that wants news of a server asks for them over its *link*, again and again. The server
//! holds a question while there are none, and answers with all that came since the last question,
//! in order. A link is a random number that the proxy chooses. Whatever a proxy registers at a
//! server, it registers for a link in an *epoch*, and it ends with the epoch.
//!
//! An epoch ends when news may have been missed: the proxy asked too late or its connection broke,
//! the server was restarted or could keep no more. Then the proxy sees another epoch, and registers
//! anew the names and keys that it still wants.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use crate::link::LinkId;

/// Asks for news. Answered at once if there are any or the epoch is over, else after a fraction of
/// a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewsPoll {
    /// The asking link.
    pub link: u64,
    /// Its epoch, by the last answer; 0 to begin an epoch, also when an answer was lost.
    pub epoch: u64,
}

/// News, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewsAnswer {
    /// The link's epoch, never 0. If it is not that of the question, all that was registered for
    /// the link is gone, and news may have been missed.
    pub epoch: u64,
    /// Each is an encoded [`News`]: a server encodes it once for all links.
    pub news: Vec<Bytes>,
}

/// A piece of news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// A message was published.
    Published(crate::pubsub::Message),
    /// Keys that clients keep may have changed.
    Invalidation(crate::tracking::Invalidation),
}
