//! Copies ranges that came here from their sources: in key order, in chunks through the log, as fast as
//! the node's limit allows, by whoever leads.
//!
//! The log says how far the copy is, so a new leader goes on where the last one was. At the end the
//! source says what it has, and the import is over when that is what arrived.

use std::sync::Arc;
use std::time::Duration;

use coterie_group::{Arriving, Body, RangeChange, Tally};
use coterie_protocol::frozen::{FrozenAnswer, FrozenRead};
use coterie_raft::Group;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Peers;
use super::change;
use super::shared::Shared;
use crate::peers::FrozenRange;
use crate::rate::Rate;

/// Bytes of a chunk, except that a record always fits: small, as it shares the log with the clients'
/// frames.
const CHUNK_BYTES: u64 = 128 << 10;
/// How often one looks for something to do.
const PERIOD: Duration = Duration::from_millis(500);
/// After something went wrong.
const PAUSE: Duration = Duration::from_millis(250);

/// What copying needs.
pub(super) struct Importer {
    pub(super) group: Group,
    pub(super) shared: Arc<Shared>,
    pub(super) peers: Peers,
    pub(super) rate: Arc<Rate>,
}

impl Importer {
    /// Runs until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.run_for_ever()).await;
    }

    async fn run_for_ever(&self) {
        let mut changed = self.shared.ownership_changed();
        loop {
            // Looked at anyway after a while: who leads may have changed.
            let _ = tokio::time::timeout(PERIOD, changed.changed()).await;
            while self.group.is_leader()
                && let Some(arriving) = self.next()
            {
                if let Err(reason) = self.step(&arriving).await {
                    let range_id = arriving.range.range_id;
                    if self
                        .shared
                        .set_import_problem(range_id, Some(reason.clone()))
                    {
                        warn!(group_id = %self.group.id(), %range_id, reason, "import does not go on");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// The import that is under way: one at a time.
    fn next(&self) -> Option<Arriving> {
        let published = self.shared.published();
        published.read.ownership().importing().first().cloned()
    }

    /// Copies the next chunk, or ends the import.
    async fn step(&self, arriving: &Arriving) -> Result<(), String> {
        let range = FrozenRange::of(arriving);
        if self.shared.import_size(range.range_id).is_none() {
            let size = self.peers.read_frozen(range, FrozenRead::Size).await?;
            if let FrozenAnswer::Size(size) = size {
                self.shared.set_import_size(range.range_id, size);
            }
        }
        let import = {
            let published = self.shared.published();
            published.read.import(range.range_id).cloned()
        };
        // Over meanwhile.
        let Some(import) = import else {
            return Ok(());
        };
        match import.known().cursor() {
            Some(from) => self.copy(range, from.clone()).await?,
            None => self.finish(range, import.copied()).await?,
        }
        self.shared.set_import_problem(range.range_id, None);
        Ok(())
    }

    async fn copy(&self, range: FrozenRange, from: bytes::Bytes) -> Result<(), String> {
        let read = FrozenRead::Chunk {
            from: from.clone(),
            bytes_max: CHUNK_BYTES,
        };
        let answer = self.peers.read_frozen(range, read).await?;
        let FrozenAnswer::Records { records, next } = answer else {
            return Err("the source answered something else".to_owned());
        };
        let bytes = records.iter().map(|(key, raw)| key.len() + raw.len()).sum();
        self.rate.take(bytes).await;
        let chunk = RangeChange::Chunk {
            range_id: range.range_id,
            epoch: range.epoch,
            from,
            records,
            next,
        };
        self.propose(chunk).await
    }

    async fn finish(&self, range: FrozenRange, copied: Tally) -> Result<(), String> {
        let answer = self.peers.read_frozen(range, FrozenRead::Digest).await?;
        let FrozenAnswer::Digest {
            records,
            bytes,
            checksum,
        } = answer
        else {
            return Err("the source answered something else".to_owned());
        };
        let all = Tally {
            records,
            bytes,
            checksum,
        };
        if copied != all {
            return Err(format!(
                "what arrived ({copied:?}) is not what the source has ({all:?}): one of the copies \
                 is damaged, and both are kept"
            ));
        }
        self.propose(RangeChange::FinishImport {
            range_id: range.range_id,
            epoch: range.epoch,
            all,
        })
        .await?;
        self.shared.set_imported(range.range_id, bytes);
        info!(group_id = %self.group.id(), range_id = %range.range_id, records, bytes,
            "range imported");
        Ok(())
    }

    async fn propose(&self, change_of: RangeChange) -> Result<(), String> {
        let proposed = change(&self.group, &self.shared, Body::Change(change_of)).await;
        proposed.map_err(|error| error.to_string())?.map(|_| ())
    }
}
