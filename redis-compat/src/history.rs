//! The past of commands, for `COMMAND DOCS`: when options came, and which command replaces which.
//!
//! A row says how a command is now; [`past_of`] says how it came about. The table is apart from the
//! rows, as nothing but `COMMAND DOCS` reads it. Versions and sentences are those of Redis 7.0.15.

mod past;
mod table;

pub(crate) use past::Past;

use past::NONE;
use table::TABLE;

/// The past of the command with this full name.
pub(crate) fn past_of(name: &str) -> &'static Past {
    match TABLE.binary_search_by_key(&name, |past| past.name) {
        Ok(at) => &TABLE[at],
        Err(_) => &NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasts_are_sorted_and_found() {
        assert!(TABLE.is_sorted_by(|a, b| a.name < b.name));
        assert_eq!(past_of("set").argument_since("GET"), Some("6.2.0"));
        assert_eq!(past_of("set").argument_since("value"), None);
        assert_eq!(past_of("zadd").history.len(), 3);
        assert!(past_of("debug").is_system && !past_of("get").is_system);
        assert_eq!(
            past_of("getset").replaced.map(|(since, _)| since),
            Some("6.2.0")
        );
    }
}
