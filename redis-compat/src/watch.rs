//! `WATCH` tokens: the state of a key that a connection remembers, and whether it still holds at
//! `EXEC`.
//!
//! A token is the group and its change counter at the time (two varints), then nothing if the key
//! was absent, else the record's version (two varints). A key that was there must have the same
//! version, whichever group has it by now. A key that was absent must be absent, and nothing of its
//! hash slot may have been removed since: it could have been this key, created and removed again.
//! Counters of two groups cannot be compared, so a key that was absent and has moved counts as
//! touched: `EXEC` fails in vain rather than passing in vain.

use bytes::{Bytes, BytesMut};
use coterie_types::{GroupId, TableId, Version, varint};

use crate::command::{Command, Part, Topic, command};
use crate::{Args, EvalError, Fault, Flags as F, KeyFlags as K, Reply, Txn};

pub(crate) const PART: Part = Part::new(&[WATCH], &[]);

const WATCH: Command = command(Topic::Coterie, "_watch")
    .syntax("key")
    .flags(F::INTERNAL_READ)
    .keys(&[K::RO.at(1)])
    .runs(watch)
    .shown_as("WATCH")
    .docs("0.1.0", "O(1)", "Returns the token of a key for WATCH.");

/// `_WATCH key`: the token. Reads a key, O(1).
fn watch(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let value = txn.value(args.bytes(1))?;
    let mut token = BytesMut::new();
    varint::put(&mut token, txn.group().0);
    varint::put(&mut token, txn.next_change());
    if let Some(version) = value.map(|value| value.version()) {
        varint::put(&mut token, version.group.0);
        varint::put(&mut token, version.change);
    }
    Ok(Reply::Bulk(token.freeze()))
}

/// Whether a watched key is as it was. A token that no version of Coterie wrote does not hold.
///
/// `last_removed` is the greatest [`crate::Removal::touched`] of the keys of the same hash slot,
/// and [`crate::Changes::cleared`], of all entries before this one; 0 if nothing was removed. What
/// this entry has removed so far, the transaction knows itself.
pub fn watch_token_holds(
    txn: &mut Txn<'_>,
    table: TableId,
    key: &Bytes,
    token: &[u8],
    last_removed: u64,
) -> Result<bool, Fault> {
    let mut rest = token;
    let (Some(group), Some(counter)) = (varint::take(&mut rest), varint::take(&mut rest)) else {
        return Ok(false);
    };
    if rest.is_empty() {
        let last_removed = last_removed.max(txn.last_removed(table, key));
        if GroupId(group) != txn.group() || last_removed > counter {
            return Ok(false);
        }
        // Created since and expired already: not there, and yet touched.
        let watched = txn.watched(table, key)?;
        let touched = watched
            .stored
            .is_some_and(|version| version.change >= counter && version.group == txn.group());
        return Ok(!touched && watched.live.is_none());
    }
    let (Some(group), Some(change)) = (varint::take(&mut rest), varint::take(&mut rest)) else {
        return Ok(false);
    };
    let version = Version {
        group: GroupId(group),
        change,
    };
    Ok(rest.is_empty() && txn.watched(table, key)?.live == Some(version))
}

#[cfg(test)]
mod tests {
    use coterie_types::UnixMillis;

    use super::*;
    use crate::{Changes, Context, MemView, Resolved, Resp, execute};

    const T: TableId = TableId(0);

    /// A group with a single replica, as far as watching needs it.
    #[derive(Default)]
    struct Store {
        view: MemView,
        now: u64,
        next_change: u64,
        last_removed: u64,
    }

    impl Store {
        fn txn<R>(&mut self, with: impl FnOnce(&mut Txn<'_>) -> R) -> R {
            let ctx = Context {
                group: GroupId(1),
                now: UnixMillis(self.now),
                read_now: None,
                seed: 0,
                next_change: self.next_change,
            };
            let mut txn = Txn::new(&self.view, ctx);
            let result = with(&mut txn);
            let changes: Changes = txn.finish().unwrap();
            self.view.apply(&changes);
            // All keys share a hash slot.
            let removals = changes.removals.iter().map(|removal| removal.touched);
            let last_removed = removals.chain([self.last_removed, changes.cleared]).max();
            self.last_removed = last_removed.unwrap_or(0);
            self.next_change = changes.next_change;
            result
        }

        fn run(&mut self, line: &str) -> Bytes {
            let args: Vec<_> = line
                .split(' ')
                .map(|w| Bytes::copy_from_slice(w.as_bytes()))
                .collect();
            let mut out = BytesMut::new();
            self.txn(|txn| execute(txn, &Resolved::new(T, args), Resp::V2, &mut out))
                .unwrap();
            out.freeze()
        }

        fn watch(&mut self, key: &'static str) -> Bytes {
            let words = [
                Bytes::from_static(b"_watch"),
                Bytes::from_static(key.as_bytes()),
            ];
            let reply = self
                .txn(|txn| watch(txn, &Args::new(&words, "_watch")))
                .unwrap();
            let Reply::Bulk(token) = reply else {
                panic!("no token")
            };
            token
        }

        fn holds(&mut self, key: &'static str, token: &Bytes) -> bool {
            let (key, last_removed) = (Bytes::from_static(key.as_bytes()), self.last_removed);
            self.txn(|txn| watch_token_holds(txn, T, &key, token, last_removed))
                .unwrap()
        }
    }

