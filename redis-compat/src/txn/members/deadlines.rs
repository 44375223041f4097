//! Deadlines of members, and the removal of members that are past theirs.
//!
//! The group clock decides, as for keys. A read that meets a deadline between the applied clock and
//! the leader's asks for a tick ([`Txn::needs_tick`]).

use std::ops::Bound;

use bytes::Bytes;
use coterie_types::{TableId, UnixMillis};

use super::head::Deadlines;
use super::spread::{DEADLINES, split_deadline, split_key};
use super::{Cell, Form, Members, lowest_deadline};
use crate::{EvalError, Fault, Record, Txn, Walk};

/// Deadlines that are read at once.
const PAGE: usize = 64;
/// Members that a sweep removes of a key at once.
const SWEPT_MAX: usize = 1000;

impl Txn<'_> {
    /// Whether a member with this deadline is there to commands. Notes it when only a later clock
    /// can say.
    pub(super) fn is_before_deadline(&mut self, deadline: Option<UnixMillis>) -> bool {
        let Some(deadline) = deadline else {
            return true;
        };
        let clock = self.state.clock();
        let is_before = deadline > clock.now;
        self.state.needs_tick |= is_before && clock.read_now.is_some_and(|now| deadline <= now);
        is_before
    }
}

impl Txn<'_> {
    /// Whether all members of a record are past their deadlines: then the key is absent.
    pub(in crate::txn) fn has_ended(
        &mut self,
        table: TableId,
        key: &Bytes,
        record: &Record,
    ) -> Result<bool, Fault> {
        let lowest = lowest_deadline(record);
        if lowest.is_none_or(|lowest| lowest > self.now().max(self.read_now())) {
            return Ok(false);
        }
        let members = Members::of(record, table, key)?;
        let highest = members.highest(self)?;
        Ok(highest.is_some() && !self.is_before_deadline(highest))
    }

    /// Removes members of a key that are past their deadlines, a bounded number; returns how many
    /// there were. Errors: `UNDECLARED_KEY`.
    pub(crate) fn purge_members(&mut self, key: &Bytes) -> Result<usize, EvalError> {
        let Some(record) = self.record(key)? else {
            return Ok(0);
        };
        if lowest_deadline(&record).is_none_or(|lowest| lowest > self.now()) {
            return Ok(0);
        }
        let mut members = Members::of(&record, self.table(), key)?;
        let purged = members.purge(self, SWEPT_MAX)?;
        members.store(self, key)?;
        Ok(purged)
    }
}

impl Members {
    /// The highest deadline, if each member has one.
    fn highest(&self, txn: &Txn<'_>) -> Result<Option<UnixMillis>, Fault> {
        let count = self.head.deadlines.map_or(0, |deadlines| deadlines.count);
        if count < self.stored_len() {
            return Ok(None);
        }
        match &self.form {
            Form::Packed(elements) => {
                let mut highest = None;
                for (_, cell) in elements.to_vec()? {
                    highest = highest.max(Cell::decode(cell)?.deadline);
                }
                Ok(highest)
            }
            Form::Spread(spread) => {
                let last = txn.first_element(&spread.of, DEADLINES, Walk::ALL_DOWN)?;
                last.map(|(place, _)| Ok(split_deadline(&place)?.0))
                    .transpose()
            }
        }
    }

    /// Gives a member that is there another deadline.
    pub(crate) fn set_deadline(
        &mut self,
        txn: &mut Txn<'_>,
        member: &Bytes,
        deadline: Option<UnixMillis>,
    ) -> Result<(), EvalError> {
        if let Some(old) = self.get(txn, member)? {
            let value = old.value.clone();
            self.put_over(txn, member, Some(&old), &Cell { value, deadline })?;
        }
        Ok(())
    }

    /// Removes members that are past their deadline, at most `max`; returns how many there were.
    pub(crate) fn purge(&mut self, txn: &mut Txn<'_>, max: usize) -> Result<usize, Fault> {
        let ended = self.ended(txn, max)?;
        for (member, deadline) in &ended {
            self.drop_stored(txn, member, Some(*deadline))?;
        }
        Ok(ended.len())
    }

    /// How many stored members are past their deadline.
    pub(super) fn count_ended(&self, txn: &mut Txn<'_>) -> Result<u64, Fault> {
        Ok(self.ended(txn, usize::MAX)?.len() as u64)
    }

    /// Stored members past their deadline, at most `max`.
    fn ended(&self, txn: &mut Txn<'_>, max: usize) -> Result<Vec<(Bytes, UnixMillis)>, Fault> {
        let lowest = self.head.deadlines.map(|deadlines| deadlines.lowest);
        if txn.is_before_deadline(lowest) {
            return Ok(Vec::new());
        }
        let mut ended = Vec::new();
        self.visit_deadlines(txn, &mut |txn, member, deadline| {
            let has_ended = !txn.is_before_deadline(Some(deadline));
            if has_ended && ended.len() < max {
                ended.push((member, deadline));
            }
            ended.len() < max
        })?;
        Ok(ended)
    }

    /// Looks for the lowest deadline, if it went away.
    pub(super) fn find_lowest(&mut self, txn: &mut Txn<'_>) -> Result<(), Fault> {
        if !std::mem::take(&mut self.is_lowest_gone) {
            return Ok(());
        }
        let Some(Deadlines { count, .. }) = self.head.deadlines else {
            return Ok(());
        };
        let mut lowest: Option<UnixMillis> = None;
        let is_ordered = matches!(self.form, Form::Spread(_));
        self.visit_deadlines(txn, &mut |_, _, deadline| {
            lowest = Some(lowest.map_or(deadline, |lowest| lowest.min(deadline)));
            !is_ordered
        })?;
        let lowest = lowest.ok_or_else(|| Fault::corrupt("deadlines are counted and not there"))?;
        self.head.deadlines = Some(Deadlines { lowest, count });
        Ok(())
    }

    /// Visits deadlines, of a spread collection in their order, until `visit` returns false or, of
    /// a spread collection, after the first that is not over.
    fn visit_deadlines(
        &self,
        txn: &mut Txn<'_>,
        visit: &mut dyn FnMut(&mut Txn<'_>, Bytes, UnixMillis) -> bool,
    ) -> Result<(), Fault> {
        match &self.form {
            Form::Packed(elements) => {
                for (member, cell) in elements.to_vec()? {
                    if let Some(deadline) = Cell::decode(cell)?.deadline
                        && !visit(txn, member, deadline)
                    {
                        return Ok(());
                    }
                }
            }
            Form::Spread(spread) => {
                // Removed deadlines lie before the lowest: no walk meets them.
                let lowest = self
                    .head
                    .deadlines
                    .map_or(0, |deadlines| deadlines.lowest.0);
                let mut after = Bytes::copy_from_slice(&lowest.to_be_bytes());
                loop {
                    // A deadline has a key behind it.
                    let walk = Walk::Up(Bound::Excluded(&after));
                    let page = txn.some_elements(&spread.of, DEADLINES, walk, PAGE)?;
                    let Some((last, _)) = page.last() else {
                        return Ok(());
                    };
                    after = last.clone();
                    for (place, _) in page {
                        let (deadline, key) = split_deadline(&place)?;
                        let (_, member) = split_key(key)?;
                        let member = place.slice_ref(member);
                        if !visit(txn, member, deadline) || deadline > txn.now() {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
