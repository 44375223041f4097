//! Drops messages that come twice: while a channel's home changes, and when a home answers too
//! late, a message may come over two servers.
//!
//! Remembers the number of each publisher's last message on each channel. Bounded: of two
//! generations, the older is forgotten when the younger is full.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use coterie_protocol::pubsub::Message;

/// Publishers and channels in a generation.
const YOUNG_MAX: usize = 64 << 10;

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Seen {
    hasher: RandomState,
    young: HashMap<(u64, u64), u64>,
    old: HashMap<(u64, u64), u64>,
}

impl Seen {
    /// Whether this message is newer than all that came from its publisher on its channel.
    pub(super) fn is_new(&mut self, message: &Message) -> bool {
        if message.number == 0 {
            return true;
        }
        let channel = self.hasher.hash_one((message.kind, &message.channel));
        let key = (message.publisher, channel);
        let last = self.young.get(&key).or_else(|| self.old.get(&key));
        if last.is_some_and(|last| *last >= message.number) {
            return false;
        }
        if self.young.len() >= YOUNG_MAX && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, message.number);
        true
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use coterie_protocol::pubsub::Kind;

    use super::*;

    fn message(publisher: u64, number: u64, channel: &'static str) -> Message {
        Message {
            publisher,
            number,
            kind: Kind::Channel,
            channel: Bytes::from_static(channel.as_bytes()),
            payload: Bytes::new(),
        }
    }

    #[test]
    fn doubles_are_dropped_by_publisher_and_channel() {
        let mut seen = Seen::default();
        assert!(seen.is_new(&message(1, 5, "a")) && !seen.is_new(&message(1, 5, "a")));
        assert!(
            !seen.is_new(&message(1, 4, "a")),
            "it would come out of order"
        );
        assert!(seen.is_new(&message(1, 4, "b")) && seen.is_new(&message(2, 5, "a")));
        assert!(seen.is_new(&message(1, 6, "a")));
        assert!(seen.is_new(&message(0, 0, "a")) && seen.is_new(&message(0, 0, "a")));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut seen = Seen::default();
        let count = YOUNG_MAX as u64;
        assert!((0..3 * count).all(|publisher| seen.is_new(&message(publisher, 1, "a"))));
        assert!(seen.young.len() <= YOUNG_MAX && seen.old.len() <= YOUNG_MAX);
        assert!(!seen.is_new(&message(3 * count - 1, 1, "a")));
    }
}
