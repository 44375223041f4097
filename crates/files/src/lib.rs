//! What a role keeps beside its log and its stores: small files that a crash leaves whole, in a
//! directory that one process uses.

mod atomic;
mod lock;

pub use atomic::{sync_parent, write_atomically};
pub use lock::{Lock, LockError};
