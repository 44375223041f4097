//! Method numbers of the calls between processes. A number is never reused.

/// Proxy to server: body `group id (LEB128)`, then a [`crate::Frame`]; answer a
/// [`crate::FrameReply`].
pub const EXECUTE: u16 = 1;

/// Server to server: the frozen copy of a range that was handed off; a
/// [`crate::frozen::FrozenRequest`], answered by a [`crate::frozen::FrozenAnswer`].
pub const FROZEN: u16 = 2;

/// Proxy to server: store or find places of scans; a [`crate::places::PlaceRequest`], answered by a
/// [`crate::places::PlaceAnswer`].
pub const SCAN_PLACE: u16 = 3;

/// Proxy to server: ask for the answers of frames that waited; a [`crate::waits::WaitPoll`],
/// answered by a [`crate::waits::WaitNews`].
pub const WAIT_NEWS: u16 = 4;

/// Proxy to server: ask for news; a [`crate::news::NewsPoll`], answered by a
/// [`crate::news::NewsAnswer`].
pub const NEWS: u16 = 5;

/// Proxy or server to server: publish and subscribe; a [`crate::pubsub::PubSubRequest`], answered
/// by a [`crate::pubsub::PubSubAnswer`].
pub const PUBSUB: u16 = 6;

/// Proxy to proxy: a [`crate::proxies::PeerRequest`], answered by a
/// [`crate::proxies::PeerAnswer`].
pub const PEER: u16 = 8;
/// Proxy to server: the prefixes of keys that its clients keep; a
/// [`crate::tracking::TrackPrefixes`], answered by a [`crate::tracking::TrackAnswer`].
pub const TRACK_PREFIXES: u16 = 9;

/// Server to server: Raft, see `coterie-raft` (`network`). Body starts with the group id.
pub const RAFT_APPEND: u16 = 16;
/// A vote request.
pub const RAFT_VOTE: u16 = 17;
/// A pre-vote request.
pub const RAFT_PRE_VOTE: u16 = 18;
/// The leader asks this replica to take over.
pub const RAFT_TRANSFER: u16 = 19;
/// A chunk of a snapshot.
pub const RAFT_SNAPSHOT: u16 = 20;
/// A follower asks the leader for its read index.
pub const RAFT_READ_INDEX: u16 = 21;
/// The stance of a replica: whether it leads, and whether it could.
pub const RAFT_STANCE: u16 = 22;
/// An heir that was told to take over asks the leader whether the hand-over still holds.
pub const RAFT_CONFIRM: u16 = 23;
/// A replica whose log has lost its end asks another replica for its promises and its log's end.
pub const RAFT_STANDING: u16 = 24;
/// All methods of Raft.
pub const RAFT: std::ops::RangeInclusive<u16> = RAFT_APPEND..=RAFT_STANDING;

/// Controller to server: a [`crate::server::ServerRequest`], answered by a
/// [`crate::server::ServerAnswer`].
pub const SERVER_ADMIN: u16 = 32;

/// Any role to meta: a [`crate::meta::MetaRequest`], answered by a [`crate::meta::MetaAnswer`].
pub const META: u16 = 48;
