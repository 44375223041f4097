//! The flags of a command, as Redis has them, and its ACL categories.
//!
//! Both are constant bit sets: a row names them, nothing parses words at start-up. The order of the
//! bits is the order in which `COMMAND INFO` prints them.

macro_rules! bit_set {
    ($(#[$doc:meta])* $set:ident($int:ty) {
        $($(#[$bit_doc:meta])* $bit:ident = $at:literal, $word:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $set($int);

        impl $set {
            $($(#[$bit_doc])* pub const $bit: $set = $set(1 << $at);)*
            /// No bit.
            pub const NONE: $set = $set(0);

            /// Both sets together.
            #[must_use]
            pub const fn with(self, other: $set) -> $set {
                $set(self.0 | other.0)
            }

            /// Whether every bit of `other` is set.
            #[must_use]
            pub const fn contains(self, other: $set) -> bool {
                self.0 & other.0 == other.0
            }

            /// The words of the bits that are set, in Redis' order.
            pub fn words(self) -> impl Iterator<Item = &'static str> {
                [$(($set::$bit, $word)),*]
                    .into_iter()
                    .filter(move |(bit, _)| self.contains(*bit))
                    .map(|(_, word)| word)
            }
        }
    };
}

pub(crate) use bit_set;

bit_set! {
    /// Command flags. The last flags are Coterie's own: clients see no word for them.
    Flags(u32) {
        /// May change a key.
        WRITE = 0, "write";
        /// Reads keys and changes none.
        READ = 1, "readonly";
        /// Refused while there is no room.
        DENYOOM = 2, "denyoom";
        /// For administrators.
        ADMIN = 4, "admin";
        /// Publishes or subscribes.
        PUBSUB = 5, "pubsub";
        /// Not in scripts.
        NOSCRIPT = 6, "noscript";
        /// May wait.
        BLOCKING = 7, "blocking";
        /// Allowed while a dataset is being loaded.
        LOADING = 8, "loading";
        /// Allowed on a stale replica.
        STALE = 9, "stale";
        /// Not shown by MONITOR.
        SKIP_MONITOR = 10, "skip_monitor";
        /// Not kept by SLOWLOG.
        SKIP_SLOWLOG = 11, "skip_slowlog";
        /// Allowed while a slot is being imported.
        ASKING = 12, "asking";
        /// Constant or logarithmic time.
        FAST = 13, "fast";
        /// Allowed before authentication.
        NO_AUTH = 14, "no_auth";
        /// May change something replicas see.
        MAY_REPLICATE = 15, "may_replicate";
        /// May name no key, although it takes some.
        NO_MANDATORY_KEYS = 18, "no_mandatory_keys";
        /// Only with a running dataset load's end.
        NO_ASYNC_LOADING = 19, "no_async_loading";
        /// Not within MULTI.
        NO_MULTI = 20, "no_multi";
        /// Key positions need the command's own parser.
        MOVABLE_KEYS = 21, "movablekeys";
        /// Allowed while a script is busy.
        ALLOW_BUSY = 22, "allow_busy";
        /// Sent by the proxy itself; never accepted from a client.
        INTERNAL = 31, "internal";
    }
}

bit_set! {
    /// ACL categories.
    Categories(u32) {
        /// Keys of any type.
        KEYSPACE = 0, "@keyspace";
        /// Reads keys.
        READ = 1, "@read";
        /// Changes keys.
        WRITE = 2, "@write";
        /// Sets.
        SET = 3, "@set";
        /// Sorted sets.
        SORTEDSET = 4, "@sortedset";
        /// Lists.
        LIST = 5, "@list";
        /// Hashes.
        HASH = 6, "@hash";
        /// Strings.
        STRING = 7, "@string";
        /// Bits of strings.
        BITMAP = 8, "@bitmap";
        /// HyperLogLogs.
        HYPERLOGLOG = 9, "@hyperloglog";
        /// Geographical indexes.
        GEO = 10, "@geo";
        /// Streams.
        STREAM = 11, "@stream";
        /// Channels.
        PUBSUB = 12, "@pubsub";
        /// For administrators.
        ADMIN = 13, "@admin";
        /// Constant or logarithmic time.
        FAST = 14, "@fast";
        /// Everything that is not fast.
        SLOW = 15, "@slow";
        /// May wait.
        BLOCKING = 16, "@blocking";
        /// May harm.
        DANGEROUS = 17, "@dangerous";
        /// The connection itself.
        CONNECTION = 18, "@connection";
        /// Transactions.
        TRANSACTION = 19, "@transaction";
        /// Scripts.
        SCRIPTING = 20, "@scripting";
    }
}

/// The combinations that many rows have.
impl Flags {
    pub(crate) const READ_FAST: Self = Self::READ.with(Self::FAST);
    pub(crate) const WRITE_FAST: Self = Self::WRITE.with(Self::FAST);
    /// Writes that may need more room.
    pub(crate) const WRITE_ROOM: Self = Self::WRITE.with(Self::DENYOOM);
    /// Whatever the state of the server.
    pub(crate) const ANY_TIME: Self = Self::LOADING.with(Self::STALE);
    /// About the connection itself.
    pub(crate) const SESSION: Self = Self::NOSCRIPT.with(Self::ANY_TIME);
    /// Before authentication, too.
    pub(crate) const HANDSHAKE: Self = Self::SESSION
        .with(Self::FAST)
        .with(Self::NO_AUTH)
        .with(Self::ALLOW_BUSY);
    /// For administrators, whatever the state of the server.
    pub(crate) const ADMINISTERS: Self = Self::ADMIN.with(Self::SESSION);
    /// How the proxy reads and writes intervals.
    pub(crate) const INTERNAL_READ: Self = Self::READ.with(Self::INTERNAL);
    pub(crate) const INTERNAL_WRITE: Self = Self::WRITE.with(Self::INTERNAL);
}

impl Categories {
    /// Every category, in Redis' order.
    pub fn each() -> impl Iterator<Item = Categories> {
        (0..=20).map(|at| Categories(1 << at))
    }

    /// The category of a word, which has no `@`, in any case.
    #[must_use]
    pub fn from_word(word: &[u8]) -> Option<Categories> {
        Self::each().find(|set| {
            set.words()
                .next()
                .is_some_and(|w| w.as_bytes()[1..].eq_ignore_ascii_case(word))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_in_the_order_of_the_bits() {
        let flags = Flags::FAST.with(Flags::WRITE);
        assert_eq!(flags.words().collect::<Vec<_>>(), ["write", "fast"]);
        assert!(flags.contains(Flags::FAST) && !flags.contains(Flags::READ));
    }

    #[test]
    fn categories_are_found_by_their_word() {
        assert_eq!(Categories::from_word(b"string"), Some(Categories::STRING));
        assert_eq!(
            Categories::from_word(b"SCRIPTING"),
            Some(Categories::SCRIPTING)
        );
        assert_eq!(Categories::from_word(b"@string"), None);
        assert_eq!(Categories::from_word(b"nothing"), None);
    }
}
