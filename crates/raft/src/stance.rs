//! The stance of a replica in its group: whether it leads, and whether it should.
//!
//! A leader asks its heir for it before it stops anything (`hand_over`); a follower asks a leader
//! that has gone silent (`campaign`). The replica itself enforces the binding reasons (the restart
//! fence, promises of a deleted log) against every request (`receive`); the rest is advice.

use coterie_protocol::server::Unfit;
use coterie_types::{LogIndex, Term};
use serde::{Deserialize, Serialize};

use crate::group::{Group, OpenGroup};
use crate::part::Part;

/// The stance of a replica, as it reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stance {
    pub(crate) term: Term,
    pub(crate) leads: bool,
    pub(crate) applied_index: LogIndex,
    /// Why it should not lead, if so.
    pub(crate) unfit: Option<Unfit>,
}

impl OpenGroup {
    pub(crate) fn stance(&self) -> Stance {
        let status = Group::status_of(self);
        Stance {
            term: status.term,
            leads: status.is_leader,
            applied_index: status.applied_index,
            unfit: self.unfit(),
        }
    }

    /// Why this replica must neither vote nor campaign, if so.
    pub(crate) fn bound(&self) -> Option<Unfit> {
        if self.fence.is_closed() {
            // The promises of an earlier process are not known (see `fence`).
            Some(Unfit::Restarted)
        } else if self.log.is_short_of_promises() {
            // Votes given for entries that are lost would be given a second time.
            Some(Unfit::MadeAgain)
        } else if self.part() != Part::Full {
            Some(Unfit::OnlyFollows)
        } else {
            None
        }
    }

    /// Why this replica must not or should not lead, if so.
    pub(crate) fn unfit(&self) -> Option<Unfit> {
        let stopping = self.stopping.is_set().then_some(Unfit::Stopping);
        let no_room = || self.network.rooms.is_scarce().then_some(Unfit::NoRoom);
        self.bound().or(stopping).or_else(no_room)
    }
}

impl Group {
    /// Why this replica should not lead now, if so.
    #[must_use]
    pub fn unfit(&self) -> Option<Unfit> {
        self.0.unfit()
    }
}
