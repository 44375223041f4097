//! One role as a part of a command that runs several: `coterie dev`, `coterie node`.
//!
//! Such a command decides some settings of a role itself (where it listens, its directory) and
//! passes the rest through: [`Part::flags`] adds the role's other flags to the command, under
//! their own names and once even when several roles share them; [`Part::config`] makes the role's
//! `Config` from what was given. The role needs to know nothing of it.

use std::marker::PhantomData;

use clap::builder::Resettable;
use clap::{Arg, ArgAction, ArgMatches, Args, Command};

/// The role whose settings are a `C`.
#[derive(Debug)]
pub struct Part<C> {
    decided: &'static [&'static str],
    config: PhantomData<fn() -> C>,
}

impl<C: Args> Part<C> {
    /// A part whose flags `decided` (long names, no dashes) are set by the command, not its user.
    pub const fn new(decided: &'static [&'static str]) -> Part<C> {
        Part {
            decided,
            config: PhantomData,
        }
    }

    /// Adds the flags that the user may set. They are left out of the short help.
    pub fn flags(&self, command: Command) -> Command {
        let mut command = command;
        for arg in self.role().get_arguments().filter(|arg| self.passes(arg)) {
            let taken = command
                .get_arguments()
                .any(|own| own.get_id() == arg.get_id());
            if !taken {
                command = command.arg(arg.clone().hide_short_help(true).required(false));
            }
        }
        command
    }

    /// The role's settings: `given` by the command (long name, value), the rest as in `matches`.
    /// What is given wins.
    ///
    /// # Errors
    /// When a value is not what the role takes, or the role requires one that nobody gives.
    pub fn config(&self, matches: &ArgMatches, given: &[(&str, String)]) -> Result<C, clap::Error> {
        // The environment was read once, for the flags passed through. Read again here it would
        // reach those which the command decides: COTERIE_LISTEN is the proxy's, not everyone's.
        let role = self
            .role()
            .mut_args(|arg| arg.env(Resettable::Reset))
            .no_binary_name(true);
        let mut argv: Vec<String> = given
            .iter()
            .map(|(name, value)| format!("--{name}={value}"))
            .collect();
        let decided = |arg: &Arg| given.iter().any(|(name, _)| arg.get_long() == Some(name));
        for arg in role
            .get_arguments()
            .filter(|arg| self.passes(arg) && !decided(arg))
        {
            argv.extend(repeated(matches, arg));
        }
        C::from_arg_matches(&role.try_get_matches_from(argv)?)
    }

    fn role(&self) -> Command {
        let mut role = C::augment_args(Command::new("role").disable_help_flag(true));
        role.build();
        role
    }

    fn passes(&self, arg: &Arg) -> bool {
        arg.get_long()
            .is_some_and(|name| !self.decided.contains(&name))
    }
}

/// The flag as it would be typed to mean what `matches` holds of it.
fn repeated(matches: &ArgMatches, arg: &Arg) -> Vec<String> {
    let name = name_of(arg);
    // Under the name that `flags` gave it, or, where the command has it of its own, under the id
    // that clap derives.
    let known = |id: &str| matches.try_contains_id(id).is_ok();
    let Some(id) = [name, arg.get_id().as_str()]
        .into_iter()
        .find(|id| known(id))
    else {
        return Vec::new();
    };
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return if matches.get_flag(id) {
            vec![format!("--{name}")]
        } else {
            Vec::new()
        };
    }
    let values = matches.get_raw(id).into_iter().flatten();
    values
        .map(|value| format!("--{name}={}", value.to_string_lossy()))
        .collect()
}

fn name_of(arg: &Arg) -> &str {
    arg.get_long().unwrap_or_default()
}
