//! Which keys a group owns: checked when a write is applied and when a read is served, always
//! against the same state as the command sees.

use bytes::Bytes;
use coterie_protocol::Refusal;
use coterie_redis_compat::{Keys, resolve};
use coterie_types::{GroupId, KeyRange, RangeDescriptor, RangeId, TableId};
use serde::{Deserialize, Serialize};

/// The ranges a group owns, and what it knows of those it gave away.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ownership {
    /// Owned, sorted by table and start, without overlap.
    owned: Vec<RangeDescriptor>,
    /// Given away, with their new owners; bounded.
    moved: Vec<RangeDescriptor>,
}

impl Ownership {
    /// Owning exactly these.
    #[must_use]
    pub fn of(mut ranges: Vec<RangeDescriptor>) -> Self {
        ranges.sort_by(|a, b| a.bounds.cmp(&b.bounds));
        Self {
            owned: ranges,
            moved: Vec::new(),
        }
    }

    /// Takes ranges in that nobody owned before: all, or none with the reason. One that is owned
    /// already, just so, is no reason.
    pub(crate) fn add(
        &mut self,
        group: GroupId,
        ranges: Vec<RangeDescriptor>,
    ) -> Result<(), String> {
        let mut after = self.owned.clone();
        for range in ranges {
            let (range_id, bounds) = (range.range_id, &range.bounds);
            if after.contains(&range) {
                continue;
            }
            if range.group_id != group || bounds.is_empty() {
                return Err(format!("range {range_id} is empty or another group's"));
            }
            let in_the_way = |owned: &&RangeDescriptor| {
                owned.range_id == range_id || owned.bounds.overlaps(bounds)
            };
            if let Some(owned) = after.iter().find(in_the_way) {
                return Err(format!(
                    "range {range_id} {bounds} does not fit beside range {} {}",
                    owned.range_id, owned.bounds
                ));
            }
            after.push(range);
        }
        after.sort_by(|a, b| a.bounds.cmp(&b.bounds));
        self.owned = after;
        let owned = &self.owned;
        let is_owned =
            |range: &RangeDescriptor| owned.iter().any(|o| o.bounds.overlaps(&range.bounds));
        self.moved.retain(|range| !is_owned(range));
        Ok(())
    }

    /// Forgets ranges that are to be nobody's; answers which intervals they were.
    pub(crate) fn remove(&mut self, ranges: &[RangeId]) -> Vec<KeyRange> {
        let removed = self
            .owned
            .extract_if(.., |range| ranges.contains(&range.range_id));
        removed.map(|range| range.bounds).collect()
    }

    /// What is owned, in key order.
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

    /// The last owned range that starts at or before `key`.
    fn candidate(&self, table: TableId, key: &[u8]) -> Option<&RangeDescriptor> {
        let after = self.owned.partition_point(|range| {
            (range.bounds.table, range.bounds.start.as_ref()) <= (table, key)
        });
        self.owned.get(after.checked_sub(1)?)
    }

    /// Whether the whole interval is owned, as one range.
    #[must_use]
    pub fn owns_interval(&self, interval: &KeyRange) -> bool {
        interval.is_empty()
            || self
                .candidate(interval.table, &interval.start)
                .is_some_and(|range| range.bounds.contains_range(interval))
    }

    /// `Err` when a command names a key or an interval that is not owned. A command that is no
    /// command, or whose keys cannot be found, has none: it answers an error wherever it runs.
    pub fn check(&self, table: TableId, args: &[Bytes]) -> Result<(), Refusal> {
        let Ok(command) = resolve(args) else {
            return Ok(());
        };
        if let Keys::Interval { .. } = command.keys {
            return match command.keys.interval(args) {
                Some((start, end)) => self.check_interval(&KeyRange { table, start, end }),
                None => Ok(()),
            };
        }
        let mut checked = Ok(());
        let mut check = |table, key: &Bytes| {
            if checked.is_ok() {
                checked = self.check_key(table, key);
            }
        };
        // Keys that cannot be found: the command will say so itself.
        let _ = command.visit_keys(table, args, &mut check);
        checked
    }

    /// `Err` when the key is not owned.
    pub fn check_key(&self, table: TableId, key: &[u8]) -> Result<(), Refusal> {
        if self.owns(table, key) {
            return Ok(());
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
        // What is owned of it helps too: the interval was cut into ranges since.
        let known = self.owned.iter().chain(&self.moved);
        let ranges = known
            .filter(|range| range.bounds.overlaps(interval))
            .cloned()
            .collect();
        Err(Refusal::Moved { ranges })
    }
}

#[cfg(test)]
mod tests {
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

    fn args(line: &str) -> Vec<Bytes> {
        line.split(' ')
            .map(|word| Bytes::copy_from_slice(word.as_bytes()))
            .collect()
    }

    #[test]
    fn every_key_of_a_command_must_be_owned() {
        let ownership = Ownership::of(vec![range("p", None), range("b", Some("d"))]);
        let check = |line| ownership.check(TableId(0), &args(line)).is_ok();
        assert!(check("get b") && check("get cz") && check("get z"));
        assert!(!check("get d") && !check("get a") && !check("mget b e"));
        assert!(
            !check("copy b c db 1") && !check("move b 1"),
            "a key of another table"
        );
        assert!(check("ping") && check("nonsense d") && check("get"));
        assert!(
            ownership.check(TableId(1), &args("get b")).is_err(),
            "another table"
        );
    }

    #[test]
    fn ranges_are_added_all_or_none_and_twice_is_once() {
        let numbered = |id, start, end| RangeDescriptor {
            range_id: RangeId(id),
            ..range(start, end)
        };
        let (first, last) = (numbered(1, "b", Some("d")), numbered(2, "p", None));
        let mut ownership = Ownership::of(vec![last.clone()]);
        let group = GroupId(1);
        assert_eq!(ownership.add(group, vec![first.clone()]), Ok(()));
        assert_eq!(ownership.owned(), [first.clone(), last.clone()]);
        assert_eq!(ownership.add(group, vec![last.clone(), first]), Ok(()));
        assert!(
            ownership
                .add(GroupId(2), vec![numbered(3, "e", Some("f"))])
                .is_err()
        );
        let fits_not = vec![numbered(3, "e", Some("f")), numbered(4, "c", Some("e"))];
        assert!(ownership.add(group, fits_not).is_err());
        assert!(
            ownership
                .add(group, vec![numbered(2, "e", Some("f"))])
                .is_err(),
            "other bounds"
        );
        assert_eq!(ownership.owned().len(), 2);
        let gone = ownership.remove(&[RangeId(1), RangeId(9)]);
        assert_eq!(gone, [range("b", Some("d")).bounds]);
        assert_eq!(ownership.owned(), [last]);
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
