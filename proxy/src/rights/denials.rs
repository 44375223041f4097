//! `ACL LOG`: commands that were denied, and failed authentications; newest first, bounded in
//! number and in bytes (Redis `acl.c`, `addACLLogEntry`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use coterie_redis_compat::acl::Reason;
use parking_lot::{Mutex, MutexGuard};

/// Denials that are alike and so close in time share an entry.
const ALIKE_WITHIN: Duration = Duration::from_secs(60);
/// The newest entries among which an entry that is alike is looked for.
const LOOKED_AT: usize = 10;
/// Bytes of a name that are kept.
const NAME_BYTES_MAX: usize = 1024;

/// The kind of a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Command,
    Key,
    Channel,
    Auth,
}

/// Where the command came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Context {
    Toplevel,
    Multi,
}

/// A denial.
#[derive(Debug, Clone)]
pub(crate) struct Denied {
    pub(crate) what: What,
    pub(crate) context: Context,
    /// The command, the key or the channel.
    pub(crate) object: Bytes,
    pub(crate) user: Bytes,
    /// The client as `CLIENT LIST` shows it.
    pub(crate) client: Bytes,
}

/// An entry of the log.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) count: u64,
    pub(crate) last: Denied,
    pub(crate) created: SystemTime,
    pub(crate) updated: SystemTime,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Denials {
    entries: Mutex<Entries>,
    pub(crate) len_max: AtomicU64,
}

#[derive(Debug, Default)]
struct Entries {
    next_id: u64,
    newest_first: VecDeque<Entry>,
}

impl From<Reason> for What {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Command => What::Command,
            Reason::Key => What::Key,
            Reason::Channel => What::Channel,
        }
    }
}

impl What {
    pub(crate) fn word(self) -> &'static str {
        match self {
            What::Command => "command",
            What::Key => "key",
            What::Channel => "channel",
            What::Auth => "auth",
        }
    }
}

impl Context {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Context::Toplevel => "toplevel",
            Context::Multi => "multi",
        }
    }
}

impl Denied {
    fn is_alike(&self, other: &Self) -> bool {
        let of = |denied: &Self| (denied.what, denied.context);
        of(self) == of(other) && self.object == other.object && self.user == other.user
    }
}

impl Denials {
    pub(crate) fn new(len_max: u64) -> Self {
        Self {
            entries: Mutex::default(),
            len_max: len_max.into(),
        }
    }

    /// Adds a denial.
    pub(crate) fn add(&self, mut denied: Denied, now: SystemTime) {
        // Copies: slices would keep read buffers in memory.
        denied.object = cut(&denied.object);
        denied.user = cut(&denied.user);
        let mut entries = self.lock();
        let is_alike = |entry: &Entry| {
            let age = now.duration_since(entry.updated).unwrap_or_default();
            age <= ALIKE_WITHIN && entry.last.is_alike(&denied)
        };
        let mut newest = entries.newest_first.iter().take(LOOKED_AT);
        let found = newest.position(is_alike);
        let entry = match found.and_then(|at| entries.newest_first.remove(at)) {
            Some(entry) => Entry {
                count: entry.count + 1,
                last: denied,
                updated: now,
                ..entry
            },
            None => {
                let id = entries.next_id;
                entries.next_id += 1;
                Entry {
                    id,
                    count: 1,
                    last: denied,
                    created: now,
                    updated: now,
                }
            }
        };
        entries.newest_first.push_front(entry);
        let len_max = self.len_max.load(Ordering::Relaxed);
        let len_max = usize::try_from(len_max).unwrap_or(usize::MAX);
        entries.newest_first.truncate(len_max);
    }

    /// The newest entries.
    pub(crate) fn newest(&self, count: usize) -> Vec<Entry> {
        let entries = self.lock();
        entries.newest_first.iter().take(count).cloned().collect()
    }

    /// Forgets all.
    pub(crate) fn reset(&self) {
        self.lock().newest_first.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock()
    }
}

fn cut(name: &Bytes) -> Bytes {
    Bytes::copy_from_slice(&name[..name.len().min(NAME_BYTES_MAX)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(object: &'static str) -> Denied {
        Denied {
            what: What::Key,
            context: Context::Toplevel,
            object: Bytes::from_static(object.as_bytes()),
            user: Bytes::from_static(b"alice"),
            client: Bytes::new(),
        }
    }

    fn shown(denials: &Denials) -> Vec<(u64, u64, usize)> {
        let entries = denials.newest(100);
        let shown = |entry: &Entry| (entry.id, entry.count, entry.last.object.len());
        entries.iter().map(shown).collect()
    }

    #[test]
    fn denials_that_are_alike_share_an_entry_for_a_minute() {
        let denials = Denials::new(128);
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        denials.add(denied("a"), at(0));
        denials.add(denied("bb"), at(10));
        denials.add(denied("a"), at(60));
        assert_eq!(shown(&denials), [(0, 2, 1), (1, 1, 2)]);
        denials.add(denied("a"), at(121));
        assert_eq!(shown(&denials), [(2, 1, 1), (0, 2, 1), (1, 1, 2)]);
        denials.reset();
        assert_eq!(shown(&denials), []);
    }

    #[test]
    fn the_log_is_bounded() {
        let denials = Denials::new(3);
        let long = "x".repeat(5000).leak();
        for at in 0..10 {
            denials.add(denied(&long[at..]), SystemTime::UNIX_EPOCH);
        }
        // All of them are cut to the same name.
        assert_eq!(shown(&denials), [(0, 10, NAME_BYTES_MAX)]);
        for at in 0..10 {
            denials.add(denied(&long[..at]), SystemTime::UNIX_EPOCH);
        }
        assert_eq!(shown(&denials), [(10, 1, 9), (9, 1, 8), (8, 1, 7)]);
    }
}
