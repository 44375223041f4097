//! Words of the stream commands: ids, groups, consumers.
//!
//! New ids grow from command to command, so that most entries can be added; other ids are near to
//! them. An id of the moment (`*`) is rare, as no such id can be added behind it.

use crate::Grammar;

/// Neither of them passes during a test, nor is between two.
const IDLE: &[&str] = &["0", "0", "0", "0", "50000", "1000000", "-1", "x"];

impl Grammar {
    pub(crate) fn of_stream(&mut self, pool: &str) -> String {
        match pool {
            "stream-new-id" => self.new_id(),
            "stream-top-id" => {
                self.ids += 3;
                let (ms, seq) = (self.ids, self.below(3));
                format!("{ms}-{seq}")
            }
            "stream-low-id" if !self.one_in(3) => self.one_of(&["0", "0-0", "1", "0-1"]),
            "stream-start" | "stream-end" => self.bound(pool == "stream-start"),
            "stream-read-id" => match self.below(20) {
                0..13 => ">".to_owned(),
                13..17 => "0".to_owned(),
                17 => self.one_of(&["$", "x", "-", ""]),
                _ => self.id(),
            },
            "stream-threshold" => match self.below(8) {
                0..4 => self.below(25).to_string(),
                4..7 => self.id(),
                _ => self.one_of(&["0", "-1", "x", "1.5"]),
            },
            "stream-limit" => self.one_of(&["0", "1", "10", "100", "1000", "-1", "x"]),
            "stream-count" => match self.below(10) {
                0 => self.one_of(&["-1", "0", "x", "9223372036854775807"]),
                _ => (1 + self.below(9)).to_string(),
            },
            "stream-reads" => self.one_of(&["-1", "0", "1", "3", "7", "100", "-2", "x"]),
            "stream-group" if self.one_in(20) => self.one_of(&["none", ""]),
            "stream-group" => self.one_of(&["g", "g", "h"]),
            "stream-consumer" => self.one_of(&["c", "c", "d", "e\0"]),
            "stream-idle" => self.one_of(IDLE),
            "stream-time" => self.one_of(&["0", "1000", "1500000000000", "-1", "x"]),
            // Never without an end.
            "stream-block" => self.one_of(&["1", "1", "-1", "x"]),
            _ => self.id(),
        }
    }

    fn new_id(&mut self) -> String {
        self.ids += self.below(3) as u64;
        let (ms, seq) = (self.ids, self.below(3));
        match self.below(50) {
            0 => "*".to_owned(),
            1 => self.one_of(&["0-0", "0", "x", "-", "5-", "0-*", "+", "*-1", "1-1"]),
            2..14 => format!("{ms}-*"),
            14..24 => {
                self.ids += 1;
                self.ids.to_string()
            }
            _ => format!("{ms}-{seq}"),
        }
    }

    /// An id near to those that were added.
    fn id(&mut self) -> String {
        let ms = self.ids.saturating_sub(self.below(30) as u64);
        match self.below(24) {
            0 => self.one_of(&[
                "0",
                "0-0",
                "x",
                "5-x",
                "-",
                "18446744073709551615-3",
                "99999",
            ]),
            1..8 => ms.to_string(),
            _ => format!("{ms}-{}", self.below(3)),
        }
    }

    fn bound(&mut self, is_start: bool) -> String {
        match self.below(12) {
            0..6 if is_start => "-".to_owned(),
            0..6 => "+".to_owned(),
            6..8 => format!("({}", self.id()),
            8 => self.one_of(&["-", "+", "(-", "(", "x", "(0-0", "(18446744073709551615"]),
            _ => self.id(),
        }
    }
}
