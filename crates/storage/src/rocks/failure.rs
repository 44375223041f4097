//! Failures of RocksDB.

use crate::StorageError;

/// RocksDB's text for `ENOSPC`; its binding provides nothing but the text.
const NO_ROOM: &str = "No space left on device";

/// Makes an error of RocksDB's; `what` is the operation, a verb phrase.
pub(crate) fn error(what: &'static str) -> impl Fn(rocksdb::Error) -> StorageError {
    move |error| {
        let reason = error.to_string();
        let is_no_room = reason.contains(NO_ROOM);
        StorageError::new(what, reason).no_room(is_no_room)
    }
}
