//! Identifiers, key ranges and descriptors: the vocabulary that every crate shares.
//!
//! Pure data: no runtime, no clock, no IO. Identifiers are newtypes, so that a swapped argument is
//! a type error. Everything here is serializable and appears on the wire and in metadata, so a
//! change of a field is a change of `docs/wire-format.md`.

mod descriptor;
mod id;
mod range;
mod time;
pub mod varint;

pub use descriptor::{GroupDescriptor, NodeDescriptor, NodeState, RangeDescriptor, Replica, Role};
pub use id::{
    Epoch, FrameSeq, GroupId, JobId, LogIndex, NodeId, RangeId, Revision, SessionId, TableId, Term,
    Version,
};
pub use range::KeyRange;
pub use time::UnixMillis;
