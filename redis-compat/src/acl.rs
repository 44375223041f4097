//! Users and their rights: the rules of `ACL SETUSER`, and the check of a command against them.
//!
//! A [`User`] has flags, digests of passwords, and selectors. A selector allows commands, patterns
//! of keys and patterns of channels; a command may run if a single selector allows all of it.
//! [`User::rules`] writes a user in the one form that `ACL LIST` prints, meta keeps and ACL files
//! hold; [`User::of_rules`] reads it back. Words and error lines are those of Redis 7.0.
//!
//! Pure, as the whole crate. Source: Redis `acl.c`. Callers: the proxy (checks each command before
//! it begins, and each message before it is pushed), nodes (check the commands of scripts).

mod allowed;
mod channels;
mod check;
mod describe;
mod file;
mod lines;
mod password;
mod patterns;
mod reveal;
mod rule;
mod secrets;
mod selector;
mod user;
mod users;
mod words;

pub use allowed::of_category;
pub use check::{Denial, Reason};
pub use file::{FileError, parse_file};
pub use lines::*;
pub use password::Digest;
pub use rule::{Reading, RuleError};
pub use secrets::redacted;
pub use selector::Selector;
pub use user::{DEFAULT_USER, User, is_name};
pub use users::Users;
pub use words::line_words;

/// The lines of these files.
pub(crate) const ACL_LINES: &[crate::CommandError] = lines::ACL_LINES;

#[cfg(test)]
mod tests;
