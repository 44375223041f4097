//! Raft groups of one node: log, network, membership. The only crate that names openraft and
//! raft-engine.
//!
//! A process opens one [`RaftNode`]: one log engine on disk and one write-and-fsync for all of its
//! groups. Each group replicates the entries of one [`StateMachine`] and is driven through a
//! [`Group`] handle. Callers: `server` (one group per replica) and `meta` (group 0).
//!
//! What this crate promises: an answer of [`Group::propose`] means committed and applied here;
//! [`Group::read_barrier`] means a read that follows is linearizable; a process that has just
//! started neither votes nor campaigns for one lease (`fence`), and one that has lost its disk not
//! before it has caught up, where its owner says so (`part`), nor one whose log has lost its end
//! (`lost_tail`); the log is purged only below what
//! the state machine said is durable (`purge`), and not above a snapshot that is being sent
//! (`holds`); a node without room loses data sent to it rather than break (`room`); a leader that
//! hands over (`hand_over`) serves until its heir does.

mod beat;
mod campaign;
mod config;
mod cpu_wait;
mod error;
mod fence;
mod group;
mod hand_over;
mod holds;
mod latency;
mod lease;
mod log;
mod lost_tail;
mod machine;
mod members;
mod network;
mod node;
mod part;
mod purge;
mod receive;
mod room;
mod snapshot;
mod stance;
mod state_machine;
mod type_config;
mod walls;
mod wire;

pub use config::{Fsync, RaftConfig};
pub use cpu_wait::cpu_wait;
pub use error::{Fault, ProposeError, RaftError};
pub use group::{Group, GroupStatus, PendingAnswer};
pub use node::{AddressBook, RaftNode};
pub use part::Part;
pub use room::Room;
pub use state_machine::{Entry, StateMachine};
pub use walls::VoterWalls;
