//! The cancelled calls of a connection.
//!
//! The calling side reuses a slot under another id (`waiting`), so only the last cancelled id of
//! each slot matters: an older call has been answered or is over.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};

/// The cancelled calls of a connection; see the module's head.
#[derive(Default)]
pub(crate) struct Cancelled {
    /// Whether any call was ever cancelled: most connections need no lookup.
    any: AtomicBool,
    /// By slot, the generation of the id that was cancelled last.
    slots: Mutex<Vec<Option<u32>>>,
}

impl Cancelled {
    /// Marks call `id` as cancelled. Slots from `slots_max` on are ignored: no caller uses them.
    pub(crate) fn insert(&self, id: u64, slots_max: usize) {
        let slot = id as u32 as usize;
        if slot >= slots_max {
            return;
        }
        let mut slots = self.lock();
        if slots.len() <= slot {
            slots.resize(slot + 1, None);
        }
        slots[slot] = Some((id >> 32) as u32);
        self.any.store(true, Ordering::Release);
    }

    /// Whether call `id` was cancelled.
    pub(crate) fn contains(&self, id: u64) -> bool {
        self.any.load(Ordering::Acquire)
            && self.lock().get(id as u32 as usize) == Some(&Some((id >> 32) as u32))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<u32>>> {
        // No code panics while holding it.
        self.slots.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_call_in_a_slot_is_not_cancelled_with_the_last() {
        let cancelled = Cancelled::default();
        assert!(!cancelled.contains(7));
        cancelled.insert(7, 100);
        cancelled.insert(u64::MAX, 100);
        assert!(cancelled.contains(7));
        assert!(!cancelled.contains(1 << 32 | 7));
        assert!(!cancelled.contains(6) && !cancelled.contains(u64::MAX));
        cancelled.insert(1 << 32 | 7, 100);
        assert!(cancelled.contains(1 << 32 | 7) && !cancelled.contains(7));
    }
}
