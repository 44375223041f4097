//! The state of a member, shared by the tasks that apply, answer, and back up.
//!
//! Readers get the whole state (a cheap clone of an `Arc`). The last commands are kept for
//! followers: watchers take their changes, the backup takes the commands. A follower further behind
//! takes the whole state.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use coterie_protocol::catalog::Change;
use coterie_protocol::meta::{Command, Outcome};
use coterie_types::{LogIndex, Revision};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::snapshot::Snapshot;

/// Commands that are kept, at most, and bytes of them.
const RECENT_MAX: usize = 4096;
const RECENT_BYTES_MAX: usize = 16 << 20;

/// A command that was applied.
#[derive(Debug, Clone)]
pub(crate) struct Recent {
    /// Its log index.
    pub(crate) index: LogIndex,
    /// The revision after it.
    pub(crate) revision: Revision,
    /// Its bytes in the log.
    pub(crate) command: Bytes,
    /// The change that it made.
    pub(crate) change: Option<Arc<Change>>,
}

/// Position of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    /// The last command applied.
    pub(crate) index: LogIndex,
    /// The catalog's revision.
    pub(crate) revision: Revision,
}

/// News since a position.
pub(crate) enum News<T> {
    /// All items in order, none missing.
    Items(Vec<T>),
    /// Too far behind: the whole current state.
    Whole(Arc<Snapshot>),
}

/// See the module's head.
pub(crate) struct Held {
    history: Mutex<History>,
    position: watch::Sender<Position>,
}

struct History {
    snapshot: Arc<Snapshot>,
    recent: VecDeque<Recent>,
    recent_bytes: usize,
    /// The last command that is not in `recent` any more.
    forgotten: Position,
}

impl Held {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        let position = position(&snapshot);
        Self {
            history: Mutex::new(History {
                snapshot: Arc::new(snapshot),
                recent: VecDeque::new(),
                recent_bytes: 0,
                forgotten: position,
            }),
            position: watch::Sender::new(position),
        }
    }

    /// The whole current state.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.lock().snapshot)
    }

    /// Notifies after each applied batch.
    pub(crate) fn positions(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    /// Applies commands in order; returns the outcome of each.
    pub(crate) fn apply(
        &self,
        commands: Vec<(LogIndex, Bytes, Command)>,
        applied: Bytes,
    ) -> Vec<Outcome> {
        let mut history = self.lock();
        let mut outcomes = Vec::with_capacity(commands.len());
        // A copy is made only while a reader holds the previous state.
        let mut snapshot = Arc::clone(&history.snapshot);
        history.snapshot = Arc::default();
        let held = Arc::make_mut(&mut snapshot);
        for (index, bytes, command) in commands {
            let before = held.state.catalog.revision;
            let applied = held.state.apply(command);
            held.index = index;
            let revision = held.state.catalog.revision;
            if applied.change.is_none() && revision != before {
                history.forget_all(Position { index, revision });
            } else {
                history.remember(Recent {
                    index,
                    revision,
                    command: bytes,
                    change: applied.change.map(Arc::new),
                });
            }
            outcomes.push(applied.outcome);
        }
        held.applied = Some(applied);
        let position = position(held);
        history.snapshot = snapshot;
        drop(history);
        self.position.send_replace(position);
        outcomes
    }

    /// Replaces the whole state.
    pub(crate) fn install(&self, snapshot: Snapshot) {
        let position = position(&snapshot);
        let mut history = self.lock();
        history.snapshot = Arc::new(snapshot);
        history.forget_all(position);
        drop(history);
        self.position.send_replace(position);
    }

    /// The changes after a revision, for a watcher.
    pub(crate) fn changes_after(&self, after: Revision) -> News<Arc<Change>> {
        let history = self.lock();
        if after < history.forgotten.revision || after == Revision(0) {
            return News::Whole(Arc::clone(&history.snapshot));
        }
        let later = history.recent.iter().filter(|r| r.revision > after);
        News::Items(later.filter_map(|r| r.change.clone()).collect())
    }

    /// The commands after an entry, for the backup.
    pub(crate) fn commands_after(&self, after: LogIndex) -> News<Recent> {
        let history = self.lock();
        if after < history.forgotten.index {
            return News::Whole(Arc::clone(&history.snapshot));
        }
        let later = history.recent.iter().filter(|r| r.index > after);
        News::Items(later.cloned().collect())
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock()
    }
}

impl History {
    fn remember(&mut self, recent: Recent) {
        self.recent_bytes += recent.command.len();
        self.recent.push_back(recent);
        while self.recent.len() > RECENT_MAX || self.recent_bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.recent.pop_front() else {
                return;
            };
            self.recent_bytes -= oldest.command.len();
            self.forgotten = Position {
                index: oldest.index,
                revision: oldest.revision,
            };
        }
    }

    fn forget_all(&mut self, position: Position) {
        self.recent.clear();
        self.recent_bytes = 0;
        self.forgotten = position;
    }
}

fn position(snapshot: &Snapshot) -> Position {
    Position {
        index: snapshot.index,
        revision: snapshot.state.catalog.revision,
    }
}

#[cfg(test)]
mod tests {
    use coterie_protocol::encode;

    use super::*;

    fn setting(value: usize) -> Command {
        Command::PutSetting {
            name: "a".into(),
            value: Some(value.to_string()),
        }
    }

    fn apply(held: &Held, index: u64, command: Command) {
        let commands = vec![(LogIndex(index), encode(&command), command)];
        held.apply(commands, Bytes::new());
    }

    #[test]
    fn followers_get_what_is_new_or_the_whole() {
        let held = Held::new(Snapshot::default());
        apply(&held, 2, Command::Birth { cluster_id: 7 });
        apply(&held, 4, setting(0));
        let News::Items(changes) = held.changes_after(Revision(1)) else {
            panic!("the whole");
        };
        assert_eq!(changes.len(), 1);
        assert!(matches!(held.changes_after(Revision(0)), News::Whole(_)));
        let News::Items(commands) = held.commands_after(LogIndex(0)) else {
            panic!("the whole");
        };
        assert_eq!(commands.len(), 2);
        for number in 0..RECENT_MAX {
            apply(&held, 5 + number as u64, setting(number + 1));
        }
        assert!(matches!(held.changes_after(Revision(1)), News::Whole(_)));
        assert!(matches!(held.commands_after(LogIndex(3)), News::Whole(_)));
        let News::Items(changes) = held.changes_after(Revision(2)) else {
            panic!("the whole");
        };
        assert_eq!(changes.len(), RECENT_MAX);
        assert_eq!(*held.positions().borrow(), position(&held.snapshot()));
    }
}
