//! ACL files: a line `user name rule ...` for each user, empty lines between.
//!
//! All users of a file or none: every line is read before the first takes effect. Words and order
//! of the errors are Redis' (`acl.c`, `ACLLoadFromFile`).

use std::collections::BTreeSet;
use std::fmt::Write;

use bytes::Bytes;

use super::rule::{Reading, RuleError, has_spaces};
use super::user::User;
use super::words::merge_selectors;

/// All that is wrong with a file, in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
)]
pub struct FileError(String);

/// The users of a file; `name` is that of the file, for errors.
pub fn parse_file(name: &str, text: &[u8], reading: Reading) -> Result<Vec<User>, FileError> {
    let mut file = File {
        name,
        reading,
        names: BTreeSet::new(),
        errors: String::new(),
    };
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    let users = lines.filter_map(|(at, line)| file.user(at + 1, line.trim_ascii()));
    let users: Vec<_> = users.collect();
    if file.errors.is_empty() {
        Ok(users)
    } else {
        Err(FileError(file.errors))
    }
}

struct File<'a> {
    name: &'a str,
    reading: Reading,
    names: BTreeSet<Bytes>,
    errors: String,
}

impl File<'_> {
    fn user(&mut self, number: usize, line: &[u8]) -> Option<User> {
        let words = line.split(|byte| *byte == b' ');
        let words: Vec<_> = words.map(Bytes::copy_from_slice).collect();
        let name = match words.as_slice() {
            [empty] if empty.is_empty() => return None,
            [user, name, ..] if user == "user" => name,
            _ => {
                let error = "should start with user keyword followed by the username";
                return self.fail(number, &format!(" {error}. "));
            }
        };
        let shown = String::from_utf8_lossy(name);
        if has_spaces(name) || name.is_empty() {
            let error = format!(": username '{shown}' contains invalid characters. ");
            return self.fail(number, &error);
        }
        if !self.names.insert(name.clone()) {
            let error = format!("WARNING: Duplicate user '{shown}' found on line {number}. ");
            self.errors.push_str(&error);
            return None;
        }
        let Ok(rules) = merge_selectors(&words[2..]) else {
            return self.fail(number, ": Unmatched parenthesis in selector definition.");
        };
        self.apply(number, User::new(name.clone(), self.reading), &rules)
    }

    fn apply(&mut self, number: usize, mut user: User, rules: &[Bytes]) -> Option<User> {
        let mut told = false;
        for rule in rules {
            match user.apply(rule.trim_ascii(), self.reading) {
                Ok(()) => {}
                // A name is no secret, and each is told.
                Err(error @ RuleError::Unknown) => {
                    let rule = String::from_utf8_lossy(rule);
                    let text = format!(": Error in applying operation '{rule}': {error}. ");
                    let _: Option<()> = self.fail(number, &text);
                }
                // Errors behind the first may come from it.
                Err(error) if !told => {
                    let _: Option<()> = self.fail(number, &format!(": {error}. "));
                    told = true;
                }
                Err(_) => {}
            }
        }
        user.settle();
        Some(user)
    }

    fn fail<T>(&mut self, number: usize, error: &str) -> Option<T> {
        // Writing to a string cannot fail.
        let _ = write!(self.errors, "{}:{number}{error}", self.name);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<User>, String> {
        let users = parse_file("users.acl", text.as_bytes(), Reading::default());
        users.map_err(|error| error.to_string())
    }

    #[test]
    fn users_are_read_line_by_line() {
        let users = parse("\nuser alice on >secret ~* +@all (+get ~x*)  \r\n\nuser bob\n").unwrap();
        let names: Vec<_> = users.iter().map(|user| user.name().clone()).collect();
        assert_eq!(names, ["alice", "bob"]);
        assert!(users[0].lets_in(b"secret") && !users[1].lets_in(b""));
        assert_eq!(users[0].selectors().len(), 2);
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn all_errors_are_told_and_nothing_is_read() {
        let end = "WARNING: ACL errors detected, no change to the previously active ACL rules was \
            performed";
        for (text, error) in [
            (
                "alice on",
                "users.acl:1 should start with user keyword followed by the username. ",
            ),
            (
                "user a on\nuser a off",
                "WARNING: Duplicate user 'a' found on line 2. ",
            ),
            (
                "user a +nothing +@none ~* ~x ~y",
                "users.acl:1: Error in applying operation '+nothing': Unknown command or category \
                name in ACL. users.acl:1: Error in applying operation '+@none': Unknown command or \
                category name in ACL. users.acl:1: Adding a pattern after the * pattern (or the \
                'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start \
                with an empty list of patterns. ",
            ),
            (
                "user a (+get",
                "users.acl:1: Unmatched parenthesis in selector definition.",
            ),
        ] {
            assert_eq!(parse(text), Err(format!("{error}{end}")), "{text}");
        }
    }
}
