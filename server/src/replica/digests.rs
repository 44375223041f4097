//! Digests of this replica's records, each at an entry of the log. Every replica takes a digest at
//! the same index, so that they can be compared.
//!
//! The view of the store is taken before the next entry is applied; counting goes on beside it.

use std::collections::VecDeque;
use std::sync::Arc;

use coterie_group::Tally;
use coterie_protocol::server::Digest;
use coterie_redis_compat::Record;
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

/// The tally of all records, each under its store key: headers, and the elements that headers name.
/// Other elements are not part of the state: each replica reclaims them by itself.
fn tally(reader: &dyn Reader) -> Result<Tally, StorageError> {
    let mut tally = Tally::default();
    let [(start, end), (first, last)] = layout::all_intervals();
    let mut headers = reader.cursor(&start, &end)?;
    let mut elements = reader.cursor(&first, &last)?;
    headers.seek(&start)?;
    while let Some((stored, raw)) = headers.entry() {
        tally.add(stored, raw);
        // Of a damaged record the bytes count; the digests tell.
        if let Ok(Some(incarnation)) = Record::incarnation_of(raw)
            && let Some((table, key)) = layout::parse_header(stored)
        {
            let (first, last) = layout::collection_interval((table, &key), incarnation);
            elements.seek(&first)?;
            while let Some((stored, value)) = elements.entry()
                && *stored < *last
            {
                tally.add(stored, value);
                elements.next()?;
            }
        }
        headers.next()?;
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use coterie_storage::{Batch, MemEngine};
    use coterie_types::{GroupId, TableId, Version};

    use super::*;

    const T: TableId = TableId(0);

    #[test]
    fn elements_count_if_a_header_names_them() {
        let engine = MemEngine::default();
        let put = |key: Vec<u8>, value: &[u8]| {
            let mut batch = Batch::default();
            batch.put(key, value.to_vec());
            engine.write(batch).unwrap();
        };
        let element = |key: &[u8], change| {
            let group = GroupId(1);
            layout::element_key((T, key), Version { group, change }, 0, b"e")
        };
        put(layout::header_key(T, b"a"), b"\x00\x01\x01string");
        // A spread hash of the incarnation 1, 7.
        put(layout::header_key(T, b"b"), b"\x11\x01\x09\x01\x07\x01");
        put(element(b"b", 7), b"value");
        let before = tally(&engine).unwrap();
        assert_eq!(before.records, 3);
        put(element(b"b", 6), b"older");
        put(element(b"a", 7), b"of no collection");
        put(element(b"c", 7), b"of no key");
        assert_eq!(tally(&engine).unwrap(), before);
        put(element(b"b", 7), b"other");
        assert_ne!(tally(&engine).unwrap(), before);
    }
}
