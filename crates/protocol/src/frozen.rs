//! Reading the frozen copy of a range: the requests of a move's destination to its source.
//!
//! From the hand-off on nothing changes the copy, so all replicas of the source that have applied
//! the hand-off give the same answers, now and later. Records are bytes as they are on disk
//! (`redis-compat`, `record`), with version and expiry.

use bytes::Bytes;
use coterie_types::{Epoch, GroupId, RangeId};
use serde::{Deserialize, Serialize};

/// A request about a frozen range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenRequest {
    /// The source.
    pub group_id: GroupId,
    /// The range.
    pub range_id: RangeId,
    /// The epoch at which it was handed off.
    pub epoch: Epoch,
    /// The part to read.
    pub read: FrozenRead,
}

/// The part of a frozen copy to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FrozenRead {
    /// The records of these keys; answered by `Keys`.
    Keys(Vec<Bytes>),
    /// The next records in key order; answered by `Records`.
    Chunk {
        /// The first key to read.
        from: Bytes,
        /// Bytes of keys and records after which the chunk ends; it has at least one record.
        bytes_max: u64,
    },
    /// The next records in key order, without their values; answered by `Records`.
    Headers {
        /// The first key to read.
        from: Bytes,
        /// The key before which to end; `None` for the end of the range.
        end: Option<Bytes>,
        /// Most records to return.
        count_max: u64,
    },
    /// The digest of the copy; answered by `Digest`.
    Digest,
    /// The approximate size of the copy; answered by `Size`.
    Size,
}

/// The answer of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FrozenAnswer {
    /// The keys' records, in the order requested; if they are large only the first of them, at
    /// least one.
    Keys(Vec<Option<Bytes>>),
    /// Keys and their records, in key order.
    Records {
        /// Key and record.
        records: Vec<(Bytes, Bytes)>,
        /// The key at which to continue; `None` at the end.
        next: Option<Bytes>,
    },
    /// The digest of the whole copy.
    Digest {
        /// Number of records.
        records: u64,
        /// Bytes of their keys and stored values.
        bytes: u64,
        /// The sum of their hashes, as in [`crate::server::Digest`].
        checksum: u64,
    },
    /// Approximate bytes.
    Size(u64),
    /// This replica has not applied the hand-off, or has dropped the copy, or there is no replica.
    NotHere,
    /// The store could not be read.
    Failed(String),
}
