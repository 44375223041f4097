//! The command that holds up all later commands of its connection, if there is any.
//!
//! `begin` and `exec` choose the mode, `connection` drives it.

use std::sync::Arc;

use bytes::Bytes;
use coterie_redis_compat::{CommandError, Reply};
use futures_util::future::BoxFuture;

use super::call::Call;

/// Whether commands begin as they come. In every mode but [`Mode::Normal`] none does.
#[derive(Default)]
pub(super) enum Mode {
    #[default]
    Normal,
    /// A command cannot begin yet.
    Parked(Parked),
    /// A command runs alone.
    Alone(Alone),
    /// A transaction is in flight of which the proxy runs a part.
    Transacting(Transacting),
}

/// A command that cannot begin yet.
pub(super) struct Parked {
    pub(super) call: Call,
    pub(super) until: Until,
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
}

/// A command that runs alone.
pub(super) struct Alone {
    pub(super) call: Arc<Call>,
    pub(super) work: BoxFuture<'static, Result<Reply, CommandError>>,
}

/// A transaction that waits for the group's part.
pub(super) struct Transacting {
    /// The place of its reply.
    pub(super) slot: u64,
    pub(super) queue: Vec<Call>,
}

impl Mode {
    /// Whether commands begin as they come.
    pub(super) fn is_normal(&self) -> bool {
        matches!(self, Mode::Normal)
    }

    /// Whether CLIENT PAUSE holds back a command.
    pub(super) fn is_paused(&self) -> bool {
        matches!(self, Mode::Parked(parked) if matches!(parked.until, Until::Unpaused(_)))
    }

    /// Whether a command waits to begin, or runs alone.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self, Mode::Parked(_) | Mode::Alone(_))
    }

    /// The words of the command that waits or runs alone.
    pub(super) fn args(&self) -> &[Bytes] {
        match self {
            Mode::Parked(parked) => &parked.call.args,
            Mode::Alone(alone) => &alone.call.args,
            Mode::Normal | Mode::Transacting(_) => &[],
        }
    }
}
