//! Reading the frozen copy of a range: the requests of a move's destination to its source.
//!
//! From the hand-off on nothing changes the copy, so all replicas of the source that have applied
//! the hand-off give the same answers, now and later. Records are bytes as they are on disk
//! (`redis-compat`, `record`), with version and expiry. The elements of a spread collection are
//! asked for by its key and the incarnation in its header; other elements are never sent.

use bytes::Bytes;
use coterie_types::{Epoch, GroupId, RangeId, Version};
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
    /// The next records in key order; answered by `Records`. The header of a spread collection is a
    /// chunk of its own.
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
    /// The digest of the records of the copy; answered by `Digest`.
    Digest,
    /// The approximate size of the copy; answered by `Size`.
    Size,
    /// The next elements of a spread collection, of all families in their order; answered by
    /// `Elements`.
    Elements {
        /// The collection.
        of: Spread,
        /// The family and the first element to read; `None` for the first of all.
        from: Option<(u8, Bytes)>,
        /// Bytes of elements and values after which the answer ends; it has at least one element.
        bytes_max: u64,
    },
    /// The digest of the elements of a spread collection; answered by `Digest`.
    ElementsDigest(Spread),
    /// The value of an element; answered by `Element`.
    Element {
        /// The collection.
        of: Spread,
        /// The family.
        family: u8,
        /// The element.
        element: Bytes,
    },
    /// The next elements of a family on a walk; answered by `Walked`.
    Walk {
        /// The collection.
        of: Spread,
        /// The family.
        family: u8,
        /// Where the walk begins; `None` for the end of the family.
        from: Option<WalkFrom>,
        /// Whether the walk goes down.
        is_down: bool,
        /// Most elements to return.
        count_max: u64,
    },
}

/// A spread collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// Its key.
    pub key: Bytes,
    /// The incarnation of its elements.
    pub incarnation: Version,
}

/// The start of a walk over elements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkFrom {
    /// The element.
    pub element: Bytes,
    /// Whether the walk visits the element itself.
    pub is_included: bool,
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
    /// Places (family, element) and values, in their order.
    Elements {
        /// Place and value.
        elements: Vec<((u8, Bytes), Bytes)>,
        /// The place at which to continue; `None` at the end.
        next: Option<(u8, Bytes)>,
    },
    /// The value of the element, if there is one.
    Element(Option<Bytes>),
    /// The elements of a walk.
    Walked {
        /// Element and value.
        elements: Vec<(Bytes, Bytes)>,
        /// Whether these are the last.
        is_end: bool,
    },
}
