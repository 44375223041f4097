//! The command that holds up all later commands of its connection, if there is any.
//!
//! `begin`, `run` and `exec` choose the mode, `connection` drives it.

use std::sync::Arc;

use bytes::Bytes;
use coterie_redis_compat::{CommandError, Reply};
use futures_util::future::BoxFuture;

use super::call::Call;
use super::finishing::Asked;

/// Whether commands begin as they come. In every mode but [`Mode::Normal`] none does.
#[derive(Default)]
pub(super) enum Mode {
    #[default]
    Normal,
    /// A command cannot begin yet.
    Parked { call: Call, until: Until },
    /// A command runs alone.
    Alone {
        call: Arc<Call>,
        work: BoxFuture<'static, Result<Reply, CommandError>>,
    },
    /// A transaction waits for the group's part; the proxy will run the rest of the queue, and fill
    /// the slot.
    Transacting { slot: u64, queue: Vec<Call> },
    /// A transaction has the group's replies, and asks servers for the rest of the queue.
    Finishing {
        slot: u64,
        queue: Vec<Call>,
        theirs: Vec<Bytes>,
        work: BoxFuture<'static, Asked>,
    },
}

/// The condition that a parked command waits for.
pub(super) enum Until {
    /// All earlier commands are answered.
    Settled,
    /// A newer map knows the owners of its keys.
    Map {
        newer: Option<BoxFuture<'static, ()>>,
    },
    /// CLIENT PAUSE ends.
    Unpaused(BoxFuture<'static, ()>),
    /// Meta has said which scripts there are.
    News(BoxFuture<'static, ()>),
}

impl Mode {
    /// Whether commands begin as they come.
    pub(super) fn is_normal(&self) -> bool {
        matches!(self, Mode::Normal)
    }

    /// Whether CLIENT PAUSE holds back a command.
    pub(super) fn is_paused(&self) -> bool {
        matches!(
            self,
            Mode::Parked {
                until: Until::Unpaused(_),
                ..
            }
        )
    }

    /// Whether a command waits for data.
    pub(super) fn is_blocked(&self) -> bool {
        matches!(self, Mode::Alone { call, .. } if call.row.may_wait())
    }

    /// Whether a command waits to begin, or runs alone.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self, Mode::Parked { .. } | Mode::Alone { .. })
    }

    /// The words of the command that waits or runs alone.
    pub(super) fn args(&self) -> &[Bytes] {
        match self {
            Mode::Parked { call, .. } => &call.args,
            Mode::Alone { call, .. } => &call.args,
            Mode::Normal | Mode::Transacting { .. } | Mode::Finishing { .. } => &[],
        }
    }
}
