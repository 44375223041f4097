//! Walks over the items of a large sorted set, piece by piece.

use super::{Keys, PIECE_BYTES, Spread, Visit};
use crate::txn::counted::Path;
use crate::zset::order::Item;
use crate::zset::span::Selection;
use crate::{EvalError, Fault, Txn};

/// The most items that a walk reads before it shows them.
const PIECE_ITEMS: u64 = 256;

/// Where a walk is.
struct At {
    path: Path,
    down: bool,
    keys: Keys,
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
        let Some(mut at) = self.begin(txn, selection)? else {
            return Ok(());
        };
        let mut left = selection.count;
        while left > 0 && !at.is_done {
            for item in self.piece(txn, &mut at, left)? {
                left -= 1;
                if !visit(txn, item)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The start of a walk; `None` if nothing is selected.
    fn begin(&self, txn: &Txn<'_>, selection: &Selection) -> Result<Option<At>, Fault> {
        let Some(keys) = self.keys(txn, &selection.span)? else {
            return Ok(None);
        };
        let counted = self.counted();
        let (down, passed) = (selection.down, selection.offset);
        // The item that the walk begins behind, counted from the first; it may be the end.
        let start = match (down, &keys.to) {
            (false, _) if keys.from.is_empty() => Some(passed),
            (true, None) => self.count.checked_sub(passed),
            _ => {
                let path = match (down, &keys.to) {
                    (true, Some(to)) => counted.seek(txn, to)?,
                    _ => counted.seek(txn, &keys.from)?,
                };
                if passed == 0 {
                    return Ok(Some(At::new(path, down, keys)));
                }
                if down {
                    path.rank().checked_sub(passed)
                } else {
                    path.rank().checked_add(passed)
                }
            }
        };
        let path = match start {
            // Behind the last item there is no item to select.
            Some(start) if down && start > 0 => {
                let path = counted.select(txn, start - 1)?;
                path.map(Path::behind)
            }
            Some(start) if !down => counted.select(txn, start)?,
            _ => None,
        };
        Ok(path.map(|path| At::new(path, down, keys)))
    }

    /// The next items of a walk, at most `max`, in their order.
    fn piece(&self, txn: &Txn<'_>, at: &mut At, max: u64) -> Result<Vec<Item>, Fault> {
        let max = max.min(PIECE_ITEMS) as usize;
        let (mut found, mut bytes, mut fault) = (Vec::with_capacity(max.min(16)), 0, None);
        let (keys, down) = (&at.keys, at.down);
        let mut is_full = false;
        self.counted().walk(txn, &mut at.path, down, |key, value| {
            if !keys.have(key, down) {
                return false;
            }
            bytes += key.len();
            match Item::of(key, value) {
                Ok(item) => found.push(item),
                Err(broken) => fault = Some(broken),
            }
            is_full = found.len() >= max || bytes >= PIECE_BYTES;
            !is_full && fault.is_none()
        })?;
        at.is_done = !is_full;
        fault.map_or(Ok(found), Err)
    }
}

impl At {
    fn new(path: Path, down: bool, keys: Keys) -> Self {
        Self {
            path,
            down,
            keys,
            is_done: false,
        }
    }
}

impl Keys {
    /// Whether a key on the way is not behind the end.
    fn have(&self, key: &[u8], down: bool) -> bool {
        match (&self.to, down) {
            (_, true) => *key >= self.from[..],
            (Some(to), false) => *key < to[..],
            (None, false) => true,
        }
    }
}
