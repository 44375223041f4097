//! The replicated state of a group besides its records: small, in memory, and persisted as a single
//! value together with the records (`server::replica`).

use std::collections::BTreeMap;

use coterie_redis_compat::Classes;
use coterie_types::{GroupId, RangeId, TableId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::import::{Import, Pieces};
use crate::ownership::Ownership;
use crate::sessions::Sessions;

/// Format of the persisted state.
const VERSION: u8 = 3;
/// The format before it: without `pieces`.
const VERSION_WITHOUT_PIECES: u8 = 2;
/// Slots of the table of removals: a removed key counts as removed for all keys of its slot.
pub(crate) const REMOVAL_SLOTS: usize = 4096;

/// The state of a group; see the module's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupState {
    pub(crate) group_id: GroupId,
    /// The clock of the last entry applied.
    pub(crate) clock: UnixMillis,
    /// The number of the next change of a record.
    pub(crate) next_change: u64,
    pub(crate) ownership: Ownership,
    /// The progress of each import in `ownership.importing()`.
    pub(crate) imports: BTreeMap<RangeId, Import>,
    pub(crate) sessions: Sessions,
    /// Per slot, the greatest `Removal::touched` of its keys: `WATCH` of an absent key must notice
    /// that the key was there in between.
    pub(crate) removals: Vec<u64>,
    /// Change counter after the last clear of an interval: counts for every slot.
    pub(crate) cleared: u64,
    /// The spread collections that are arriving, of each import that has any.
    pub(crate) pieces: BTreeMap<RangeId, Pieces>,
    /// Classes of events that entries collect: a matter of this replica alone.
    #[serde(skip)]
    pub(crate) collects: Classes,
}

/// A persisted state that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("group state: {0}")]
pub struct StateError(String);

impl GroupState {
    /// A group that owns nothing yet.
    #[must_use]
    pub fn new(group_id: GroupId) -> Self {
        Self {
            group_id,
            clock: UnixMillis(0),
            next_change: 1,
            ownership: Ownership::default(),
            imports: BTreeMap::new(),
            sessions: Sessions::default(),
            removals: vec![0; REMOVAL_SLOTS],
            cleared: 0,
            pieces: BTreeMap::new(),
            collects: Classes::NONE,
        }
    }

    /// From here on entries collect events of these classes. None unless set.
    pub fn collect_events(&mut self, classes: Classes) {
        self.collects = classes;
    }

    /// The state as persisted: a version byte, then postcard.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&coterie_protocol::encode(self));
        out
    }

    /// Decodes a persisted state.
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => Self::decode_fields(rest),
            // No pieces: postcard of an empty map.
            Some((&VERSION_WITHOUT_PIECES, rest)) => Self::decode_fields(&[rest, &[0]].concat()),
            Some((version, _)) => Err(StateError(format!(
                "version {version}, this program knows {VERSION}"
            ))),
            None => Err(StateError("empty".to_owned())),
        }
    }

    fn decode_fields(bytes: &[u8]) -> Result<Self, StateError> {
        let state: Self = coterie_protocol::decode(bytes).map_err(|e| StateError(e.to_string()))?;
        if state.removals.len() == REMOVAL_SLOTS {
            Ok(state)
        } else {
            Err(StateError("table of removals has another size".to_owned()))
        }
    }

    /// The group's id.
    #[must_use]
    pub fn group_id(&self) -> GroupId {
        self.group_id
    }

    /// The clock of the last entry applied.
    #[must_use]
    pub fn clock(&self) -> UnixMillis {
        self.clock
    }

    /// The group's ownership.
    #[must_use]
    pub fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// The progress of a range's import.
    #[must_use]
    pub fn import(&self, range_id: RangeId) -> Option<&Import> {
        self.imports.get(&range_id)
    }

    /// The spread collections of a range that are arriving.
    #[must_use]
    pub fn pieces(&self, range_id: RangeId) -> Option<&Pieces> {
        self.pieces.get(&range_id)
    }

    /// Panics if an invariant is broken; costs nothing in a release build.
    pub(crate) fn debug_check(&self) {
        let importing = self.ownership.importing();
        let mut ids = importing.iter().map(|arriving| arriving.range.range_id);
        debug_assert!(
            importing.len() == self.imports.len() && ids.all(|id| self.imports.contains_key(&id)),
            "imports and their progress differ: {importing:?}, {:?}",
            self.imports
        );
        let mut with_pieces = self.pieces.keys();
        debug_assert!(
            with_pieces.all(|id| self.imports.contains_key(id)),
            "pieces of no import: {:?}",
            self.pieces
        );
    }

    /// The greatest change counter left by a removal of a key in this key's slot; 0 if none.
    pub(crate) fn last_removed(&self, table: TableId, key: &[u8]) -> u64 {
        self.removals[removal_slot(table, key)].max(self.cleared)
    }
}

/// FNV-1a over table and key: any hash works as long as every replica uses it forever.
pub(crate) fn removal_slot(table: TableId, key: &[u8]) -> usize {
    let bytes = table.0.to_le_bytes();
    let hash = bytes
        .iter()
        .chain(key)
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    usize::try_from(hash % REMOVAL_SLOTS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_survives_the_round_trip_and_newer_ones_are_refused() {
        let mut state = GroupState::new(GroupId(3));
        state.removals[7] = 9;
        let bytes = state.encode();
        assert_eq!(GroupState::decode(&bytes).unwrap(), state);
        let mut older = bytes.clone();
        older[0] = 2;
        assert_eq!(older.pop(), Some(0), "no pieces");
        assert_eq!(GroupState::decode(&older).unwrap(), state);
        let mut newer = bytes;
        newer[0] = 4;
        assert!(GroupState::decode(&newer).is_err());
        assert!(GroupState::decode(&[]).is_err());
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "imports and their progress differ")]
    fn the_progress_of_no_import_is_noticed() {
        let mut state = GroupState::new(GroupId(3));
        state.debug_check();
        let import = Import::begin(&coterie_types::KeyRange::all(TableId(0)));
        state.imports.insert(RangeId(1), import);
        state.debug_check();
    }

    #[test]
    fn slots_are_the_same_for_ever() {
        assert_eq!(
            removal_slot(TableId(0), b"key"),
            removal_slot(TableId(0), b"key")
        );
        assert_eq!(removal_slot(TableId(1), b"user:1000"), 3398);
    }
}
