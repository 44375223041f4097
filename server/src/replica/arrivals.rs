//! Writes to ranges that come from another group. A frame waits until its range is served here. It
//! takes with it into the log the records of its keys that have not arrived yet.
//!
//! This is a prefetch. Whether a key is known is decided again when the entry is applied. A frame
//! whose records cannot be fetched is refused as `Moving`, and the proxy sends it again. While the
//! disk has no room nothing is fetched: a frame that lacks records is refused like a frame that
//! makes the data grow, even if it only deletes.
//!
//! A spread collection does not fit into an entry. Its frame waits here while the importer copies
//! that collection next (`Shared::want`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_group::{Arrival, Arriving, Body, Known, NamedKey, ResolvedFrame, Store, named_keys};
use coterie_protocol::Refusal;
use coterie_protocol::frozen::{FrozenAnswer, FrozenRead};
use coterie_raft::{Group, ProposeError};
use coterie_redis_compat::{Fault, Record, View};
use coterie_rpc::Responder;
use coterie_types::RangeId;
use tokio::sync::Semaphore;

use super::pending::Due;
use super::propose::Proposer;
use super::refusal::{refusal_of, refuse};
use super::shared::Shared;
use super::view::StoreView;
use crate::disk::Disk;
use crate::peers::{FrozenRange, Peers};

/// Frames that wait for records at a time, at most; more are refused as `Overloaded`.
const WAITING_MAX: usize = 4096;
/// How long a frame waits for its range to be served or its records to arrive, before it is refused
/// as `Moving`. Fits within an attempt of the proxy.
const PATIENCE: Duration = Duration::from_millis(500);
/// Keys whose records come with a frame, at most. A frame with more is preceded by entries with the
/// other records.
const KEYS_MAX: usize = 256;
/// Pause between two attempts to read the source.
const PAUSE: Duration = Duration::from_millis(20);

/// Accepts frames while ranges arrive, and fetches the records they lack. Cheap to clone.
#[derive(Clone)]
pub(super) struct Arrivals {
    group: Group,
    shared: Arc<Shared>,
    proposer: Proposer,
    peers: Peers,
    disk: Arc<Disk>,
    room: Arc<Semaphore>,
}

/// The data that a frame lacks.
enum Missing {
    Nothing,
    /// A range of its keys is announced and not served yet.
    Range,
    /// Keys whose records are still at their source.
    Keys(BTreeMap<RangeId, (Arriving, Vec<Bytes>)>),
}

impl Arrivals {
    pub(super) fn new(
        group: Group,
        shared: Arc<Shared>,
        proposer: Proposer,
        peers: Peers,
        disk: Arc<Disk>,
    ) -> Self {
        Self {
            group,
            shared,
            proposer,
            peers,
            disk,
            room: Arc::new(Semaphore::new(WAITING_MAX)),
        }
    }

