//! Client-side caching, between proxies and servers.
//!
//! A frame may name a client that keeps what it reads ([`crate::Tracker`]). The leader then notes
//! the keys for the proxy's link ([`crate::news`]), before it reads them. When one of them changes,
//! the proxy is told over the link, once, and the leader forgets the key; the proxy passes the word
//! to its clients. What a leader cannot remember any longer counts as changed.
//!
//! For clients that want to be told of all keys with a prefix, a proxy names its prefixes to each
//! server.

use bytes::Bytes;
use coterie_types::TableId;
use serde::{Deserialize, Serialize};

use crate::link::LinkId;

/// Most prefixes of a proxy.
pub const PREFIXES_MAX: usize = 16 << 10;
/// Bytes of all prefixes of a proxy.
pub const PREFIX_BYTES_MAX: usize = 1 << 20;

/// What a proxy is told about keys that its clients may keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Invalidation {
    /// These keys have changed, and are remembered no more.
    Changed(Vec<ChangedKey>),
    /// These keys may change from here on without a word.
    Forgotten(Vec<(TableId, Bytes)>),
    /// All keys that were read from this server, and all keys with the prefixes, may have changed
    /// without a word, or may do so from here on.
    All,
}

/// A key that has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedKey {
    /// Its table.
    pub table: TableId,
    /// The key.
    pub key: Bytes,
    /// The client of the proxy that alone has changed it, if it asked not to be told.
    pub by: Option<u64>,
}

/// The prefixes of which a proxy wants to be told, in place of those that it named before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackPrefixes {
    /// The proxy's link.
    pub link: LinkId,
    /// The prefixes.
    pub prefixes: Vec<Bytes>,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrackAnswer {
    /// From now on the proxy is told.
    Done,
    /// The link is in another epoch: nothing was changed.
    OtherEpoch,
    /// They are too many: nothing was changed.
    TooMany,
}
