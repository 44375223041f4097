//! Events of keys, for keyspace notifications (Redis `notify.c`): their classes and their names.
//! `txn/events.rs` collects them.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use coterie_types::TableId;

/// Classes of events, and the two kinds of channels: the letters of `notify-keyspace-events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Classes(u16);

/// An event of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEvent {
    /// The key's table.
    pub table: TableId,
    /// The key.
    pub key: Bytes,
    /// Redis' name of the event.
    pub name: Cow<'static, str>,
}

/// The letters, in the order in which Redis shows them.
const LETTERS: [(u8, Classes); 14] = [
    (b'g', Classes::GENERIC),
    (b'$', Classes::STRING),
    (b'l', Classes::LIST),
    (b's', Classes::SET),
    (b'h', Classes::HASH),
    (b'z', Classes::SORTED_SET),
    (b'x', Classes::EXPIRED),
    (b'e', Classes::EVICTED),
    (b't', Classes::STREAM),
    (b'd', Classes::MODULE),
    (b'n', Classes::NEW),
    (b'K', Classes::KEYSPACE),
    (b'E', Classes::KEYEVENT),
    (b'm', Classes::KEY_MISS),
];

impl Classes {
    /// No class.
    pub const NONE: Self = Self(0);
    /// `K`: channels named after keys.
    pub const KEYSPACE: Self = Self(1 << 0);
    /// `E`: channels named after events.
    pub const KEYEVENT: Self = Self(1 << 1);
    /// `g`: commands of any type.
    pub const GENERIC: Self = Self(1 << 2);
    /// `$`
    pub const STRING: Self = Self(1 << 3);
    /// `l`
    pub const LIST: Self = Self(1 << 4);
    /// `s`
    pub const SET: Self = Self(1 << 5);
    /// `h`
    pub const HASH: Self = Self(1 << 6);
    /// `z`
    pub const SORTED_SET: Self = Self(1 << 7);
    /// `x`: keys that expired.
    pub const EXPIRED: Self = Self(1 << 8);
    /// `e`: keys that were evicted; there are none.
    pub const EVICTED: Self = Self(1 << 9);
    /// `t`
    pub const STREAM: Self = Self(1 << 10);
    /// `m`: reads of keys that are absent.
    pub const KEY_MISS: Self = Self(1 << 11);
    /// `d`: of modules; there are none.
    pub const MODULE: Self = Self(1 << 13);
    /// `n`: keys that are new.
    pub const NEW: Self = Self(1 << 14);
    /// `A`: all classes but `n` and `m`.
    const ALL: Self = Self(0b10_0111_1111_1100);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Reads letters; `None` if one of them is none.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        text.iter().try_fold(Self::NONE, |classes, letter| {
            let class = match letter {
                b'A' => Self::ALL,
                letter => LETTERS.iter().find(|(known, _)| known == letter)?.1,
            };
            Some(classes.and(class))
        })
    }

    /// Whether it has any of these.
    #[must_use]
    pub fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    /// As a number, to be stored.
    #[must_use]
    pub fn bits(self) -> u16 {
        self.0
    }

    /// From [`Classes::bits`].
    #[must_use]
    pub fn of_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The classes, if events can reach anybody: by a kind of channels.
    #[must_use]
    pub fn that_are_told(self) -> Self {
        if self.has(Self::KEYSPACE.and(Self::KEYEVENT)) {
            self
        } else {
            Self::NONE
        }
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_all = self.0 & Self::ALL.0 == Self::ALL.0;
        if has_all {
            f.write_str("A")?;
        }
        for (letter, class) in LETTERS {
            let is_shown = if has_all && class.has(Self::ALL.and(Self::NEW)) {
                // As Redis: `n` is not shown beside `A`.
                false
            } else {
                self.has(class)
            };
            if is_shown {
                write!(f, "{}", char::from(letter))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_and_shown_as_redis_does() {
        for (text, shown) in [
            ("", ""),
            ("KEA", "AKE"),
            ("AKEmn", "AKEm"),
            ("g$lshzxetd", "A"),
            ("Elg", "glE"),
            ("Kn", "nK"),
        ] {
            let classes = Classes::parse(text.as_bytes()).unwrap();
            assert_eq!(classes.to_string(), shown, "{text}");
        }
        for text in ["q", "K E", "a"] {
            assert_eq!(Classes::parse(text.as_bytes()), None, "{text}");
        }
        let all = Classes::parse(b"A").unwrap();
        assert!(!all.has(Classes::NEW) && !all.has(Classes::KEY_MISS));
        assert!(!all.that_are_told().has(Classes::STRING), "no channel");
    }
}
