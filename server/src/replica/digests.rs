//! What the records of this replica come to, as of an entry of the log: taken on every replica at the
//! same index, so that they can be compared.
//!
//! The view of the store is taken before the next entry is applied; counting goes on beside it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use coterie_group::Tally;
use coterie_protocol::server::Digest;
use coterie_storage::{Engine, Reader, RocksEngine, StorageError, layout};
use coterie_types::LogIndex;

/// Digests that are remembered.
const KEPT_MAX: usize = 16;

/// The last digests. Those of earlier processes are gone: whoever wants one takes another.
#[derive(Debug, Default)]
pub(crate) struct Digests(Mutex<VecDeque<(u64, Digest)>>);

impl Digests {
    /// The digest of this name, if it is counted.
    pub(crate) fn get(&self, nonce: u64) -> Option<Digest> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|(name, _)| *name == nonce);
        found.map(|(_, digest)| *digest)
    }

    fn put(&self, nonce: u64, digest: Digest) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(name, _)| *name != nonce);
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back((nonce, digest));
    }
}

/// Counts the store as it is now, on a thread of its own; returns when its view is taken.
pub(super) fn take(
    digests: &Arc<Digests>,
    engine: &Arc<RocksEngine>,
    nonce: u64,
    index: LogIndex,
) -> std::io::Result<()> {
    let (digests, engine) = (Arc::clone(digests), Arc::clone(engine));
    let (viewed, taken) = std::sync::mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("digest".to_owned())
        .spawn(move || {
            engine.read_consistently(&mut |reader| {
                // Who waits for it is there until then.
                let _ = viewed.send(());
                match tally(reader) {
                    Ok(tally) => digests.put(
                        nonce,
                        Digest {
                            index,
                            records: tally.records,
                            bytes: tally.bytes,
                            checksum: tally.checksum,
                        },
                    ),
                    Err(error) => tracing::error!(%error, "records not counted"),
                }
            });
        })?;
    taken
        .recv()
        .map_err(|_| std::io::Error::other("the thread that counts has ended"))
}

/// What all records come to, each under its table and key.
fn tally(reader: &dyn Reader) -> Result<Tally, StorageError> {
    let mut tally = Tally::default();
    for (start, end) in layout::all_intervals() {
        reader.scan(&start, &end, &mut |stored, raw| {
            tally.add(stored, raw);
            true
        })?;
    }
    Ok(tally)
}
