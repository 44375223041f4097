//! Why a rule of `ACL SETUSER` is refused, and how rules are read.

use bytes::Bytes;

use crate::CommandError;

/// Why a rule was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// No command, subcommand or category of this name.
    #[error("Unknown command or category name in ACL")]
    Unknown,
    /// No rule looks like this.
    #[error("Syntax error")]
    Syntax,
    /// All keys are allowed already.
    #[error(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not \
        have any effect. Try 'resetkeys' to start with an empty list of patterns"
    )]
    AfterAllKeys,
    /// All channels are allowed already.
    #[error(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does \
        not have any effect. Try 'resetchannels' to start with an empty list of channels"
    )]
    AfterAllChannels,
    /// The user does not have the password.
    #[error("The password you are trying to remove from the user does not exist")]
    NoSuchPassword,
    /// Not 64 hexadecimal digits in lower case.
    #[error(
        "The password hash must be exactly 64 characters and contain only lowercase hexadecimal \
        characters"
    )]
    BadDigest,
    /// `+container|subcommand|word`.
    #[error("Allowing first-arg of a subcommand is not supported")]
    WordOfSubcommand,
}

impl RuleError {
    /// The error line of `ACL SETUSER` with this rule.
    pub(super) fn of(self, rule: &[u8]) -> CommandError {
        let before = "Error in ACL SETUSER modifier '";
        CommandError::quoting(before, rule, &format!("': {self}"))
    }
}

/// How rules are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// `acl-pubsub-default` is `allchannels`: a new selector may use all channels, and so may a
    /// user after `reset`.
    pub all_channels: bool,
    /// Commands and categories that are not known are passed over: a newer process wrote the rules.
    skips_unknown: bool,
}

impl Reading {
    /// How rules are read that meta keeps.
    pub(super) const STORED: Self = Self {
        all_channels: false,
        skips_unknown: true,
    };

    /// How a client's rules are read.
    #[must_use]
    pub fn new(all_channels: bool) -> Self {
        Self {
            all_channels,
            skips_unknown: false,
        }
    }

    /// The result of a rule, an unknown name forgiven where that is right.
    pub(super) fn take(self, result: Result<(), RuleError>) -> Result<(), RuleError> {
        match result {
            Err(RuleError::Unknown) if self.skips_unknown => Ok(()),
            result => result,
        }
    }
}

/// The part of a rule up to the first NUL: Redis compares names as C strings.
pub(super) fn c_str(rule: &[u8]) -> &[u8] {
    rule.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Whether a name or pattern would break the lines that describe a user.
pub(super) fn has_spaces(word: &[u8]) -> bool {
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, 0 | 0x0b);
    word.iter().any(is_space)
}

/// A pattern without its sign.
pub(super) fn pattern(rule: &[u8], from: usize) -> Result<Bytes, RuleError> {
    match &rule[from..] {
        word if has_spaces(word) => Err(RuleError::Syntax),
        word => Ok(Bytes::copy_from_slice(word)),
    }
}
