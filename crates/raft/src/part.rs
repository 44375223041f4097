//! How far a replica takes part in its group: one that has lost its disk does not act for what was
//! there.
//!
//! A node of which nothing is left on disk, and which comes back under its old id, has forgotten
//! whom it voted for and what it acknowledged. Were it to vote, a leader could be elected that lacks
//! entries which it had acknowledged; were it to take entries from just any leader, one that it had
//! helped to depose could commit beside its successor. So such a replica first takes part in
//! nothing. Its owner asks the others for the highest term that they promised anything in, so many of
//! them that none of the elections the replica voted in is missing, and lets it follow leaders from
//! that term on: what it acknowledges then is true. When it has all that the leader had after that,
//! it has all that was ever committed with its help, and takes part in everything again.
//!
//! That it only follows is kept in the log, by the log's one writer: so it is forgotten neither before
//! an entry that was taken, nor later than the entries it is to be forgotten with. Callers: `meta`,
//! whose members keep their ids. A server with an empty disk is another node.

use coterie_types::{NodeId, Term};

use crate::error::RaftError;
use crate::group::{Group, Inner};
use crate::log::{GroupLog, TailState};

/// See the module's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// In nothing: it refuses what others of its group ask.
    Nothing,
    /// It takes entries and snapshots from leaders of this term and of later ones, and acknowledges
    /// them. It neither votes nor campaigns.
    Follows(Term),
    /// In everything.
    Full,
}

impl Part {
    /// That of a replica with this log; of one that has none, `if_new`.
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

    /// From now on, and after a restart, this replica follows leaders of `term` and later ones, and
    /// no more than that.
    ///
    /// Of so many other voters as every majority without this node has one among, none had promised
    /// anything in a later term, as they said when this process had been up for one lease: so long
    /// may votes be under way, and leases last, that the node gave before it lost its disk.
    pub async fn follow_from(&self, term: Term) -> Result<(), RaftError> {
        self.0.log.set_joining(Some(term.0)).await?;
        self.0.part.send_replace(Part::Follows(term));
        Ok(())
    }

    /// This replica takes part in everything from now on. One that follows must have applied all
    /// that a leader it may follow had since then.
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

    /// The highest term in which this replica has promised anything, durably: 0 before the first.
    #[must_use]
    pub fn promised_term(&self) -> Term {
        self.0.log.promised_term()
    }

    /// Says that a voter has lost its log, so that it is sent all of it again; does nothing unless
    /// this replica leads. To be said before the voter takes anything: openraft takes a log that
    /// became shorter for a fault of the program, and never mends it.
    pub async fn expect_empty(&self, node: NodeId) -> Result<(), RaftError> {
        let trigger = self.0.raft.trigger();
        let told = trigger.allow_next_revert(&node.0, true).await;
        // The inner error: it does not lead, or there is no such voter.
        told.map(drop)
            .map_err(|fatal| RaftError::raft("expect an empty log", fatal))
    }
}
