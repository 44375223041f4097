//! The records of an interval as the entry sees them: the view's, with its changes laid over them.

use bytes::Bytes;
use coterie_types::KeyRange;

use super::Txn;
use crate::{Fault, Record};

impl Txn<'_> {
    /// Visits the stored records of an interval in key order, expired ones included, until `visit`
    /// returns false: the view's, with this entry's changes laid over them.
    pub fn scan(
        &self,
        bounds: &KeyRange,
        visit: &mut dyn FnMut(Bytes, Record) -> bool,
    ) -> Result<(), Fault> {
        let table = bounds.table;
        let mut changed = self
            .overlay
            .range((table, bounds.start.clone())..)
            .take_while(|((t, key), _)| bounds.contains(*t, key))
            .peekable();
        let mut go_on = true;
        self.view.scan(bounds, &mut |key, record| {
            while go_on && let Some(((_, k), r)) = changed.next_if(|((_, k), _)| *k < key) {
                go_on = r.as_ref().is_none_or(|r| visit(k.clone(), r.clone()));
            }
            if !go_on {
                return false;
            }
            let visible = match changed.next_if(|((_, k), _)| *k == key) {
                Some((_, changed)) => changed.clone(),
                None => (!self.is_cleared(table, &key)).then_some(record),
            };
            go_on = visible.is_none_or(|record| visit(key, record));
            go_on
        })?;
        while go_on && let Some(((_, key), record)) = changed.next() {
            go_on = record
                .as_ref()
                .is_none_or(|r| visit(key.clone(), r.clone()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::txn::tests::{T, b, ctx, view_of};

    fn keys(txn: &Txn<'_>) -> Vec<Bytes> {
        let mut keys = Vec::new();
        txn.scan(&KeyRange::all(T), &mut |key, _| {
            keys.push(key);
            true
        })
        .unwrap();
        keys
    }
    #[test]
    fn the_overlay_hides_the_view() {
        let view = view_of(&[("a", None), ("c", None), ("e", None)]);
        let mut txn = Txn::new(&view, ctx(1));
        txn.remove(b("c"));
        txn.put_string(b("b"), b("new"), None);
        txn.put_string(b("f"), b("new"), None);
        assert_eq!(keys(&txn), ["a", "b", "e", "f"]);
        assert!(txn.get(&b("c")).unwrap().is_none());
        txn.clear(KeyRange {
            table: T,
            start: b("b"),
            end: Some(b("f")),
        });
        txn.put_string(b("d"), b("new"), None);
        assert_eq!(keys(&txn), ["a", "d", "f"]);
        let changes = txn.finish();
        let removed: Vec<&Bytes> = changes
            .removals
            .iter()
            .map(|removal| &removal.key)
            .collect();
        assert_eq!(removed, [&b("c")]);
        let mut view = view;
        view.apply(&changes);
        assert_eq!(keys(&Txn::new(&view, ctx(1))), ["a", "d", "f"]);
    }

    #[test]
    fn a_scan_stops_when_told() {
        let view = view_of(&[("a", None), ("c", None)]);
        let mut txn = Txn::new(&view, ctx(1));
        txn.put_string(b("b"), b("new"), None);
        for stop_after in 1..=3 {
            let mut seen = 0;
            let scanned = txn.scan(&KeyRange::all(T), &mut |_, _| {
                seen += 1;
                seen < stop_after
            });
            scanned.unwrap();
            assert_eq!(seen, stop_after);
        }
    }
}
