//! Reading the frozen copy of a range: what the destination of a move asks the source.
//!
//! From the hand-off on nothing changes the copy, so any replica of the source that has applied the
//! hand-off answers alike, now and later. Records are bytes as they are on disk (`redis-compat`,
//! `record`): version and expiry travel with them.

use bytes::Bytes;
use coterie_types::{Epoch, GroupId, RangeId};
use serde::{Deserialize, Serialize};

/// A question about one frozen range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenRequest {
    /// The source.
    pub group_id: GroupId,
    /// The range.
    pub range_id: RangeId,
    /// The epoch it was handed off at.
    pub epoch: Epoch,
    /// What to read.
    pub read: FrozenRead,
}

/// What to read of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FrozenRead {
    /// The records of these keys; answered by `Keys`.
    Keys(Vec<Bytes>),
    /// The next records in key order; answered by `Records`.
    Chunk {
        /// The first key to look at.
        from: Bytes,
        /// Bytes of keys and records after which the chunk ends; it has one record at least.
        bytes_max: u64,
    },
    /// The next records in key order, without their values; answered by `Records`.
    Headers {
        /// The first key to look at.
        from: Bytes,
        /// The key before which to end; none is the range's end.
        end: Option<Bytes>,
        /// Records at most.
        count_max: u64,
    },
    /// How much there is; answered by `Digest`.
    Digest,
    /// About how many bytes there are; answered by `Size`.
    Size,
}

/// What there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FrozenAnswer {
    /// The keys' records, in the order asked; of the first ones only, at least one, when they are large.
    Keys(Vec<Option<Bytes>>),
    /// Keys and their records, in key order.
    Records {
        /// Key and record.
        records: Vec<(Bytes, Bytes)>,
        /// The key to go on from; `None` when there is nothing more.
        next: Option<Bytes>,
    },
    /// The whole copy.
    Digest {
        /// How many records.
        records: u64,
        /// Bytes of their keys and of what is stored.
        bytes: u64,
        /// The sum of their hashes, as in [`crate::server::Digest`].
        checksum: u64,
    },
    /// Bytes, about.
    Size(u64),
    /// This replica has not applied the hand-off, or has dropped the copy, or there is no replica.
    NotHere,
    /// The store could not be read.
    Failed(String),
}
