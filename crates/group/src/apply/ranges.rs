//! Applies changes of ranges: ownership, and the data that comes and goes with it.

use bytes::Bytes;
use coterie_redis_compat::{Fault, Record, Txn};
use coterie_types::{Epoch, RangeId};

use crate::digest::Tally;
use crate::effects::Effects;
use crate::entry::{ChangeAnswer, RangeChange};
use crate::import::Import;
use crate::ownership::Arriving;
use crate::state::GroupState;
use crate::store::{Store, StoreChange};

/// A chunk of a range, as in [`RangeChange::Chunk`].
struct Chunk {
    range_id: RangeId,
    epoch: Epoch,
    from: Bytes,
    records: Vec<(Bytes, Bytes)>,
    next: Option<Bytes>,
}

impl GroupState {
    /// Changes a range; the answer goes to the proposer.
    pub(super) fn change_range(
        &mut self,
        change: RangeChange,
        txn: &mut Txn<'_>,
        store: &dyn Store,
        effects: &mut Effects,
    ) -> Result<ChangeAnswer, Fault> {
        let ownership = &mut self.ownership;
        let changed = match change {
            RangeChange::Split {
                range,
                at,
                right_id,
            } => ownership.split(&range, &at, right_id),
            RangeChange::Merge { left, right } => ownership.merge(&left, &right),
            RangeChange::CancelImport { range_id, epoch } => {
                ownership.cancel_import(range_id, epoch)
            }
            RangeChange::HandOff { range } => ownership.hand_off(self.group_id, &range),
            RangeChange::BeginImport { range, source } => {
                let arriving = Arriving { range, source };
                let begun = ownership.begin_import(self.group_id, &arriving);
                // Records may be left from an earlier stay of the range here: the source has the
                // valid records.
                if begun == Ok(true) {
                    let bounds = arriving.range.bounds;
                    effects.store.push(StoreChange::Discard(bounds));
                }
                begun.map(|_| ())
            }
            RangeChange::Activate { range_id, epoch } => self.activate(range_id, epoch, effects),
            RangeChange::Chunk {
                range_id,
                epoch,
                from,
                records,
                next,
            } => {
                let chunk = Chunk {
                    range_id,
                    epoch,
                    from,
                    records,
                    next,
                };
                self.take_chunk(chunk, txn, store, effects)?
            }
            RangeChange::FinishImport {
                range_id,
                epoch,
                all,
            } => self.finish_import(range_id, epoch, all, effects),
            RangeChange::Elements(piece) => self.take_elements(piece, txn, store)?,
            RangeChange::DropFrozen { range_id, epoch } => {
                let dropped = ownership.drop_frozen(range_id, epoch);
                effects.store.extend(dropped.map(StoreChange::Discard));
                Ok(())
            }
        };
        Ok(changed.map(|()| self.clock))
    }

    fn activate(
        &mut self,
        range_id: RangeId,
        epoch: Epoch,
        effects: &mut Effects,
    ) -> Result<(), String> {
        if !self.ownership.activate(range_id, epoch)? {
            return Ok(());
        }
        // The range may have been here before, and keys created and removed elsewhere since. For
        // watchers of an absent key, the arrival of its range therefore counts as a removal.
        self.next_change += 1;
        self.cleared = self.next_change;
        let mut importing = self.ownership.importing().iter();
        if let Some(arriving) = importing.find(|a| a.range.range_id == range_id) {
            let import = Import::begin(&arriving.range.bounds);
            effects.store.push(know(range_id, &import));
            self.imports.insert(range_id, import);
        }
        Ok(())
    }

    /// The import of this range at this epoch, or the reason why there is none.
    pub(super) fn check_import(
        &self,
        range_id: RangeId,
        epoch: Epoch,
    ) -> Result<&Arriving, String> {
        let mut importing = self.ownership.importing().iter();
        importing
            .find(|a| a.range.range_id == range_id && a.range.epoch == epoch)
            .ok_or_else(|| format!("range {range_id} is not being imported at epoch {epoch}"))
    }

    fn take_chunk(
        &mut self,
        chunk: Chunk,
        txn: &mut Txn<'_>,
        store: &dyn Store,
        effects: &mut Effects,
    ) -> Result<Result<(), String>, Fault> {
        let Chunk {
            range_id,
            epoch,
            from,
            records,
            next,
        } = chunk;
        let table = match self.check_import(range_id, epoch) {
            Ok(arriving) => arriving.range.bounds.table,
            Err(reason) => return Ok(Err(reason)),
        };
        let Some(import) = self.imports.get(&range_id) else {
            return Err(Fault::corrupt("an import without its progress"));
        };
        if import.known.cursor() != Some(&from) {
            // The chunk was proposed twice, or by an earlier leader.
            return Ok(Err(format!("range {range_id} is copied past that")));
        }
        let decoded: Result<Vec<Record>, Fault> = records
            .iter()
            .map(|(_, raw)| Record::decode(raw.clone()))
            .collect();
        let Ok(decoded) = decoded else {
            // The source sent the bad record; this node's own store is not to blame.
            return Ok(Err(format!("a record of range {range_id} cannot be read")));
        };
        let (mut copied, mut taken) = (import.copied, Vec::new());
        for ((key, raw), record) in records.into_iter().zip(decoded) {
            copied.add(&key, &raw);
            let arrived = import.known.holds(table, &key)
                || txn.knows(table, &key)?
                || store.is_marked(range_id, table, &key)?;
            if arrived {
                continue;
            }
            if record.is_spread {
                return Ok(Err(format!(
                    "the elements of a key of range {range_id} are not here yet"
                )));
            }
            taken.push((key, record));
        }
        for (key, record) in taken {
            txn.import(table, key, record);
        }
        if let Some(import) = self.imports.get_mut(&range_id) {
            import.copied = copied;
            import.known.advance(next);
            effects.store.push(know(range_id, import));
        }
        Ok(Ok(()))
    }

    fn finish_import(
        &mut self,
        range_id: RangeId,
        epoch: Epoch,
        all: Tally,
        effects: &mut Effects,
    ) -> Result<(), String> {
        if let Err(reason) = self.check_import(range_id, epoch) {
            let mut owned = self.ownership.owned().iter();
            let done = owned.any(|range| range.range_id == range_id && range.epoch >= epoch);
            return if done { Ok(()) } else { Err(reason) };
        }
        let import = self.imports.get(&range_id);
        let copied = import.filter(|import| import.known.cursor().is_none());
        let copied = copied.ok_or_else(|| format!("range {range_id} is not copied whole"))?;
        if copied.copied != all {
            return Err(format!(
                "of range {range_id} {:?} arrived, and its source has {all:?}",
                copied.copied
            ));
        }
        self.imports.remove(&range_id);
        self.pieces.remove(&range_id);
        self.ownership.finish_import(range_id);
        effects.store.push(StoreChange::Forget(range_id));
        Ok(())
    }
}

pub(super) fn know(range_id: RangeId, import: &Import) -> StoreChange {
    let known = import.known.encode();
    StoreChange::Know { range_id, known }
}
