//! Whether a user may run a command (Redis `acl.c`, `ACLCheckAllUserCommandPerm`).

use bytes::Bytes;

use super::channels::channels_of;
use super::lines::{
    EXEC_DENIED_CHANNEL, EXEC_DENIED_COMMAND, EXEC_DENIED_KEY, SCRIPT_DENIED_CHANNEL,
    SCRIPT_DENIED_COMMAND, SCRIPT_DENIED_KEY, SORT_BY_DENIED, SORT_GET_DENIED,
};
use super::patterns::{Access, Channels, Keys};
use super::reveal::shows_any_key;
use super::selector::Selector;
use super::user::User;
use crate::errors::{NO_PERM_CHANNEL, NO_PERM_KEY};
use crate::{BeginSearch, Command, CommandError, FindKeys, Flags, KeyFlags, Words, number};

/// What a user may not do. In the order in which Redis prefers one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Run the command.
    Command,
    /// Use a key so.
    Key,
    /// Use a channel.
    Channel,
}

/// Why a command was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// See [`Reason`].
    pub reason: Reason,
    /// The word with the key or the channel.
    pub at: usize,
}

impl Denial {
    /// The error line for a client.
    #[must_use]
    pub fn error(&self, row: &Command) -> CommandError {
        match self.reason {
            Reason::Command => CommandError::no_perm_command(row.name),
            Reason::Key => NO_PERM_KEY,
            Reason::Channel => NO_PERM_CHANNEL,
        }
    }

    /// The error line where `EXEC` denies a command that was queued.
    #[must_use]
    pub fn error_at_exec(&self) -> CommandError {
        match self.reason {
            Reason::Command => EXEC_DENIED_COMMAND,
            Reason::Key => EXEC_DENIED_KEY,
            Reason::Channel => EXEC_DENIED_CHANNEL,
        }
    }

    /// The error line that a script gets.
    #[must_use]
    pub fn in_script(&self) -> CommandError {
        match self.reason {
            Reason::Command => SCRIPT_DENIED_COMMAND,
            Reason::Key => SCRIPT_DENIED_KEY,
            Reason::Channel => SCRIPT_DENIED_CHANNEL,
        }
    }

    /// The answer of `ACL DRYRUN`; `args` are the words of the command.
    #[must_use]
    pub fn of_dry_run(&self, row: &Command, args: &[Bytes]) -> Bytes {
        let word = args.get(self.at).map_or(&b""[..], |word| word);
        let (before, word, after) = match self.reason {
            Reason::Command => ("run the '", row.name.as_bytes(), "' command"),
            Reason::Key => ("access the '", word, "' key"),
            Reason::Channel => ("access the '", word, "' channel"),
        };
        let start = b"This user has no permissions to ";
        [&start[..], before.as_bytes(), word, after.as_bytes()]
            .concat()
            .into()
    }

    /// The thing that was denied, as `ACL LOG` shows it.
    #[must_use]
    pub fn object(&self, row: &Command, args: &[Bytes]) -> Bytes {
        match self.reason {
            Reason::Command => Bytes::from_static(row.name.as_bytes()),
            Reason::Key | Reason::Channel => args.get(self.at).cloned().unwrap_or_default(),
        }
    }
}

/// The keys among the words of a command, with the access it needs to each; found once for all
/// selectors.
type NamedKeys = Vec<(usize, Access)>;

impl User {
    /// Whether the user may run this command; `args` are all of its words.
    ///
    /// Errors: the command, if no selector allows it; else the last key or channel that no selector
    /// allows.
    pub fn check(&self, row: &Command, args: &[Bytes]) -> Result<(), Denial> {
        if self.is_unrestricted() {
            return Ok(());
        }
        let mut denial = Denial {
            reason: Reason::Command,
            at: 0,
        };
        let mut keys = None;
        for selector in &self.selectors {
            match selector.check(row, args, &mut keys) {
                Ok(()) => return Ok(()),
                Err(found) => denial = denial.max(found),
            }
        }
        Err(denial)
    }

    /// Refuses options of a command that read keys which no word names: `SORT` by patterns needs a
    /// selector that may read every key (Redis `sort.c`).
    pub fn check_options(&self, row: &Command, args: &[Bytes]) -> Result<(), CommandError> {
        if self.is_unrestricted() || !matches!(row.name, "sort" | "sort_ro") {
            return Ok(());
        }
        let mut keys = None;
        let mut selectors = self.selectors.iter();
        let may_read_all = selectors.any(|selector| {
            selector.keys.allow_all(Access::READ) && selector.check(row, args, &mut keys).is_ok()
        });
        match may_read_all {
            true => Ok(()),
            false => check_sort(args.get(2..).unwrap_or_default()),
        }
    }

