//! Frames that name keys of imported ranges: their records may arrive with the entry, and the
//! changes that commands make are noted, so that records arriving later do not overwrite them.

use std::collections::BTreeSet;

use bytes::Bytes;
use coterie_protocol::Refusal;
use coterie_redis_compat::{Changes, Fault, Record, Txn};
use coterie_types::{KeyRange, TableId};

use super::ranges::know;
use crate::effects::Effects;
use crate::frame::ResolvedFrame;
use crate::import::Arrival;
use crate::named_keys::{NamedKey, named_keys};
use crate::state::GroupState;
use crate::store::{Store, StoreChange};

/// Keys of this entry without a record at the source.
#[derive(Debug, Default)]
pub(super) struct Absent(BTreeSet<(TableId, Bytes)>);

impl GroupState {
    /// Takes the records that arrived with the entry, except for keys that are known by now.
    pub(super) fn take_arrivals(
        &self,
        arrivals: Vec<Arrival>,
        txn: &mut Txn<'_>,
        store: &dyn Store,
        effects: &mut Effects,
    ) -> Result<Absent, Fault> {
        let mut absent = Absent::default();
        for arrival in arrivals {
            let Arrival {
                range_id,
                epoch,
                table,
                key,
                record,
            } = arrival;
            let of_import = self.ownership.import_of(table, &key);
            let expected = of_import.is_some_and(|arriving| {
                arriving.range.range_id == range_id && arriving.range.epoch == epoch
            });
            if !expected || self.is_known(table, &key, txn, store, &absent)? {
                continue;
            }
            match record.map(Record::decode) {
                // The frames that need this record are refused for the moment.
                Some(Err(_)) => {}
                // Its elements arrive before it (`elements.rs`).
                Some(Ok(record)) if record.is_spread => {}
                Some(Ok(record)) => txn.import(table, key, record),
                None => {
                    effects.store.push(StoreChange::Mark {
                        range_id,
                        table,
                        key: key.clone(),
                    });
                    absent.0.insert((table, key));
                }
            }
        }
        Ok(absent)
    }

    /// Returns `Moving` if the frame names a key whose record has not arrived.
    pub(super) fn check_arrived(
        &self,
        frame: &ResolvedFrame,
        txn: &Txn<'_>,
        store: &dyn Store,
        absent: &Absent,
    ) -> Result<Result<(), Refusal>, Fault> {
        if self.ownership.importing().is_empty() {
            return Ok(Ok(()));
        }
        let reads_interval = frame.commands.iter().any(|command| {
            // Emptying an interval needs none of its records. Reading an interval does not belong
            // in the log.
            let is_read = command.is_interval() && !command.is_write();
            is_read && self.ownership.names_import(command)
        });
        if reads_interval {
            return Ok(Err(Refusal::Moving));
        }
        for named in named_keys(frame) {
            let NamedKey { table, key, .. } = &named;
            if named.is_needed && !self.is_known(*table, key, txn, store, absent)? {
                return Ok(Err(Refusal::Moving));
            }
        }
        Ok(Ok(()))
    }

    fn is_known(
        &self,
        table: TableId,
        key: &Bytes,
        txn: &Txn<'_>,
        store: &dyn Store,
        absent: &Absent,
    ) -> Result<bool, Fault> {
        let is_absent = absent.0.contains(&(table, key.clone()));
        Ok(is_absent || self.land().knows(table, key, txn, store)?)
    }

    /// Notes the keys of imported ranges that the entry removed.
    pub(super) fn note_arrivals(&mut self, changes: &Changes, store: &mut Vec<StoreChange>) {
        if self.imports.is_empty() {
            return;
        }
        for clear in &changes.clears {
            self.note_cleared(clear, store);
        }
        self.drop_pieces(changes);
        let removed = changes
            .records
            .iter()
            .filter(|(_, record)| record.is_none());
        for ((table, key), _) in removed {
            let Some(arriving) = self.ownership.import_of(*table, key) else {
                continue;
            };
            let range_id = arriving.range.range_id;
            let import = self.imports.get(&range_id);
            if import.is_some_and(|import| !import.known.holds(*table, key)) {
                store.push(StoreChange::Mark {
                    range_id,
                    table: *table,
                    key: key.clone(),
                });
            }
        }
    }

    /// Forgets the progress of spread collections whose keys the entry made known: their remaining
    /// elements are not needed.
    fn drop_pieces(&mut self, changes: &Changes) {
        if self.pieces.is_empty() {
            return;
        }
        let known = |table: TableId, key: &Bytes| {
            changes.records.contains_key(&(table, key.clone()))
                || changes
                    .clears
                    .iter()
                    .any(|clear| clear.contains(table, key))
        };
        for arriving in self.ownership.importing() {
            let range = &arriving.range;
            if let Some(pieces) = self.pieces.get_mut(&range.range_id) {
                pieces.retain(|key, _| !known(range.bounds.table, key));
            }
        }
        self.pieces.retain(|_, pieces| !pieces.is_empty());
    }

    fn note_cleared(&mut self, clear: &KeyRange, store: &mut Vec<StoreChange>) {
        for arriving in self.ownership.importing() {
            let range_id = arriving.range.range_id;
            if !arriving.range.bounds.overlaps(clear) {
                continue;
            }
            if let Some(import) = self.imports.get_mut(&range_id)
                && import.clear(clear)
            {
                store.push(know(range_id, import));
            }
        }
    }
}
