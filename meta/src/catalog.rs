//! Meta's state: a command in, an outcome and a change of rows out.
//!
//! Pure: no clock, no socket, no disk, no randomness. Members that apply the same commands hold the
//! same state. A rejected command has changed nothing, not even in part (`edit`).
//!
//! Invariants at every revision: the ranges of a table tile it, or it has none yet (`tiling`); the
//! epoch at a key never goes back; ids are never used again; names of tables are unique; a command
//! with a fencing number is refused unless it is the lease's number (`lease`).
//!
//! Others see only the catalog (rows, with a revision). The rest is meta's own: the next ids, the
//! tokens of registered nodes, and the lease's clock, which rises without a revision.

use coterie_protocol::catalog::{Change, Row, TableDescriptor};
use coterie_protocol::decode;
use coterie_protocol::meta::{Command, Outcome, Rejection};
use coterie_types::TableId;

mod controller;
mod edit;
mod lease;
mod nodes;
mod objects;
mod settings;
mod state;
mod tables;
#[cfg(test)]
mod tests;
mod tiling;
mod wishes;

use edit::{Edit, invalid};
use nodes::Card;

pub use edit::RowName;
pub use state::{MetaState, NextIds, REDIS_TABLES};

/// The effects of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The answer to the proposer.
    pub outcome: Outcome,
    /// The change for watchers; `None` when no row changed.
    pub change: Option<Change>,
}

impl MetaState {
    /// Applies a command.
    pub fn apply(&mut self, command: Command) -> Applied {
        let unborn = self.catalog.cluster_id == 0;
        match &command {
            Command::Restore { state } => return self.restore(state),
            Command::Birth { .. } => {}
            _ if unborn => return rejected(invalid("the cluster is not born yet")),
            _ => {}
        }
        let mut edit = Edit::new(self);
        match edit.execute(command) {
            Ok(outcome) => {
                let change = edit.commit();
                let outcome = outcome.unwrap_or(Outcome::Done {
                    revision: self.catalog.revision,
                });
                Applied { outcome, change }
            }
            Err(rejection) => {
                edit.undo();
                rejected(rejection)
            }
        }
    }

    /// Takes a backup's state as that of a cluster that has none. There is no change of rows to
    /// report: the revision jumps, and watchers take a full copy.
    fn restore(&mut self, state: &[u8]) -> Applied {
        if self.catalog.cluster_id == 0 {
            match decode(state) {
                Ok(state) => *self = state,
                Err(error) => return rejected(invalid(error.to_string())),
            }
        }
        let outcome = Outcome::Done {
            revision: self.catalog.revision,
        };
        Applied {
            outcome,
            change: None,
        }
    }
}

impl Edit<'_> {
    /// The command's own outcome, or `None` for [`Outcome::Done`].
    fn execute(&mut self, command: Command) -> Result<Option<Outcome>, Rejection> {
        match command {
            Command::Birth { cluster_id } => self.birth(cluster_id).map(|()| None),
            Command::Restore { .. } => unreachable!("restored without an edit"),
            Command::RegisterNode {
                token,
                addr,
                zone,
                host,
                capacity_bytes,
            } => {
                let card = Card {
                    addr,
                    zone,
                    host,
                    capacity_bytes,
                };
                self.register_node(token, card).map(Some)
            }
            Command::SetNodeAddr { node_id, addr } => {
                self.set_node_addr(node_id, addr).map(|()| None)
            }
            Command::SetNodeState {
                node_id,
                state,
                fence,
            } => self.set_node_state(node_id, state, fence).map(|()| None),
            Command::AcquireLease {
                holder,
                ttl_ms,
                now,
            } => self.acquire_lease(holder, ttl_ms, now).map(Some),
            Command::ReleaseLease { holder } => {
                self.release_lease(holder);
                Ok(None)
            }
            Command::CreateTable { name, split_at } => self.create_table(name, split_at).map(Some),
            Command::DropTable { name } => self.drop_table(&name).map(|()| None),
            Command::PutSetting { name, value } => self.put_setting(name, value).map(|()| None),
            Command::PutObjects { expected, changes } => {
                self.put_objects(&expected, changes).map(|()| None)
            }
            Command::Controller { fence, ops } => self.controller(fence, ops),
            Command::Ask { wish, now } => self.ask(wish, now).map(Some),
        }
    }

    fn birth(&mut self, cluster_id: u128) -> Result<(), Rejection> {
        if self.catalog().cluster_id != 0 {
            return Ok(());
        }
        if cluster_id == 0 {
            return Err(invalid("a cluster's id is not 0"));
        }
        self.put(Row::Cluster(cluster_id));
        for number in 0..REDIS_TABLES {
            self.put(Row::Table(TableDescriptor {
                table_id: TableId(number),
                name: format!("db{number}"),
                split_at: Vec::new(),
            }));
        }
        Ok(())
    }
}

fn rejected(rejection: Rejection) -> Applied {
    Applied {
        outcome: Outcome::Rejected(rejection),
        change: None,
    }
}
