//! Words of the list commands.

use bytes::Bytes;

use crate::Grammar;

/// Keys that hold lists, mostly.
pub(crate) const LIST_KEYS: &[&[u8]] = &[b"l", b"l:1", b"{tag}l"];

/// Elements of lists: few, so that equal ones meet.
const LIST_ELEMENTS: &[&str] = &["a", "b", "c", "1", "-70000", ""];

impl Grammar {
    pub(crate) fn list_element(&mut self) -> Bytes {
        match self.below(12) {
            0 => self.value(),
            1 => Bytes::from("long ".repeat(self.below(300))),
            _ => Bytes::from(self.one_of(LIST_ELEMENTS)),
        }
    }

    pub(crate) fn list_count(&mut self) -> String {
        match self.below(10) {
            0 => self.integer(),
            _ => self.below(6).to_string(),
        }
    }

    pub(crate) fn list_index(&mut self) -> String {
        match self.below(6) {
            0 => self.index(),
            _ => (self.below(14) as i64 - 7).to_string(),
        }
    }

    /// Not the least number: Redis takes it for -1 before 7.2, and refuses it since.
    pub(crate) fn list_rank(&mut self) -> String {
        match self.below(10) {
            0 => self.one_of(&["x", "1.0", "9223372036854775807", "99999999999999999999"]),
            _ => (self.below(9) as i64 - 4).to_string(),
        }
    }
}
