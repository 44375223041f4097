//! Changes of a replica's part in its group; see `part`.

use coterie_types::{NodeId, Term};

use crate::error::RaftError;
use crate::group::{Group, OpenGroup};
use crate::log::TailState;
use crate::part::Part;

impl OpenGroup {
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
