//! Raft groups of one node: log, network, membership. The only crate that names openraft and
//! raft-engine.
//!
//! A process opens a single [`RaftNode`]: all of its groups share a log engine on disk and each
//! write-and-fsync. Each group replicates the entries of a [`StateMachine`] and is driven through a
//! [`Group`] handle. Callers: `server` (a group per replica) and `meta` (group 0).
//!
//! Guarantees of this crate:
//!
//! - When [`Group::propose`] returns an answer, the entry is committed and applied here.
//! - A read that follows [`Group::read_barrier`] is linearizable.
//! - A process that has just started neither votes nor campaigns for the length of a lease
//!   (`fence`). A replica that lost its disk takes no part before it has caught up, if its owner
//!   asks for that (`part`); nor does a replica whose log lost its end (`lost_tail`).
//! - The log is purged only below the entry that the state machine reported as durable (`purge`),
//!   and not above a snapshot that is being sent (`holds`).
//! - A node without room drops data sent to it instead of failing (`room`).
//! - A leader that hands over serves until its heir leads (`hand_over`).

mod address_book;
mod beat;
mod campaign;
mod config;
mod cpu_wait;
mod error;
mod fence;
mod group;
mod hand_over;
mod hand_overs;
mod heard;
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
mod stopping;
mod take_part;
mod type_config;
mod voter_walls;
mod walls;
mod wire;

pub use address_book::AddressBook;
pub use config::{Fsync, RaftConfig};
pub use cpu_wait::cpu_wait;
pub use error::{Fault, ProposeError, RaftError};
pub use group::{Group, GroupStatus, PendingAnswer};
pub use node::RaftNode;
pub use part::Part;
pub use room::Room;
pub use state_machine::{Entry, StateMachine};
pub use voter_walls::VoterWalls;
