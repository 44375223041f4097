//! The keys of a group's values in the log engine, beside its entries.

use serde::{Deserialize, Serialize};

pub(super) const VOTE_KEY: &[u8] = b"vote";
pub(super) const PURGED_KEY: &[u8] = b"purged";
pub(super) const PROMISED_KEY: &[u8] = b"promised";
pub(super) const JOINING_KEY: &[u8] = b"joining";
pub(super) const TAIL_KEY: &[u8] = b"tail";

/// Whether the log of a group ends with its last acknowledged entry (see `lost_tail`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum TailState {
    #[default]
    Sound,
    /// The last acknowledged entries may be lost: the replica takes part in nothing.
    Lost,
    /// The replica follows leaders of this and later terms, until it has every entry it may have
    /// lost.
    Follows(u64),
}

/// The key and the value that mark the end of a group's log as lost.
pub(super) fn lost_tail() -> (&'static [u8], Vec<u8>) {
    (
        TAIL_KEY,
        coterie_protocol::encode(&TailState::Lost).to_vec(),
    )
}
