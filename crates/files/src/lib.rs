//! Files of a role beside its log and its stores: small files replaced atomically, in a directory
//! that a single process uses.

mod atomic;
mod directory;
mod error;
mod lock;

pub use atomic::{sync_parent, write_atomically};
pub use directory::{Directory, Format};
pub use error::FileError;
use lock::{Lock, LockError};
