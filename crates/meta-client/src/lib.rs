//! The client of the metadata service: finds the leader, tries again, watches.
//!
//! A request goes to the member that led last; one that does not lead names the leader, and one
//! that does not answer is passed over. What is surely not done is tried again until the deadline;
//! a proposal whose fate is unknown is told as such and never sent twice, since the second could
//! undo what somebody did in between.
//!
//! A copy of the catalog ([`MetaClient::follow`]) comes from any member and only ever goes forward.
//! While all of meta is away, the copy stays as it is: the data path goes on with it.

mod client;
mod error;
mod follow;
mod peers;

pub use client::{HeartbeatTaken, Liveness, MetaClient};
pub use error::MetaError;
