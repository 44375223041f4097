//! The keys a group owns: checked when a write is applied and when a read is served, always against
//! the same state as the command sees.

use std::sync::Arc;

use coterie_protocol::Refusal;
use coterie_redis_compat::{Resolved, Txn};
use coterie_types::{GroupId, KeyRange, RangeDescriptor, RangeId, TableId};
use serde::{Deserialize, Serialize};

mod invariants;
mod transitions;

/// A range that comes from another group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arriving {
    /// The range, as it will be here.
    pub range: RangeDescriptor,
    /// The group that has all of its records.
    pub source: GroupId,
}

/// The ranges a group owns, and the ranges that come and go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ownership {
    /// Owned, sorted by table and start, without overlap.
    owned: Vec<RangeDescriptor>,
    /// Given away, with their new owners, the most recent at the end; bounded.
    moved: Vec<RangeDescriptor>,
    /// Announced by a move; not owned until their source has handed them off.
    incoming: Vec<Arriving>,
    /// Owned, while not all of their records are here.
    importing: Vec<Arriving>,
    /// Handed off, with their descriptors at the new owners; their records are still here, and
    /// nothing changes them.
    frozen: Vec<RangeDescriptor>,
}

impl Ownership {
    /// Owns exactly these ranges.
    #[must_use]
    pub fn of(mut ranges: Vec<RangeDescriptor>) -> Self {
        ranges.sort_by(|a, b| a.bounds.cmp(&b.bounds));
        Self {
            owned: ranges,
            ..Self::default()
        }
    }

    /// The owned ranges, in key order.
    #[must_use]
    pub fn owned(&self) -> &[RangeDescriptor] {
        &self.owned
    }

    /// Whether `key` is owned.
    #[must_use]
    pub fn owns(&self, table: TableId, key: &[u8]) -> bool {
        self.candidate(table, key)
            .is_some_and(|range| range.bounds.contains(table, key))
    }

    /// The owned range with this key.
    #[must_use]
    pub fn range_of(&self, table: TableId, key: &[u8]) -> Option<RangeId> {
        let range = self.candidate(table, key)?;
        range.bounds.contains(table, key).then_some(range.range_id)
    }

    /// The last owned range that starts at or before `key`.
    fn candidate(&self, table: TableId, key: &[u8]) -> Option<&RangeDescriptor> {
        let after = self.owned.partition_point(|range| {
            (range.bounds.table, range.bounds.start.as_ref()) <= (table, key)
        });
        self.owned.get(after.checked_sub(1)?)
    }

    /// Whether a single owned range contains the whole interval.
    #[must_use]
    pub fn owns_interval(&self, interval: &KeyRange) -> bool {
        interval.is_empty()
            || self
                .candidate(interval.table, &interval.start)
                .is_some_and(|range| range.bounds.contains_range(interval))
    }

    /// `Err` when a command names a key or an interval that is not owned. An unknown command, or a
    /// command whose keys cannot be found, passes: it returns an error on any group.
    pub fn check(&self, command: &Resolved) -> Result<(), Refusal> {
        if let Some(interval) = command.interval() {
            return self.check_interval(&interval);
        }
        let mut checked = Ok(());
        command.visit_keys(&mut |table, key| {
            if checked.is_ok() {
                checked = self.check_key(table, key);
            }
        });
        checked
    }

    /// Ranges that are announced, and not owned yet.
    #[must_use]
    pub fn incoming(&self) -> &[Arriving] {
        &self.incoming
    }

    /// Owned ranges that lack some of their records.
    #[must_use]
    pub fn importing(&self) -> &[Arriving] {
        &self.importing
    }

    /// Lets the commands of a frame read keys that they do not name in their words: in owned ranges
    /// that have all of their records.
    pub(crate) fn open_to(&self, commands: &[Resolved], txn: &mut Txn<'_>) {
        if commands.iter().any(Resolved::reads_named_keys) {
            txn.set_whole_ranges(self.whole_ranges());
        }
    }

    /// Owned ranges that have all of their records.
    pub(crate) fn whole_ranges(&self) -> Arc<[KeyRange]> {
        let arriving = || {
            self.importing
                .iter()
                .map(|arriving| arriving.range.range_id)
        };
        let is_whole = |range: &&RangeDescriptor| arriving().all(|id| id != range.range_id);
        let whole = self.owned.iter().filter(is_whole);
        whole.map(|range| range.bounds.clone()).collect()
    }

    /// A digest of the owned ranges and their epochs (FNV-1a). Any hash works as long as every
    /// replica uses it forever.
    #[must_use]
    pub(crate) fn digest(&self) -> u64 {
        let numbers = self.owned.iter();
        let numbers = numbers.flat_map(|range| [range.range_id.0, range.epoch.0]);
        let bytes = numbers.flat_map(u64::to_le_bytes);
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }

