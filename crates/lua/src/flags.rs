//! The flags that a script or a function declares.

/// A set of declared flags, by Redis' names (`script.c`, `scripts_flags_def`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u8);

/// Every flag with its name, in Redis' order, which `FUNCTION LIST` shows.
const NAMES: [(Flags, &str); 5] = [
    (Flags::NO_WRITES, "no-writes"),
    (Flags::ALLOW_OOM, "allow-oom"),
    (Flags::ALLOW_STALE, "allow-stale"),
    (Flags::NO_CLUSTER, "no-cluster"),
    (Flags::ALLOW_CROSS_SLOT_KEYS, "allow-cross-slot-keys"),
];

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// The code calls no command that writes.
    pub const NO_WRITES: Self = Self(1);
    /// The code may run when memory is short.
    pub const ALLOW_OOM: Self = Self(2);
    /// The code may run on a replica that has lost its leader.
    pub const ALLOW_STALE: Self = Self(4);
    /// The code refuses to run in cluster mode.
    pub const NO_CLUSTER: Self = Self(8);
    /// The code may touch keys of several slots.
    pub const ALLOW_CROSS_SLOT_KEYS: Self = Self(16);

    /// Whether all flags of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The names of the flags that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let set = NAMES
            .into_iter()
            .filter(move |(flag, _)| self.contains(*flag));
        set.map(|(_, name)| name)
    }

    /// The flag of that exact name.
    pub(crate) fn parse(name: &[u8]) -> Option<Self> {
        let found = NAMES
            .into_iter()
            .find(|(_, known)| known.as_bytes() == name);
        found.map(|(flag, _)| flag)
    }

    /// The flag of that name in any case, as `redis.register_function` compares.
    pub(crate) fn parse_any_case(name: &[u8]) -> Option<Self> {
        Self::parse(&name.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_named_as_they_are_read() {
        for (flag, name) in NAMES {
            assert_eq!(Flags::parse(name.as_bytes()), Some(flag));
            assert_eq!(flag.names().collect::<Vec<_>>(), [name]);
        }
        let two = Flags::NO_WRITES.with(Flags::NO_CLUSTER);
        assert_eq!(two.names().collect::<Vec<_>>(), ["no-writes", "no-cluster"]);
        assert_eq!(Flags::parse(b"No-Writes"), None);
        assert_eq!(Flags::parse_any_case(b"No-Writes"), Some(Flags::NO_WRITES));
    }
}
