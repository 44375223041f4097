//! The result of every command.

/// The result of every command; the text of the error is for the person at the terminal.
pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;
