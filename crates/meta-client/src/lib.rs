//! The client of the metadata service: finds the leader, retries, watches.
//!
//! A request goes to the last known leader. A member that does not lead names the leader; a member
//! that does not answer is skipped. A request that was certainly not executed is retried until the
//! deadline. A proposal whose fate is unknown is reported as unknown and never sent twice, since
//! the second could undo a change made in between.
//!
//! A copy of the catalog ([`MetaClient::follow`]) comes from any member and never goes back. While
//! all of meta is down, the copy stays as it is: the data path continues with it.

mod client;
mod error;
mod follow;
mod peers;

pub use client::{HeartbeatTaken, Liveness, MetaClient};
pub use error::MetaError;
