//! Walks over intervals of keys, and their removal: only for commands that declare an interval.

use coterie_types::KeyRange;

use super::Txn;
use super::state::State;
use crate::{CommandError, EvalError, Fault, Header, Record};

impl Txn<'_> {
    /// Visits the stored keys of an interval in order, expired ones included, until `visit` returns
    /// false. No value is read. Errors: `UNDECLARED_KEY`.
    pub fn scan_keys(
        &self,
        bounds: &KeyRange,
        visit: &mut dyn FnMut(&[u8], Header) -> bool,
    ) -> Result<(), EvalError> {
        self.scope.check_interval(bounds)?;
        Ok(self.state.scan_keys(bounds, visit)?)
    }

    /// Visits the keys of an interval and says of each whether it is there to commands. Errors:
    /// `UNDECLARED_KEY`.
    pub(crate) fn scan_live(
        &mut self,
        bounds: &KeyRange,
        visit: &mut dyn FnMut(&[u8], Header, bool) -> bool,
    ) -> Result<(), EvalError> {
        let clock = self.state.clock();
        let mut needs_tick = false;
        self.scan_keys(bounds, &mut |key, header| {
            needs_tick |= clock.is_unsure(header);
            visit(key, header, clock.is_live(header))
        })?;
        self.state.needs_tick |= needs_tick;
        Ok(())
    }

    /// Removes every key of an interval. Errors: `UNDECLARED_KEY`.
    pub fn clear(&mut self, bounds: KeyRange) -> Result<(), CommandError> {
        self.scope.check_interval(&bounds)?;
        self.state.clear(bounds);
        Ok(())
    }
}

impl State<'_> {
    /// The view's keys, with the entry's changes laid over them.
    fn scan_keys(
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
        txn.remove(b("c")).unwrap();
        txn.put_string(b("b"), b("new"), None).unwrap();
        txn.put_string(b("f"), b("new"), None).unwrap();
        assert_eq!(keys(&txn), ["a", "b", "e", "f"]);
        assert!(txn.record(&b("c")).unwrap().is_none());
        txn.clear(KeyRange {
            table: T,
            start: b("b"),
            end: Some(b("f")),
        })
        .unwrap();
        txn.put_string(b("d"), b("new"), None).unwrap();
        assert_eq!(keys(&txn), ["a", "d", "f"]);
        let changes = txn.finish().unwrap();
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
        txn.put_string(b("b"), b("new"), None).unwrap();
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
