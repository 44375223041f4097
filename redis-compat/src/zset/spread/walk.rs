//! Walks over the items of a large sorted set, piece by piece.

use std::ops::Bound;

use bytes::Bytes;

use super::{Keys, ORDER, PIECE_BYTES, Spread, Visit};
use crate::zset::order::{Item, just_above};
use crate::zset::span::Selection;
use crate::{EvalError, Fault, Txn, Walk};

/// The most items that a walk reads before it shows them.
const PIECE_ITEMS: u64 = 256;
/// Items that a walk passes over before it looks for the place by rank.
const PASSED_MAX: u64 = 64;

/// Where a walk is.
struct At {
    bound: Bound<Bytes>,
    down: bool,
    /// The end in its direction.
    end: Bound<Bytes>,
    /// Nothing is left.
    is_done: bool,
}

impl Spread {
    /// Visits the items of a selection. Reads them piece by piece.
    pub(in crate::zset) fn walk(
        &self,
        txn: &mut Txn<'_>,
        selection: &Selection,
        visit: &mut Visit<'_>,
    ) -> Result<(), EvalError> {
        let (mut passed, mut left) = (selection.offset, selection.count);
        let Some(keys) = self.keys(txn, &selection.span)? else {
            return Ok(());
        };
        let mut at = self.begin(keys, selection.down);
        if passed > PASSED_MAX {
            let Some(start) = self.pass_over(txn, &at, passed)? else {
                return Ok(());
            };
            (at.bound, passed) = (Bound::Included(start), 0);
        }
        while left > 0 && !at.is_done {
            for item in self.piece(txn, &mut at, passed.saturating_add(left))? {
                if passed > 0 {
                    passed -= 1;
                    continue;
                }
                left -= 1;
                if !visit(txn, item)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The start of a walk over an interval, no further out than the ends of the set.
    fn begin(&self, keys: Keys, down: bool) -> At {
        let from = Bound::Included(keys.from.max(self.first.clone()));
        let to = match keys.to {
            Some(to) if to <= self.last => Bound::Excluded(to),
            _ => Bound::Included(self.last.clone()),
        };
        let (bound, end) = if down { (to, from) } else { (from, to) };
        At {
            bound,
            down,
            end,
            is_done: false,
        }
    }

    /// The key so many items behind the start of a walk; `None` if it is behind the end.
    fn pass_over(&self, txn: &Txn<'_>, at: &At, passed: u64) -> Result<Option<Bytes>, Fault> {
        let start = match &at.bound {
            Bound::Included(key) if at.down => self.rank_of(txn, &just_above(key))?,
            Bound::Included(key) | Bound::Excluded(key) => self.rank_of(txn, key)?,
            Bound::Unbounded => 0,
        };
        let nth = match at.down {
            false => start.checked_add(passed),
            true => start
                .checked_sub(1)
                .and_then(|last| last.checked_sub(passed)),
        };
        let Some(nth) = nth else {
            return Ok(None);
        };
        let key = self.counted().select(txn, nth)?;
        Ok(key.filter(|key| at.has(key)))
    }

    /// The next items of a walk, at most `max`, in their order.
    fn piece(&self, txn: &Txn<'_>, at: &mut At, max: u64) -> Result<Vec<Item>, Fault> {
        let max = max.min(PIECE_ITEMS) as usize;
        let (mut found, mut bytes, mut last, mut fault) = (Vec::new(), 0, None, None);
        let bound = at.bound.as_ref().map(|key| &key[..]);
        let walk = if at.down {
            Walk::Down(bound)
        } else {
            Walk::Up(bound)
        };
        txn.scan_elements(&self.of, ORDER, walk, &mut |key, value| {
            if !at.has(key) {
                return false;
            }
            bytes += key.len();
            match Item::of(key, value) {
                Ok(item) => found.push(item),
                Err(broken) => fault = Some(broken),
            }
            // Behind the end there may be many that were removed.
            let is_end = matches!(&at.end, Bound::Included(end) if *key == end[..]);
            let is_full = found.len() >= max || bytes >= PIECE_BYTES;
            let goes_on = !is_end && !is_full && fault.is_none();
            if is_full && !is_end {
                last = Some(Bytes::copy_from_slice(key));
            }
            goes_on
        })?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        match last {
            Some(last) => at.bound = Bound::Excluded(last),
            None => at.is_done = true,
        }
        Ok(found)
    }
}

impl At {
    /// Whether a key on the way is not behind the end.
    fn has(&self, key: &[u8]) -> bool {
        match (&self.end, self.down) {
            (Bound::Included(end), false) => key <= &end[..],
            (Bound::Excluded(end), false) => key < &end[..],
            (Bound::Included(end), true) => key >= &end[..],
            (Bound::Excluded(end), true) => key > &end[..],
            (Bound::Unbounded, _) => true,
        }
    }
}
