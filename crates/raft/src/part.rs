//! How far a replica takes part in its group: a replica that has lost its disk must not act as if
//! it still had its state.
//!
//! A node that lost its disk and comes back under its old id has forgotten its votes and
//! acknowledgements. If it voted, a leader could be elected that lacks entries which the node had
//! acknowledged. If it took entries from any leader, a leader that it had helped to depose could
//! commit beside its successor. So the replica first takes part in nothing. The owner asks enough
//! voters for the highest term in which they voted or acknowledged that every quorum this replica
//! may have belonged to is represented. From then on it follows leaders of that term or later, so
//! whatever it acknowledges is in its log. When it has every entry that the leader had at that
//! time, it has every entry that was ever committed with its help, and takes part in full again.
//!
//! The state *only follows* is kept in the log, by the log's only writer, and so is ordered with
//! the entries: it cannot be lost while an entry accepted under it survives, nor outlive the
//! entries that end it. Callers: `meta`, whose members keep their ids. A server with an empty disk
//! becomes another node.

use coterie_types::Term;

use crate::log::{GroupLog, TailState};

/// How far a replica takes part; see the module's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// In nothing: it refuses the requests of its group.
    Nothing,
    /// It takes entries and snapshots from leaders of this term or later, and acknowledges them. It
    /// neither votes nor campaigns.
    Follows(Term),
    /// In everything.
    Full,
}

impl Part {
    /// The part of a replica with this log; `if_new` for a replica without a log.
    pub(crate) fn of(log: &GroupLog, if_new: Self) -> Self {
        match (log.tail(), log.joining()) {
            (TailState::Lost, _) => Self::Nothing,
            (TailState::Follows(term), joining) => {
                Self::Follows(Term(joining.map_or(term, |joining| joining.max(term))))
            }
            (TailState::Sound, Some(term)) => Self::Follows(Term(term)),
            (TailState::Sound, None) if log.is_pristine() => if_new,
            (TailState::Sound, None) => Self::Full,
        }
    }

    /// Refuses a leader's message that this replica must not take.
    pub(crate) fn check_leader(self, term: u64) -> Result<(), String> {
        match self {
            Self::Full => Ok(()),
            Self::Follows(from) if term >= from.0 => Ok(()),
            Self::Follows(from) => Err(format!("its log is lost: no leader before term {from}")),
            Self::Nothing => Err("it does not take part yet: it may have lost its log".to_owned()),
        }
    }
}
