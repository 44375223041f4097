//! Snapshots as files: made by the state machine's checkpoint, sent in pieces, installed whole.
//!
//! The sender lists the files with sizes and checksums (`manifest`); the receiver says how much of
//! each it already has, so that a broken transfer goes on where it stopped (`send`, `receive`).
//! Nothing is installed before every checksum was verified.

mod files;
mod manifest;
mod receive;
mod send;

pub(crate) use files::SnapshotFiles;
pub(crate) use receive::Incoming;
pub(crate) use send::{SendError, send};
