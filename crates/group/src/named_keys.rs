//! The keys a frame names, and which of them must have arrived before it can run.

use bytes::Bytes;
use coterie_types::TableId;

use crate::frame::ResolvedFrame;

/// A key that a frame names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedKey {
    /// Its table.
    pub table: TableId,
    /// The key.
    pub key: Bytes,
    /// Whether the key must be known first; not if it is only overwritten.
    pub is_needed: bool,
}

/// The keys that the frame's commands name, in their order, and the keys it watches. A key may
/// occur more than once, with different needs. Intervals are left out: emptying an interval needs
/// none of its records, and callers check reads of intervals themselves.
#[must_use]
pub fn named_keys(frame: &ResolvedFrame) -> Vec<NamedKey> {
    let watches = frame.watches.iter().map(|watch| NamedKey {
        table: watch.table,
        key: watch.key.clone(),
        is_needed: true,
    });
    let mut named: Vec<NamedKey> = watches.collect();
    for command in &frame.commands {
        let is_needed = !command.is_blind();
        command.visit_keys(&mut |table, key| {
            let key = key.clone();
            named.push(NamedKey {
                table,
                key,
                is_needed,
            });
        });
    }
    named
}
