//! The past of commands, for `COMMAND DOCS`: when options came, and which command replaces which.
//!
//! A row says how a command is now; [`past_of`] says how it came about. The table is apart from the
//! rows, as nothing but `COMMAND DOCS` reads it. Versions and sentences are those of Redis 7.0.15.

mod table;

use table::TABLE;

/// The past of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Past {
    name: &'static str,
    /// Only servers and tests send it.
    pub(crate) is_system: bool,
    /// The version that deprecated it, and the command to use instead.
    pub(crate) replaced: Option<(&'static str, &'static str)>,
    /// Versions, and what they changed.
    pub(crate) history: &'static [(&'static str, &'static str)],
    /// Arguments by their path, and the first version that had each.
    since: &'static [(&'static str, &'static str)],
    /// Arguments by their path, and the version that deprecated each.
    deprecated: &'static [(&'static str, &'static str)],
}

/// A command without a past.
pub(crate) const NONE: Past = past("");

const fn past(name: &'static str) -> Past {
    Past {
        name,
        is_system: false,
        replaced: None,
        history: &[],
        since: &[],
        deprecated: &[],
    }
}

impl Past {
    const fn system(mut self) -> Self {
        self.is_system = true;
        self
    }

    const fn replaced(mut self, since: &'static str, by: &'static str) -> Self {
        self.replaced = Some((since, by));
        self
    }

    const fn history(mut self, history: &'static [(&'static str, &'static str)]) -> Self {
        self.history = history;
        self
    }

    const fn since(mut self, arguments: &'static [(&'static str, &'static str)]) -> Self {
        self.since = arguments;
        self
    }

    const fn deprecated(mut self, arguments: &'static [(&'static str, &'static str)]) -> Self {
        self.deprecated = arguments;
        self
    }

    /// The first version that had the argument with this path: the keywords of its parents and its
    /// own, or their names where there is none, divided by `/`.
    pub(crate) fn argument_since(&self, path: &str) -> Option<&'static str> {
        version_of(self.since, path)
    }

    /// The version that deprecated the argument with this path.
    pub(crate) fn argument_deprecated(&self, path: &str) -> Option<&'static str> {
        version_of(self.deprecated, path)
    }
}

fn version_of(
    arguments: &'static [(&'static str, &'static str)],
    path: &str,
) -> Option<&'static str> {
    let found = arguments.iter().find(|(argument, _)| *argument == path);
    found.map(|(_, version)| *version)
}

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
