//! Snapshots as files: made by the state machine's checkpoint, sent in pieces, installed whole.
//!
//! The sender lists the files with sizes and checksums (`manifest`); the receiver reports how much
//! of each file it already has, so that a broken transfer resumes (`send`, `receive`). Nothing is
//! installed before every checksum was verified.

mod files;
mod manifest;
mod receive;
mod send;

pub(crate) use files::SnapshotFiles;
pub(crate) use receive::SnapshotReceiver;
pub(crate) use send::{SendError, send};