    /// Whether the user may see that there is a key of this name.
    #[must_use]
    pub fn may_see(&self, key: &[u8]) -> bool {
        let mut selectors = self.selectors.iter();
        self.is_unrestricted() || selectors.any(|one| one.keys.allow(key, Access::NONE))
    }

    /// Whether the user may see the names of all keys.
    #[must_use]
    pub fn may_see_all(&self) -> bool {
        let mut selectors = self.selectors.iter();
        self.is_unrestricted() || selectors.any(|one| one.keys.allow_all(Access::NONE))
    }

    /// The patterns of the keys that the user may see; `None` if it may see all.
    #[must_use]
    pub fn seen_patterns(&self) -> Option<Vec<Bytes>> {
        if self.may_see_all() {
            return None;
        }
        let mut seen = Vec::new();
        for selector in &self.selectors {
            if let Keys::These(patterns) = &selector.keys {
                seen.extend(patterns.iter().map(|one| one.pattern.clone()));
            }
        }
        Some(seen)
    }

    /// Whether the user may use the channel, or the pattern of channels.
    #[must_use]
    pub fn may_use_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        let mut selectors = self.selectors.iter();
        self.is_unrestricted() || selectors.any(|one| one.channels.allow(channel, is_pattern))
    }

    /// Whether the user may use every channel.
    #[must_use]
    pub fn may_use_all_channels(&self) -> bool {
        let mut selectors = self.selectors.iter();
        selectors.any(|one| one.channels == Channels::All)
    }
}

impl Selector {
    fn check(
        &self,
        row: &Command,
        args: &[Bytes],
        keys: &mut Option<NamedKeys>,
    ) -> Result<(), Denial> {
        let denied = |reason, at| Denial { reason, at };
        if !row.flags.contains(Flags::NO_AUTH) && !self.allows(row, args) {
            return Err(denied(Reason::Command, 0));
        }
        if self.keys != Keys::All {
            let keys = keys.get_or_insert_with(|| keys_of(row, args));
            let is_denied = |(at, needed): &&(usize, Access)| !self.keys.allow(&args[*at], *needed);
            if let Some((at, _)) = keys.iter().find(is_denied) {
                return Err(denied(Reason::Key, *at));
            }
            if shows_any_key(row, args) && !self.keys.allow_all(Access::NONE) {
                return Err(denied(Reason::Key, 0));
            }
        }
        if self.channels != Channels::All
            && let Some(words) = channels_of(row, args.len())
        {
            let is_denied = |at: &usize| !self.channels.allow(&args[*at], words.are_patterns);
            if let Some(at) = words.at.clone().find(is_denied) {
                return Err(denied(Reason::Channel, at));
            }
        }
        Ok(())
    }

    fn allows(&self, row: &Command, args: &[Bytes]) -> bool {
        let is_word = |word: &Bytes| {
            args.get(1)
                .is_some_and(|arg| arg.eq_ignore_ascii_case(word))
        };
        self.commands.has(row)
            || self
                .first_words
                .get(&row.number())
                .is_some_and(|words| words.iter().any(is_word))
    }
}

/// None if the words that tell where the keys are make no sense: the command will be refused for
/// that.
fn keys_of(row: &Command, args: &[Bytes]) -> NamedKeys {
    let mut keys = Vec::new();
    for spec in row.keys {
        if spec.unlisted || spec.flags.contains(KeyFlags::NOT_KEY) {
            continue;
        }
        let Ok(positions) = spec.positions(args) else {
            return Vec::new();
        };
        let needed = Access::needed(row.key_flags(spec, args));
        let before = keys.len();
        keys.extend(positions.map(|at| (at, needed)));
        let is_counted = matches!(spec.find, FindKeys::KeyNum { .. });
        if is_counted && spec.begin != BeginSearch::Unknown && keys.len() == before {
            return Vec::new();
        }
    }
    keys
}

/// The options of `SORT`, up to the first that makes no sense: the command will be refused for it.
fn check_sort(options: &[Bytes]) -> Result<(), CommandError> {
    let mut words = Words::new(options);
    while let Some(word) = words.next() {
        match word.keyword().as_str() {
            "asc" | "desc" | "alpha" => {}
            "limit" if words.left() >= 2 => {
                let Ok([offset, count]) = words.values::<2>() else {
                    return Ok(());
                };
                if number::parse_int(offset).is_none() || number::parse_int(count).is_none() {
                    return Ok(());
                }
            }
            "store" if words.left() >= 1 => drop(words.value()),
            "by" if words.left() >= 1 => {
                // Redis looks for the sign in a C string.
                let pattern = words.value()?.split(|byte| *byte == 0).next();
                if pattern.is_some_and(|pattern| pattern.contains(&b'*')) {
                    return Err(SORT_BY_DENIED);
                }
            }
            "get" if words.left() >= 1 => return Err(SORT_GET_DENIED),
            _ => return Ok(()),
        }
    }
    Ok(())
}