    #[test]
    fn a_present_key_holds_until_it_is_changed() {
        let mut store = Store::default();
        store.run("set k 1");
        let token = store.watch("k");
        store.run("get k");
        store.run("set other 1");
        assert!(store.holds("k", &token));
        store.run("set k 1");
        assert!(!store.holds("k", &token), "the same value is a change too");
    }

    #[test]
    fn an_absent_key_holds_until_it_was_there() {
        let mut store = Store::default();
        store.run("set k 1");
        store.run("del k");
        let token = store.watch("k");
        assert!(store.holds("k", &token), "removed before it was watched");
        store.run("set k 1");
        assert!(!store.holds("k", &token));
        store.run("del k");
        assert!(!store.holds("k", &token), "created and removed again");
    }

    #[test]
    fn removals_of_the_same_entry_count() {
        let mut store = Store::default();
        let token = store.watch("k");
        let (key, last_removed) = (Bytes::from_static(b"k"), store.last_removed);
        let words = |line: &str| -> Vec<_> {
            line.split(' ')
                .map(|w| Bytes::copy_from_slice(w.as_bytes()))
                .collect()
        };
        for removal in ["del k", "_flush a z"] {
            let holds = store.txn(|txn| {
                let mut out = BytesMut::new();
                execute(txn, &Resolved::new(T, words("set k 1")), Resp::V2, &mut out)?;
                execute(txn, &Resolved::new(T, words(removal)), Resp::V2, &mut out)?;
                watch_token_holds(txn, T, &key, &token, last_removed)
            });
            assert!(!holds.unwrap(), "{removal}");
        }
    }

    #[test]
    fn what_was_removed_before_the_token_in_the_same_entry_does_not_count() {
        for removal in ["del k", "_flush a z"] {
            let mut store = Store::default();
            store.run("set k 1");
            let words = |line: &str| -> Vec<_> {
                line.split(' ')
                    .map(|w| Bytes::copy_from_slice(w.as_bytes()))
                    .collect()
            };
            // As a pipeline's commands may share a frame, and frames an entry.
            let token = store.txn(|txn| {
                let mut out = BytesMut::new();
                execute(txn, &Resolved::new(T, words(removal)), Resp::V2, &mut out).unwrap();
                let asked = words("_watch k");
                let token = watch(txn, &Args::new(&asked, "_watch")).unwrap();
                execute(
                    txn,
                    &Resolved::new(T, words("set other 1")),
                    Resp::V2,
                    &mut out,
                )
                .unwrap();
                token
            });
            let Reply::Bulk(token) = token else {
                panic!("no token")
            };
            assert!(store.holds("k", &token), "{removal}");
            store.run("set k 1");
            store.run("del k");
            assert!(!store.holds("k", &token), "{removal}");
        }
    }

    #[test]
    fn a_sweep_counts_for_those_who_never_saw_the_key() {
        let mut store = Store::default();
        let absent = store.watch("k");
        store.run("set k 1 px 10");
        store.now = 20;
        let expired = store.watch("k");
        store.run("set other 1");
        store.run("_expired k");
        assert!(!store.holds("k", &absent), "created, expired and swept");
        assert!(store.holds("k", &expired), "expired before it was watched");
    }

    #[test]
    fn expiry_counts_as_a_touch() {
        let mut store = Store::default();
        store.run("set k 1 px 10");
        let present = store.watch("k");
        let absent = store.watch("other");
        assert!(store.holds("k", &present));
        store.run("set other 1 px 10");
        store.now = 20;
        assert!(!store.holds("k", &present), "expired since");
        assert!(!store.holds("other", &absent), "created and expired since");
        let token = store.watch("k");
        assert!(store.holds("k", &token), "expired before it was watched");
    }

    #[test]
    fn tokens_of_strangers_do_not_hold() {
        let mut store = Store::default();
        for token in [
            &b""[..],
            b"\xff",
            b"\x01",
            b"\x01\x01\x01",
            b"\x01\x01\x01\x01\x01",
        ] {
            assert!(!store.holds("k", &Bytes::copy_from_slice(token)));
        }
    }
}
