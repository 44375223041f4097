//! Digests of this replica's records, each at an entry of the log. Every replica takes a digest at
//! the same index, so that they can be compared.
//!
//! The view of the store is taken before the next entry is applied; counting goes on beside it.

use std::collections::VecDeque;
use std::sync::Arc;

use coterie_group::Tally;
use coterie_protocol::server::Digest;
use coterie_storage::{Engine, Reader, RocksEngine, StorageError, layout};
use coterie_types::LogIndex;
use parking_lot::Mutex;

/// Digests that are remembered, at most.
const KEPT_MAX: usize = 16;

/// The last digests of this process. A restart loses them; the caller then takes another.
#[derive(Debug, Default)]
pub(crate) struct Digests(Mutex<VecDeque<(u64, Digest)>>);

impl Digests {
    /// The digest with this nonce, once it is counted.
    pub(crate) fn get(&self, nonce: u64) -> Option<Digest> {
        let kept = self.0.lock();
        let found = kept.iter().find(|(name, _)| *name == nonce);
        found.map(|(_, digest)| *digest)
    }

    fn put(&self, nonce: u64, digest: Digest) {
        let mut kept = self.0.lock();
        kept.retain(|(name, _)| *name != nonce);
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back((nonce, digest));
    }
}

/// Counts the store as it is now, on a thread of its own. Returns when the view is taken.
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
                // Cannot fail: the receiver waits for this message.
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

/// The tally of all records, each under its table and key.
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
