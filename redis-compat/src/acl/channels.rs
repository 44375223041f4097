//! Which words of a command are channels (Redis `db.c`, `commands_with_channels`).

use std::ops::Range;

use crate::{Command, Flags};

/// The channels among the words of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChannelWords {
    pub(super) at: Range<usize>,
    pub(super) are_patterns: bool,
}

/// The channels that a command publishes to or subscribes to; it may always unsubscribe.
pub(super) fn channels_of(row: &Command, words: usize) -> Option<ChannelWords> {
    if !row.flags.contains(Flags::PUBSUB) {
        return None;
    }
    let (end, are_patterns) = match row.name {
        "publish" | "spublish" => (2, false),
        "subscribe" | "ssubscribe" => (words, false),
        "psubscribe" => (words, true),
        _ => return None,
    };
    let at = 1..end.min(words);
    Some(ChannelWords { at, are_patterns })
}
