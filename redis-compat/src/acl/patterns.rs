//! The patterns of keys and channels that a selector allows.

use bytes::Bytes;

use crate::{KeyFlags, glob};

/// Reading, writing, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access(u8);

impl Access {
    pub(super) const NONE: Self = Self(0);
    pub(super) const READ: Self = Self(1);
    pub(super) const WRITE: Self = Self(2);
    pub(super) const ALL: Self = Self(3);

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn covers(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// The access that a command needs to keys with these flags; a command that asks for the
    /// existence or the length of a value needs none.
    pub(super) fn needed(flags: KeyFlags) -> Self {
        let writes = [KeyFlags::INSERT, KeyFlags::DELETE, KeyFlags::UPDATE];
        let mut needed = Self::NONE;
        if flags.contains(KeyFlags::ACCESS) {
            needed = needed.with(Self::READ);
        }
        if writes.iter().any(|flag| flags.contains(*flag)) {
            needed = needed.with(Self::WRITE);
        }
        needed
    }
}

/// A pattern of keys, with the access to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyPattern {
    pub(super) access: Access,
    pub(super) pattern: Bytes,
}

impl KeyPattern {
    /// The sign in front of the pattern. Redis writes `~*` for `%RW~*`, and reads another rule.
    pub(super) fn sign(&self) -> &'static [u8] {
        match self.access {
            Access::READ => b"%R~",
            Access::WRITE => b"%W~",
            _ if self.pattern == "*" => b"%RW~",
            _ => b"~",
        }
    }
}

/// The keys that a selector allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Keys {
    All,
    These(Vec<KeyPattern>),
}

impl Keys {
    pub(super) const NONE: Self = Self::These(Vec::new());

    /// Whether a key may be used so.
    pub(super) fn allow(&self, key: &[u8], needed: Access) -> bool {
        let Self::These(patterns) = self else {
            return true;
        };
        let mut fitting = patterns.iter().filter(|one| one.access.covers(needed));
        fitting.any(|one| glob::matches(&one.pattern, key))
    }

    /// Whether every key may be used so.
    pub(super) fn allow_all(&self, needed: Access) -> bool {
        let Self::These(patterns) = self else {
            return true;
        };
        let mut fitting = patterns.iter().filter(|one| one.access.covers(needed));
        fitting.any(|one| one.pattern == "*")
    }

    /// Adds a pattern; a pattern that is there gets the access as well.
    pub(super) fn add(&mut self, access: Access, pattern: Bytes) {
        let Self::These(patterns) = self else {
            return;
        };
        match patterns.iter_mut().find(|one| one.pattern == pattern) {
            Some(one) => one.access = one.access.with(access),
            None => patterns.push(KeyPattern { access, pattern }),
        }
    }
}

/// The channels that a selector allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Channels {
    All,
    These(Vec<Bytes>),
}

impl Channels {
    pub(super) const NONE: Self = Self::These(Vec::new());

    /// Whether a channel may be used. A pattern, as `PSUBSCRIBE` takes it, must itself be among
    /// those that are allowed.
    pub(super) fn allow(&self, channel: &[u8], is_pattern: bool) -> bool {
        let Self::These(patterns) = self else {
            return true;
        };
        patterns.iter().any(|pattern| match is_pattern {
            true => *pattern == channel,
            false => glob::matches(pattern, channel),
        })
    }

    /// Adds a pattern, once.
    pub(super) fn add(&mut self, pattern: Bytes) {
        if let Self::These(patterns) = self
            && !patterns.contains(&pattern)
        {
            patterns.push(pattern);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_is_added_again_gets_both_accesses() {
        let mut keys = Keys::NONE;
        keys.add(Access::READ, Bytes::from_static(b"a*"));
        assert!(keys.allow(b"ab", Access::READ) && !keys.allow(b"ab", Access::WRITE));
        assert!(keys.allow(b"ab", Access::NONE) && !keys.allow(b"b", Access::NONE));
        keys.add(Access::WRITE, Bytes::from_static(b"a*"));
        assert!(keys.allow(b"ab", Access::ALL));
        assert!(matches!(&keys, Keys::These(patterns) if patterns.len() == 1));
    }

    #[test]
    fn accesses_of_two_patterns_do_not_add_up() {
        let mut keys = Keys::NONE;
        keys.add(Access::READ, Bytes::from_static(b"a*"));
        keys.add(Access::WRITE, Bytes::from_static(b"*b"));
        assert!(!keys.allow(b"ab", Access::ALL));
        assert!(!keys.allow_all(Access::NONE));
        keys.add(Access::READ, Bytes::from_static(b"*"));
        assert!(keys.allow_all(Access::READ) && !keys.allow_all(Access::WRITE));
    }

    #[test]
    fn a_pattern_of_channels_is_taken_literally() {
        let mut channels = Channels::NONE;
        channels.add(Bytes::from_static(b"news.*"));
        channels.add(Bytes::from_static(b"news.*"));
        assert!(channels.allow(b"news.1", false) && channels.allow(b"news.*", true));
        assert!(!channels.allow(b"news.1", true) && !channels.allow(b"n", false));
        assert_eq!(
            channels,
            Channels::These(vec![Bytes::from_static(b"news.*")])
        );
    }
}
