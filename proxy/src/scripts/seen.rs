//! The scripts that came by EVAL through this proxy: the last of them, bounded in number and bytes.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

/// Scripts that are remembered, at most, and their bytes.
const SCRIPTS_MAX: usize = 1000;
const BYTES_MAX: usize = 16 << 20;

/// See the module's head. All are forgotten when meta's mark of SCRIPT FLUSH changes.
#[derive(Debug, Default)]
pub(super) struct Seen {
    scripts: HashMap<String, Script>,
    /// By the time of their last use.
    order: BTreeMap<u64, String>,
    uses: u64,
    bytes: usize,
    flushed: Option<Bytes>,
}

#[derive(Debug)]
struct Script {
    body: Bytes,
    used: u64,
}

impl Seen {
    /// Remembers a script; returns whether it is new.
    pub(super) fn saw(&mut self, sha1: &str, body: &Bytes, flushed: Option<&Bytes>) -> bool {
        self.follow(flushed);
        if self.touch(sha1).is_some() {
            return false;
        }
        if body.len() > BYTES_MAX {
            return true;
        }
        self.uses += 1;
        self.bytes += body.len();
        self.order.insert(self.uses, sha1.to_owned());
        // A copy, so that it does not keep the buffer it was read into.
        let body = Bytes::copy_from_slice(body);
        let used = self.uses;
        self.scripts.insert(sha1.to_owned(), Script { body, used });
        while self.scripts.len() > SCRIPTS_MAX || self.bytes > BYTES_MAX {
            let Some((_, oldest)) = self.order.pop_first() else {
                break;
            };
            if let Some(script) = self.scripts.remove(&oldest) {
                self.bytes -= script.body.len();
            }
        }
        true
    }

    /// The body of a script.
    pub(super) fn body(&mut self, sha1: &[u8], flushed: Option<&Bytes>) -> Option<Bytes> {
        self.follow(flushed);
        self.touch(std::str::from_utf8(sha1).ok()?)
    }

    /// How many there are that are not stored, and their bytes.
    pub(super) fn counts(
        &mut self,
        flushed: Option<&Bytes>,
        is_stored: impl Fn(&str) -> bool,
    ) -> (usize, usize) {
        self.follow(flushed);
        let others = self.scripts.iter().filter(|(sha1, _)| !is_stored(sha1));
        others.fold((0, 0), |(count, bytes), (_, script)| {
            (count + 1, bytes + script.body.len())
        })
    }

    fn touch(&mut self, sha1: &str) -> Option<Bytes> {
        let script = self.scripts.get_mut(sha1)?;
        if script.used != self.uses {
            self.uses += 1;
            if let Some(sha1) = self.order.remove(&script.used) {
                self.order.insert(self.uses, sha1);
            }
            script.used = self.uses;
        }
        Some(script.body.clone())
    }

    fn follow(&mut self, flushed: Option<&Bytes>) {
        if self.flushed.as_ref() != flushed {
            *self = Self {
                flushed: flushed.cloned(),
                ..Self::default()
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_that_was_used_longest_ago_makes_room() {
        let mut seen = Seen::default();
        let body = Bytes::from_static(b"return 1");
        for at in 0..SCRIPTS_MAX {
            assert!(seen.saw(&at.to_string(), &body, None));
        }
        assert!(!seen.saw("0", &body, None), "used again");
        assert!(seen.saw("new", &body, None));
        assert_eq!(seen.body(b"0", None), Some(body.clone()));
        assert_eq!(seen.body(b"1", None), None);
        assert_eq!(seen.counts(None, |_| false), (SCRIPTS_MAX, 8 * SCRIPTS_MAX));
        let large = Bytes::from(vec![b' '; BYTES_MAX]);
        assert!(seen.saw("large", &large, None));
        assert_eq!(seen.counts(None, |_| false), (1, BYTES_MAX));
    }

    #[test]
    fn a_flush_anywhere_forgets_all() {
        let mut seen = Seen::default();
        let body = Bytes::from_static(b"return 1");
        assert!(seen.saw("a", &body, None));
        let mark = Bytes::from_static(b"mark");
        assert_eq!(seen.body(b"a", Some(&mark)), None);
        assert!(seen.saw("a", &body, Some(&mark)));
        assert_eq!(seen.body(b"a", Some(&mark)), Some(body));
    }
}
