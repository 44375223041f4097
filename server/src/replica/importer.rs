//! Copies arriving ranges from their sources, in key order, in chunks through the log. The leader
//! copies each range by itself, as fast as the node's rate limit allows.
//!
//! The log holds the progress of the copy, so a new leader resumes where the last stopped. At the
//! end the source reports the digest of its records, and the import is over if it equals the digest
//! of the arrived records. The elements of a spread collection are copied in pieces before its
//! header (`pieces`), first of all those that writes wait for. Nothing is copied while there is no
//! room: clients' writes are refused then, and a copy must not fill the space that they must leave
//! free.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coterie_group::{Arriving, Body, RangeChange, Store, Tally};
use coterie_protocol::frozen::{FrozenAnswer, FrozenRead, Spread};
use coterie_raft::Group;
use coterie_redis_compat::{Fault, Record, View};
use coterie_types::{RangeId, Version};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::change::change;
use super::per_range::PerRange;
use super::shared::Shared;
use super::view::StoreView;
use crate::disk::Disk;
use crate::peers::{FrozenRange, Peers};
use crate::rate::Rate;
use counts::{Counts, Pace};

pub(super) mod counts;
mod pieces;

/// Bytes of a chunk, except that a record always fits. Small, since chunks share the log with the
/// clients' frames.
const CHUNK_BYTES: u64 = 128 << 10;
/// Longest time between two checks for work.
const PERIOD: Duration = Duration::from_millis(500);
/// Pause after a passing trouble.
const PAUSE: Duration = Duration::from_millis(250);
/// Pause after the arrived records differed from the source's: the source reads the whole range to
/// find out. Doubles each time, up to `DIFFERS_PAUSE_MAX`.
const DIFFERS_PAUSE: Duration = Duration::from_secs(1);
const DIFFERS_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Copies the ranges that come to a group.
pub(super) struct Importer {
    pub(super) group: Group,
    pub(super) shared: Arc<Shared>,
    pub(super) peers: Peers,
    pub(super) rate: Arc<Rate>,
    pub(super) disk: Arc<Disk>,
    pub(super) counts: Counts,
}

/// Why an import is stuck.
enum Trouble {
    /// The trouble may be over in a moment.
    Passing(String),
    /// The arrived records differ from the source's.
    Differs(String),
}

impl From<String> for Trouble {
    fn from(reason: String) -> Self {
        Self::Passing(reason)
    }
}

