//! The store of a replica: ordered bytes on disk. The only crate that names rocksdb.
//!
//! [`Engine`] is the interface; [`RocksEngine`] is the real store, [`MemEngine`] replaces it in
//! tests and simulations. [`layout`] defines the keys. The engine's own write-ahead log is off: the
//! Raft log takes its place, and writes lost in a crash are applied again from there.

mod clears;
mod cursor;
mod engine;
mod error;
pub mod layout;
mod mem;
mod merged;
mod record_cache;
mod rocks;
mod stamps;
mod write_buffer;

pub use cursor::Cursor;
pub use engine::{Batch, Engine, Interval, Reader};
pub use error::StorageError;
pub use mem::MemEngine;
pub use record_cache::RecordCache;
pub use rocks::{RocksEngine, RocksShared};
