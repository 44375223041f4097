//! A role as a part of a command that runs several roles: `coterie dev`, `coterie node`.
//!
//! The command decides some settings of a role itself (its address, its directory) and passes the
//! rest through: [`Part::flags`] adds the role's other flags to the command, under their own names,
//! and only once if several roles share them; [`Part::config`] builds the role's `Config` from the
//! command's values. The role needs to know nothing of it.
//!
//! Roles that share a flag must agree on its default: the command has a single value for all of
//! them.
//!
//! Never ask clap whether it *knows* an id (`try_contains_id` and the like): a release build keeps
//! no list of ids and says yes to every name. [`is_given`] checks the values that are present
//! instead; both builds give the same answer to that.

use std::ffi::OsString;
use std::marker::PhantomData;

use clap::builder::Resettable;
use clap::{Arg, ArgMatches, Args, Command};

/// The role whose settings are a `C`.
#[derive(Debug)]
pub struct Part<C> {
    decided: &'static [&'static str],
    config: PhantomData<fn() -> C>,
}

/// Whether `matches` hold a value of the flag `id`, including a default.
#[must_use]
pub fn is_given(matches: &ArgMatches, id: &str) -> bool {
    matches.ids().any(|given| given == id)
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
        for arg in self.passed_through() {
            let taken = command
                .get_arguments()
                .any(|own| own.get_id() == arg.get_id());
            if !taken {
                command = command.arg(arg.hide_short_help(true).required(false));
            }
        }
        command
    }

    /// The flags that the user may set, as the role declares them.
    pub fn passed_through(&self) -> Vec<Arg> {
        let role = self.role();
        let args = role.get_arguments().filter(|arg| self.passes(arg));
        args.cloned().collect()
    }

    /// The role's settings: `given` by the command (long name, value), the rest from `matches`,
    /// which must come from a command that went through [`Part::flags`]. The given value wins.
    ///
    /// # Errors
    /// When the role does not accept a value, or a required value is missing.
    pub fn config(&self, matches: &ArgMatches, given: &[(&str, String)]) -> Result<C, clap::Error> {
        let is_given = |arg: &Arg| given.iter().any(|(name, _)| arg.get_long() == Some(name));
        let role = self.role().no_binary_name(true).mut_args(|arg| {
            // The environment was read once, for the flags passed through. Reading it again here
            // would set the other flags too: COTERIE_LISTEN is the proxy's, not that of every role.
            let arg = arg.env(Resettable::Reset);
            if self.passes(&arg) && !is_given(&arg) {
                with_value_of(matches, arg)
            } else {
                arg
            }
        });
        let argv = given
            .iter()
            .map(|(name, value)| format!("--{name}={value}"));
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

/// The role's flag, with the command's values as its default.
fn with_value_of(matches: &ArgMatches, arg: Arg) -> Arg {
    let id = arg.get_id().as_str();
    if !is_given(matches, id) {
        // A flag with a default always has a value, unless the command lacks the flag: then every
        // setting of it would be lost silently.
        let has_default = !arg.get_default_values().is_empty();
        assert!(!has_default, "the command has no --{id} of its role");
        return arg;
    }
    let values = matches.get_raw(id).into_iter().flatten();
    let values: Vec<OsString> = values.map(OsString::from).collect();
    arg.required(false).default_values(values)
}
