//! Flags, environment and TOML, layered the same way for every role.
