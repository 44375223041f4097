//! The keys of an interval as the entry sees them: the view's, with its changes laid over them.

use coterie_types::KeyRange;

use super::Txn;
use crate::{Fault, Header, Record};

impl Txn<'_> {
    /// Visits the stored keys of an interval in order, expired ones included, until `visit` returns
    /// false: the view's, with this entry's changes laid over them. No value is read.
    pub fn scan_keys(
        &self,
        bounds: &KeyRange,
        visit: &mut dyn FnMut(&[u8], Header) -> bool,
    ) -> Result<(), Fault> {
        let table = bounds.table;
        let mut changed = self
            .overlay
            .range((table, bounds.start.clone())..)
            .take_while(|((t, key), _)| bounds.contains(*t, key))
            .map(|((_, key), record)| (key, record.as_ref().map(Record::header)))
            .peekable();
        let mut go_on = true;
        self.view.scan_keys(bounds, &mut |key, header| {
            while go_on && let Some((k, changed)) = changed.next_if(|(k, _)| **k < *key) {
                go_on = changed.is_none_or(|header| visit(k, header));
            }
            if !go_on {
                return false;
            }
            let visible = match changed.next_if(|(k, _)| **k == *key) {
                Some((_, changed)) => changed,
                None => (!self.is_cleared(table, key)).then_some(header),
            };
            go_on = visible.is_none_or(|header| visit(key, header));
            go_on
        })?;
        while go_on && let Some((key, header)) = changed.next() {
            go_on = header.is_none_or(|header| visit(key, header));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use bytes::Bytes;

    use super::*;
    use crate::txn::tests::{T, b, ctx, view_of};

    fn keys(txn: &Txn<'_>) -> Vec<Bytes> {
        let mut keys = Vec::new();
        txn.scan_keys(&KeyRange::all(T), &mut |key, _| {
            keys.push(Bytes::copy_from_slice(key));
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
            let scanned = txn.scan_keys(&KeyRange::all(T), &mut |_, _| {
                seen += 1;
                seen < stop_after
            });
            scanned.unwrap();
            assert_eq!(seen, stop_after);
        }
    }
}
