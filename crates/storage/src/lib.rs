//! The store of one replica: ordered bytes on disk. The only crate that names rocksdb.
//!
//! [`Engine`] is what a replica needs of it; [`RocksEngine`] is the real one, [`MemEngine`] stands
//! in for it in tests and simulations. [`layout`] says what the keys mean. The engine's own
//! write-ahead log is off: the Raft log is the log, and what a crash takes is applied again.

mod engine;
pub mod layout;
mod mem;
mod record_cache;
mod rocks;
mod stamps;
mod write_buffer;

pub use engine::{Batch, Engine, Interval, Reader, StorageError};
pub use mem::MemEngine;
pub use record_cache::RecordCache;
pub use rocks::{RocksEngine, RocksShared};
