//! A user: flags, digests of passwords, and selectors.

use std::sync::OnceLock;

use bytes::Bytes;

use super::allowed::Allowed;
use super::password::Digest;
use super::patterns::{Channels, Keys};
use super::rule::{Reading, RuleError, has_spaces};
use super::selector::Selector;
use super::words::merge_selectors;
use crate::CommandError;

/// The user that each connection is until it authenticates as another.
pub const DEFAULT_USER: &[u8] = b"default";

/// Whether `RESTORE` looks into its payload. Redis shows it; here it always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sanitize {
    Unset,
    Skip,
    Always,
}

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub(super) name: Bytes,
    pub(super) is_on: bool,
    pub(super) needs_no_password: bool,
    pub(super) sanitize: Sanitize,
    pub(super) passwords: Vec<Digest>,
    /// The rules outside of parentheses, then those within.
    pub(super) selectors: Vec<Selector>,
    /// A selector allows everything: the only thing to look at for most users.
    unrestricted: bool,
    /// See [`User::script_rules`].
    pub(super) for_scripts: Described,
}

/// A description that is made when it is asked for. It says nothing that the user does not.
#[derive(Debug, Clone, Default)]
pub(super) struct Described(pub(super) OnceLock<Bytes>);

impl PartialEq for Described {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Described {}

/// Whether a user may have this name.
#[must_use]
pub fn is_name(name: &[u8]) -> bool {
    !has_spaces(name)
}

impl User {
    /// A user without any right.
    #[must_use]
    pub fn new(name: Bytes, reading: Reading) -> Self {
        Self {
            name,
            is_on: false,
            needs_no_password: false,
            sanitize: Sanitize::Unset,
            passwords: Vec::new(),
            selectors: vec![Selector::new(reading)],
            unrestricted: false,
            for_scripts: Described::default(),
        }
    }

    /// The default user before any change: with all rights, and with this password if there is one.
    #[must_use]
    pub fn default_user(password: Option<&[u8]>) -> Self {
        let mut user = Self::new(Bytes::from_static(DEFAULT_USER), Reading::default());
        user.is_on = true;
        user.selectors = vec![Selector {
            commands: Allowed::ALL,
            keys: Keys::All,
            channels: Channels::All,
            ..Selector::new(Reading::default())
        }];
        user.unrestricted = true;
        user.set_password(password);
        user
    }

    /// Reads the rules that [`User::rules`] wrote.
    ///
    /// Errors: a rule that no version would have written.
    pub fn of_rules(name: Bytes, rules: &[u8]) -> Result<Self, RuleError> {
        let words = rules.split(|byte| *byte == b' ');
        let words: Vec<_> = words.map(Bytes::copy_from_slice).collect();
        let rules = merge_selectors(&words).map_err(|_| RuleError::Syntax)?;
        let mut user = Self::new(name, Reading::STORED);
        for rule in &rules {
            user.apply(rule, Reading::STORED)?;
        }
        user.settle();
        Ok(user)
    }

    /// The user after these rules of `ACL SETUSER`.
    ///
    /// Errors: a rule that is refused, or a parenthesis that is not closed; in Redis' words.
    pub fn changed(&self, rules: &[Bytes], reading: Reading) -> Result<Self, CommandError> {
        let rules = merge_selectors(rules).map_err(|open| {
            let before = "Unmatched parenthesis in acl selector starting at '";
            CommandError::quoting(before, open, "'.")
        })?;
        let mut user = self.clone();
        for rule in &rules {
            user.apply(rule, reading).map_err(|error| error.of(rule))?;
        }
        user.settle();
        Ok(user)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Bytes {
        &self.name
    }

    /// Whether every command, key and channel is allowed.
    #[must_use]
    pub fn is_unrestricted(&self) -> bool {
        self.unrestricted
    }

    /// Whether it may authenticate.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether any password is right.
    #[must_use]
    pub fn needs_no_password(&self) -> bool {
        self.needs_no_password
    }

    /// Whether this is its only password.
    #[must_use]
    pub fn has_only(&self, password: &Digest) -> bool {
        matches!(self.passwords.as_slice(), [only] if only.is(password))
    }

    /// Whether a connection that gives this password becomes this user.
    #[must_use]
    pub fn lets_in(&self, password: &[u8]) -> bool {
        if !self.is_on {
            return false;
        }
        let digest = Digest::of(password);
        // All are compared, so that the time tells nothing.
        let found = self
            .passwords
            .iter()
            .fold(false, |found, one| found | one.is(&digest));
        self.needs_no_password || found
    }

    /// Sets its only password, or none (`CONFIG SET requirepass`).
    pub fn set_password(&mut self, password: Option<&[u8]>) {
        self.needs_no_password = password.is_none();
        self.passwords = password.map(Digest::of).into_iter().collect();
    }

    /// To be called after rules were applied.
    pub(super) fn settle(&mut self) {
        self.for_scripts = Described::default();
        self.unrestricted = self.selectors.iter().any(Selector::is_unrestricted);
    }

    /// Applies a rule.
    pub(super) fn apply(&mut self, rule: &[u8], reading: Reading) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            b"" => {}
            b"on" => self.is_on = true,
            b"off" => self.is_on = false,
            b"skip-sanitize-payload" => self.sanitize = Sanitize::Skip,
            b"sanitize-payload" => self.sanitize = Sanitize::Always,
            b"nopass" => {
                self.needs_no_password = true;
                self.passwords.clear();
            }
            b"resetpass" => {
                self.needs_no_password = false;
                self.passwords.clear();
            }
            b"clearselectors" => self.selectors.truncate(1),
            b"reset" => self.reset(reading),
            _ => return self.apply_signed(rule, reading),
        }
        Ok(())
    }

    fn apply_signed(&mut self, rule: &[u8], reading: Reading) -> Result<(), RuleError> {
        match rule {
            [b'>', password @ ..] => self.add(Digest::of(password)),
            [b'#', digits @ ..] => self.add(digest(digits)?),
            [b'<', password @ ..] => self.remove(&Digest::of(password))?,
            [b'!', digits @ ..] => self.remove(&digest(digits)?)?,
            [b'(', rules @ .., b')'] => {
                let selector = Selector::of_rules(rules, reading)?;
                self.selectors.push(selector);
            }
            _ => {
                let root = &mut self.selectors[0];
                reading.take(root.apply(rule))?;
            }
        }
        Ok(())
    }

    fn add(&mut self, password: Digest) {
        if !self.passwords.contains(&password) {
            self.passwords.push(password);
        }
        self.needs_no_password = false;
    }

    fn remove(&mut self, password: &Digest) -> Result<(), RuleError> {
        let at = self.passwords.iter().position(|one| one == password);
        self.passwords.remove(at.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }

    fn reset(&mut self, reading: Reading) {
        *self = Self {
            sanitize: Sanitize::Always,
            ..Self::new(self.name.clone(), reading)
        };
    }
}

fn digest(digits: &[u8]) -> Result<Digest, RuleError> {
    Digest::parse(digits).ok_or(RuleError::BadDigest)
}
