//! Counts of the elements of spread collections, made by sources while the elements are copied.

use std::collections::BTreeMap;

use bytes::Bytes;
use coterie_group::Tally;
use coterie_protocol::frozen::{FrozenAnswer, FrozenRead, Spread};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::peers::{FrozenRange, Peers};

/// How fast a piece is copied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As fast as it goes: writes wait.
    Urgent,
    /// Within the node's rate limit.
    Limited,
}

/// A collection of a range that arrives.
type Key = (FrozenRange, Bytes);

/// The counts of elements that sources make. There are at most as many as keys arrive in pieces.
#[derive(Default)]
pub(in crate::replica) struct Counts(Mutex<BTreeMap<Key, JoinHandle<Result<Tally, String>>>>);

impl Counts {
    /// Has the source count the elements of a collection, unless it does.
    pub(super) fn begin(&self, peers: &Peers, range: FrozenRange, spread: &Spread) {
        let key = (range, spread.key.clone());
        let mut counts = self.0.lock();
        counts.entry(key).or_insert_with(|| {
            let (peers, read) = (peers.clone(), FrozenRead::ElementsDigest(spread.clone()));
            tokio::spawn(async move {
                match peers.read_frozen(range, read).await? {
                    FrozenAnswer::Digest {
                        records,
                        bytes,
                        checksum,
                    } => Ok(Tally {
                        records,
                        bytes,
                        checksum,
                    }),
                    _ => Err("the source answered something else".to_owned()),
                }
            })
        });
    }

    /// The count, once it is made.
    pub(super) async fn end(&self, range: FrozenRange, key: &Bytes) -> Result<Tally, String> {
        let count = self.0.lock().remove(&(range, key.clone()));
        let count = count.ok_or("the elements are not being counted")?;
        count.await.map_err(|error| error.to_string())?
    }

    /// Drops the counts of a range.
    pub(super) fn forget(&self, range: FrozenRange) {
        self.0.lock().retain(|(of, _), count| {
            let is_other = *of != range;
            if !is_other {
                count.abort();
            }
            is_other
        });
    }
}
