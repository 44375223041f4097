//! The past of a command, as the table writes it.

/// The past of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Past {
    pub(super) name: &'static str,
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
pub(super) const NONE: Past = past("");

pub(super) const fn past(name: &'static str) -> Past {
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
    pub(super) const fn system(mut self) -> Self {
        self.is_system = true;
        self
    }

    pub(super) const fn replaced(mut self, since: &'static str, by: &'static str) -> Self {
        self.replaced = Some((since, by));
        self
    }

    pub(super) const fn history(
        mut self,
        history: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.history = history;
        self
    }

    pub(super) const fn since(
        mut self,
        arguments: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.since = arguments;
        self
    }

    pub(super) const fn deprecated(
        mut self,
        arguments: &'static [(&'static str, &'static str)],
    ) -> Self {
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
