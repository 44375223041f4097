//! The roles.

/// The four roles that run as processes of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// `coterie meta`.
    Meta,
    /// `coterie server`.
    Server,
    /// `coterie proxy`.
    Proxy,
    /// `coterie controller`.
    Controller,
}

impl Role {
    /// All roles, in the order in which they are started.
    pub const ALL: [Self; 4] = [Self::Meta, Self::Server, Self::Proxy, Self::Controller];

    /// The subcommand, and the first part of a process' name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Server => "server",
            Self::Proxy => "proxy",
            Self::Controller => "controller",
        }
    }
}
