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

use coterie_types::{NodeId, Term};

use crate::error::RaftError;
use crate::group::{Group, Inner};
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

impl Inner {
    pub(crate) fn part(&self) -> Part {
        *self.part.borrow()
    }
}

impl Group {
    /// How far this replica takes part.
    #[must_use]
    pub fn part(&self) -> Part {
        self.0.part()
    }

    /// From now on, and after a restart, this replica only follows leaders of `term` or later.
    ///
    /// The caller guarantees: every majority that this node may have been part of includes another
    /// voter that reported, after this process had been up for a lease, that it had promised
    /// nothing in a term later than `term`. The wait covers votes in flight and leases that the
    /// node gave before it lost its disk.
    pub async fn follow_from(&self, term: Term) -> Result<(), RaftError> {
        self.0.log.set_joining(Some(term.0)).await?;
        self.0.part.send_replace(Part::Follows(term));
        Ok(())
    }

    /// From now on this replica takes part in full. A replica that only follows must first have
    /// applied every entry that a leader it may follow had since it began to follow.
    pub async fn take_part(&self) -> Result<(), RaftError> {
        if self.0.log.joining().is_some() {
            self.0.log.set_joining(None).await?;
        }
        if self.0.log.tail() != TailState::Sound {
            self.0.log.set_tail(TailState::Sound).await?;
        }
        self.0.part.send_replace(Part::Full);
        Ok(())
    }

    /// The highest term in which this replica has durably promised anything: 0 before the first.
    #[must_use]
    pub fn promised_term(&self) -> Term {
        self.0.log.promised_term()
    }

    /// Announces that a voter has lost its log, so that it is sent the whole log again; does
    /// nothing unless this replica leads. Must be called before the voter takes anything: openraft
    /// considers a log that became shorter a bug, and never repairs it.
    pub async fn expect_empty(&self, node: NodeId) -> Result<(), RaftError> {
        let trigger = self.0.raft.trigger();
        let told = trigger.allow_next_revert(&node.0, true).await;
        // The inner error: this replica does not lead, or there is no voter with this id.
        told.map(drop)
            .map_err(|fatal| RaftError::raft("expect an empty log", fatal))
    }
}