    /// Takes a frame that goes through the log, as bytes and decoded.
    pub(super) fn submit(
        &self,
        frame: Bytes,
        decoded: ResolvedFrame,
        due: Due,
        responder: Responder,
    ) {
        match self.missing(&decoded) {
            Ok(Missing::Nothing) => self.proposer.submit(frame, Vec::new(), due, responder),
            Ok(_) => {
                let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
                    return refuse(responder, Refusal::Overloaded);
                };
                let arrivals = self.clone();
                tokio::spawn(async move {
                    arrivals.fetch(frame, decoded, due, responder).await;
                    drop(room);
                });
            }
            Err(fault) => {
                tracing::error!(error = %fault, "what has arrived cannot be told");
                responder.fail("the replica could not read its store");
            }
        }
    }

    async fn fetch(&self, frame: Bytes, decoded: ResolvedFrame, due: Due, responder: Responder) {
        let mut until = due.deadline.min(Instant::now() + PATIENCE);
        let mut changed = self.shared.ownership_changed();
        let mut arrived = self.shared.wanted_arrived();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return refuse(responder, Refusal::Moving);
            }
            match self.missing(&decoded) {
                Ok(Missing::Nothing) => {
                    return self.proposer.submit(frame, Vec::new(), due, responder);
                }
                Ok(Missing::Range) => {
                    // The top of the loop notices the timeout.
                    let _ = tokio::time::timeout(left, changed.changed()).await;
                }
                Ok(Missing::Keys(_)) if !self.disk.has_room_for(&self.group) => {
                    return refuse(responder, Refusal::DiskFull);
                }
                Ok(Missing::Keys(ranges)) => match self.records(ranges).await {
                    Ok(Fetched::All(arrivals)) => {
                        return self.proposer.submit(frame, arrivals, due, responder);
                    }
                    Ok(Fetched::Spread) => {
                        // The top of the loop notices the timeout.
                        let _ = tokio::time::timeout(left, arrived.changed()).await;
                    }
                    Ok(Fetched::Some(arrivals)) => {
                        let frames = Vec::new();
                        let entry = self.shared.entry(Body::Fetched { arrivals, frames });
                        if let Err(error) = self.group.propose(entry).await {
                            return refuse(responder, not_applied(error));
                        }
                        until = due.deadline.min(Instant::now() + PATIENCE);
                    }
                    Err(reason) => {
                        tracing::debug!(reason, "records not fetched");
                        tokio::time::sleep(PAUSE.min(left)).await;
                    }
                },
                Err(fault) => {
                    tracing::error!(error = %fault, "what has arrived cannot be told");
                    return responder.fail("the replica could not read its store");
                }
            }
        }
    }

    /// The data that the frame lacks in the state published last.
    fn missing(&self, frame: &ResolvedFrame) -> Result<Missing, Fault> {
        let published = self.shared.published();
        let ownership = published.read.ownership();
        let store = StoreView(published.engine.as_ref());
        let mut known: BTreeMap<RangeId, Option<Known>> = BTreeMap::new();
        let mut missing: BTreeMap<RangeId, (Arriving, Vec<Bytes>)> = BTreeMap::new();
        for named in named_keys(frame) {
            let NamedKey {
                table,
                key,
                is_needed,
            } = named;
            let incoming = ownership.incoming().iter();
            let mut incoming = incoming.map(|arriving| &arriving.range.bounds);
            if incoming.any(|bounds| bounds.contains(table, &key)) && !ownership.owns(table, &key) {
                return Ok(Missing::Range);
            }
            let Some(arriving) = ownership.import_of(table, &key).filter(|_| is_needed) else {
                continue;
            };
            let range_id = arriving.range.range_id;
            let known = match known.entry(range_id) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(store.known(range_id)?)
                }
            };
            let is_known = known.as_ref().is_none_or(|known| known.holds(table, &key))
                || store.record(table, &key)?.is_some()
                || store.is_marked(range_id, table, &key)?;
            if !is_known {
                let (_, keys) = missing
                    .entry(range_id)
                    .or_insert_with(|| (arriving.clone(), Vec::new()));
                keys.push(key);
            }
        }
        Ok(if missing.is_empty() {
            Missing::Nothing
        } else {
            Missing::Keys(missing)
        })
    }

    /// Fetches records from the sources: for all keys, or for the first keys when they are many or
    /// large.
    async fn records(
        &self,
        ranges: BTreeMap<RangeId, (Arriving, Vec<Bytes>)>,
    ) -> Result<Fetched, String> {
        let (mut arrivals, mut is_spread) = (Vec::new(), false);
        let wanted: usize = ranges.values().map(|(_, keys)| keys.len()).sum();
        for (range_id, (arriving, mut keys)) in ranges {
            keys.truncate(KEYS_MAX.saturating_sub(arrivals.len()));
            if keys.is_empty() {
                break;
            }
            let range = FrozenRange::of(&arriving);
            let read = FrozenRead::Keys(keys.clone());
            let answer = self.peers.read_frozen(range, read).await?;
            let FrozenAnswer::Keys(records) = answer else {
                return Err("the source answered something else".to_owned());
            };
            if records.is_empty() || records.len() > keys.len() {
                return Err("the source answered other keys".to_owned());
            }
            for (key, record) in keys.into_iter().zip(records) {
                // A record that cannot be decoded must not get into the log.
                let decoded = record.clone().map(Record::decode).transpose();
                let decoded = decoded.map_err(|fault| fault.to_string())?;
                if decoded.is_some_and(|record| record.is_spread) {
                    self.shared.want(range_id, key);
                    is_spread = true;
                    continue;
                }
                arrivals.push(Arrival {
                    range_id,
                    epoch: arriving.range.epoch,
                    table: arriving.range.bounds.table,
                    key,
                    record,
                });
            }
        }
        Ok(if is_spread {
            Fetched::Spread
        } else if arrivals.len() == wanted {
            Fetched::All(arrivals)
        } else {
            Fetched::Some(arrivals)
        })
    }
}

/// Records that a frame lacked.
enum Fetched {
    /// All of them.
    All(Vec<Arrival>),
    /// The first of them, since there are many.
    Some(Vec<Arrival>),
    /// None: a key is a spread collection, whose elements arrive next.
    Spread,
}

/// The refusal for a frame when the entry with its records could not be proposed.
fn not_applied(error: ProposeError) -> Refusal {
    match error {
        ProposeError::Unknown => Refusal::Moving,
        other => refusal_of(other),
    }
}