impl Importer {
    /// Runs until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(Arc::new(self).run_for_ever())
            .await;
    }

    async fn run_for_ever(self: Arc<Self>) {
        let mut changed = self.shared.ownership_changed();
        let mut imports = PerRange::default();
        loop {
            if self.group.is_leader() {
                for arriving in self.importing() {
                    let range = arriving.range.clone();
                    imports.begin(&range, Arc::clone(&self).import(arriving));
                }
            }
            // Check after a while in any case: leadership may have changed.
            tokio::select! {
                () = imports.ended() => {}
                _ = tokio::time::timeout(PERIOD, changed.changed()) => {}
            }
        }
    }

    /// The imports in progress.
    fn importing(&self) -> Vec<Arriving> {
        let published = self.shared.published();
        published.read.ownership().importing().to_vec()
    }

    /// Copies one range, until it has arrived or another replica leads.
    async fn import(self: Arc<Self>, arriving: Arriving) {
        let mut differs_pause = DIFFERS_PAUSE;
        while self.group.is_leader() && self.importing().contains(&arriving) {
            let pause = match self.step(&arriving).await {
                Ok(()) => continue,
                Err(Trouble::Passing(reason)) => {
                    self.report(arriving.range.range_id, reason);
                    PAUSE
                }
                Err(Trouble::Differs(reason)) => {
                    self.report(arriving.range.range_id, reason);
                    let pause = differs_pause;
                    differs_pause = (2 * pause).min(DIFFERS_PAUSE_MAX);
                    pause
                }
            };
            tokio::time::sleep(pause).await;
        }
        self.counts.forget(FrozenRange::of(&arriving));
    }

    /// Reports why an import is stuck; writes it to the process log if it is news.
    fn report(&self, range_id: RangeId, reason: String) {
        let problem = Some(reason.clone());
        if self.shared.set_import_problem(range_id, problem) {
            warn!(group_id = %self.group.id(), %range_id, reason, "import does not go on");
        }
    }

    /// Copies the next chunk, or ends the import.
    async fn step(&self, arriving: &Arriving) -> Result<(), Trouble> {
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
        // The import has ended meanwhile.
        let Some(import) = import else {
            return Ok(());
        };
        if let Some(key) = self.shared.next_wanted(range.range_id) {
            self.copy_wanted(arriving, key).await?;
        } else {
            match import.known().cursor() {
                Some(from) => self.copy(arriving, from.clone()).await?,
                None => self.finish(range, import.copied()).await?,
            }
        }
        self.shared.set_import_problem(range.range_id, None);
        Ok(())
    }

    /// Copies the records at the cursor, or the next elements of the collection there.
    async fn copy(&self, arriving: &Arriving, from: Bytes) -> Result<(), Trouble> {
        self.check_room()?;
        let range = FrozenRange::of(arriving);
        let read = FrozenRead::Chunk {
            from: from.clone(),
            bytes_max: CHUNK_BYTES,
        };
        let answer = self.peers.read_frozen(range, read).await?;
        let FrozenAnswer::Records { records, next } = answer else {
            return Err(something_else());
        };
        if let [(key, raw)] = &records[..]
            && let Some(incarnation) = incarnation(raw)?
            && !self.is_known(arriving, key)?
        {
            let (key, incarnation) = (key.clone(), incarnation);
            let spread = Spread { key, incarnation };
            return self.copy_piece(range, spread, Pace::Limited).await;
        }
        let bytes = records.iter().map(|(key, raw)| key.len() + raw.len()).sum();
        if !self.take_rate(range, bytes).await {
            return Ok(());
        }
        let chunk = RangeChange::Chunk {
            range_id: range.range_id,
            epoch: range.epoch,
            from,
            records,
            next,
        };
        self.propose(chunk).await
    }

    /// Waits until the rate allows these bytes; false if a key is wanted first.
    async fn take_rate(&self, range: FrozenRange, bytes: usize) -> bool {
        let mut wanted = self.shared.wanted_changed();
        if self.shared.next_wanted(range.range_id).is_some() {
            return false;
        }
        tokio::select! {
            () = self.rate.take(bytes) => true,
            // The sender lives as long as this.
            _ = wanted.changed() => false,
        }
    }

    fn check_room(&self) -> Result<(), Trouble> {
        if self.disk.has_room_for(&self.group) {
            return Ok(());
        }
        let reason =
            "no room: this node's disk, or those of a majority of the group, are nearly full";
        Err(Trouble::Passing(reason.to_owned()))
    }

    /// Whether the group can tell the key's state without the source.
    fn is_known(&self, arriving: &Arriving, key: &Bytes) -> Result<bool, Trouble> {
        let (range_id, table) = (arriving.range.range_id, arriving.range.bounds.table);
        let published = self.shared.published();
        let store = StoreView(published.engine.as_ref());
        let is_known = || {
            let known = store.known(range_id)?;
            Ok(known.is_none_or(|known| known.holds(table, key))
                || store.record(table, key)?.is_some()
                || store.is_marked(range_id, table, key)?)
        };
        is_known().map_err(|fault: Fault| Trouble::Passing(fault.to_string()))
    }

    async fn finish(&self, range: FrozenRange, copied: Tally) -> Result<(), Trouble> {
        let answer = self.peers.read_frozen(range, FrozenRead::Digest).await?;
        let FrozenAnswer::Digest {
            records,
            bytes,
            checksum,
        } = answer
        else {
            return Err(something_else());
        };
        let all = Tally {
            records,
            bytes,
            checksum,
        };
        if copied != all {
            return Err(Trouble::Differs(format!(
                "what arrived ({copied:?}) is not what the source has ({all:?}): one of the copies \
                 is damaged, and both are kept"
            )));
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

    async fn propose(&self, change_of: RangeChange) -> Result<(), Trouble> {
        let proposed = change(&self.group, &self.shared, Body::Change(change_of)).await;
        proposed.map_err(|error| error.to_string())??;
        Ok(())
    }
}

/// The incarnation in a record of the source, if it is the header of a spread collection.
fn incarnation(raw: &[u8]) -> Result<Option<Version>, Trouble> {
    let incarnation = Record::incarnation_of(raw);
    incarnation.map_err(|fault| Trouble::Passing(fault.to_string()))
}

fn something_else() -> Trouble {
    Trouble::Passing("the source answered something else".to_owned())
}