    /// Ranges that were handed off and whose records are still here, with their descriptors at the
    /// new owners.
    #[must_use]
    pub fn frozen(&self) -> &[RangeDescriptor] {
        &self.frozen
    }

    /// The range with this key, if it is being imported.
    #[must_use]
    pub fn import_of(&self, table: TableId, key: &[u8]) -> Option<&Arriving> {
        let mut importing = self.importing.iter();
        importing.find(|arriving| arriving.range.bounds.contains(table, key))
    }

    /// Whether a command names a key, or an interval, of a range that is being imported.
    #[must_use]
    pub fn names_import(&self, command: &Resolved) -> bool {
        if let Some(interval) = command.interval() {
            let mut importing = self.importing.iter();
            return importing.any(|arriving| arriving.range.bounds.overlaps(&interval));
        }
        let mut named = false;
        command.visit_keys(&mut |table, key| named |= self.import_of(table, key).is_some());
        named
    }

    /// Whether any range is arriving; otherwise the checks for arrivals can be skipped.
    #[must_use]
    pub fn has_arrivals(&self) -> bool {
        !self.importing.is_empty() || !self.incoming.is_empty()
    }

    /// `Err` when the key is not owned.
    pub fn check_key(&self, table: TableId, key: &[u8]) -> Result<(), Refusal> {
        if self.owns(table, key) {
            return Ok(());
        }
        let mut incoming = self.incoming.iter();
        if incoming.any(|arriving| arriving.range.bounds.contains(table, key)) {
            return Err(Refusal::Moving);
        }
        let knows = self
            .moved
            .iter()
            .filter(|range| range.bounds.contains(table, key));
        Err(Refusal::Moved {
            ranges: knows.cloned().collect(),
        })
    }

    fn check_interval(&self, interval: &KeyRange) -> Result<(), Refusal> {
        if self.owns_interval(interval) {
            return Ok(());
        }
        let incoming = || self.incoming.iter().map(|arriving| &arriving.range);
        if incoming().any(|range| range.bounds.contains_range(interval)) {
            return Err(Refusal::Moving);
        }
        // Owned parts of the interval help the proxy too: the interval has been split since.
        let known = self.owned.iter().chain(&self.moved).chain(incoming());
        let ranges = known
            .filter(|range| range.bounds.overlaps(interval))
            .cloned()
            .collect();
        Err(Refusal::Moved { ranges })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use coterie_types::Epoch;

    use super::*;

    fn range(start: &'static str, end: Option<&'static str>) -> RangeDescriptor {
        let end = end.map(|end| Bytes::from_static(end.as_bytes()));
        RangeDescriptor {
            range_id: RangeId(1),
            epoch: Epoch(1),
            bounds: KeyRange {
                table: TableId(0),
                start: Bytes::from_static(start.as_bytes()),
                end,
            },
            group_id: GroupId(1),
        }
    }

    fn command(table: u32, line: &str) -> Resolved {
        let words = line.split(' ');
        let words = words.map(|word| Bytes::copy_from_slice(word.as_bytes()));
        Resolved::new(TableId(table), words.collect())
    }

    #[test]
    fn every_key_of_a_command_must_be_owned() {
        let ownership = Ownership::of(vec![range("p", None), range("b", Some("d"))]);
        let check = |line| ownership.check(&command(0, line)).is_ok();
        assert!(check("get b") && check("get cz") && check("get z"));
        assert!(!check("get d") && !check("get a") && !check("mget b e"));
        assert!(
            !check("copy b c db 1") && !check("move b 1"),
            "a key of another table"
        );
        assert!(check("ping") && check("nonsense d") && check("get"));
        assert!(
            ownership.check(&command(1, "get b")).is_err(),
            "another table"
        );
    }

    #[test]
    fn an_interval_must_lie_in_one_range() {
        let ownership = Ownership::of(vec![range("b", Some("d")), range("d", Some("f"))]);
        let interval = |start: &'static str, end: &'static str| KeyRange {
            table: TableId(0),
            start: Bytes::from_static(start.as_bytes()),
            end: (!end.is_empty()).then(|| Bytes::from_static(end.as_bytes())),
        };
        assert!(ownership.owns_interval(&interval("b", "d")));
        assert!(ownership.owns_interval(&interval("ba", "c")));
        assert!(!ownership.owns_interval(&interval("c", "e")));
        assert!(!ownership.owns_interval(&interval("d", "")));
        let refusal = ownership.check_interval(&interval("c", "e"));
        assert!(matches!(refusal, Err(Refusal::Moved { ranges }) if ranges.len() == 2));
    }
}
