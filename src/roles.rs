//! The settings of the roles that `dev` and `node` run in a single process, all of them made before
//! any role starts: values in, values out.
//!
//! A command decides some settings of a role (where it listens, its directory); every other flag of
//! the role is passed through from the command line, the environment and the file (`Part`).
//! `--log-level debug` logs the settings of each role ([`tell`]), also of a role that runs alone.

use std::fmt::Debug;
use std::path::Path;

use anyhow::Context as _;
use clap::{ArgMatches, Args, Command};
use coterie_config::Part;
use tracing::debug;

const TOKEN: [&str; 2] = ["cluster-token", "cluster-token-file"];

const META: Part<coterie_meta::Config> =
    Part::new(&["id", "listen", "peers", "dir", "http", TOKEN[0], TOKEN[1]]);
const SERVER: Part<coterie_server::Config> = Part::new(&[
    "listen",
    "advertise",
    "meta",
    "dir",
    "http",
    TOKEN[0],
    TOKEN[1],
]);
const PROXY: Part<coterie_proxy::Config> =
    Part::new(&["listen", "meta", "http", TOKEN[0], TOKEN[1]]);
const CONTROLLER: Part<coterie_controller::Config> =
    Part::new(&["meta", "http", TOKEN[0], TOKEN[1]]);

/// Adds to `command` the flags that are passed through to the roles.
pub(crate) fn flags(command: Command) -> Command {
    CONTROLLER.flags(PROXY.flags(SERVER.flags(META.flags(command))))
}

/// Logs the settings that a role runs with; secrets hide themselves.
pub(crate) fn tell(role: &str, settings: &impl Debug) {
    debug!(
        role,
        settings = format!("{settings:#?}"),
        "settings of a role"
    );
}

/// The roles of a process, ready to be started.
#[derive(Debug)]
pub(crate) struct Roles {
    pub(crate) metas: Vec<coterie_meta::Config>,
    pub(crate) servers: Vec<coterie_server::Config>,
    pub(crate) controller: coterie_controller::Config,
    pub(crate) proxy: coterie_proxy::Config,
}

impl Roles {
    /// Logs the settings of all roles.
    pub(crate) fn tell(&self) {
        self.metas.iter().for_each(|meta| tell("meta", meta));
        self.servers
            .iter()
            .for_each(|server| tell("server", server));
        tell("controller", &self.controller);
        tell("proxy", &self.proxy);
    }
}

/// Settings that a command decides: the flag's long name, its value.
pub(crate) type Decided = Vec<(&'static str, String)>;

/// Makes the settings of roles from the command line.
pub(crate) struct Maker<'a> {
    matches: &'a ArgMatches,
    secret: &'a str,
    metas: &'a [String],
}

impl<'a> Maker<'a> {
    /// The roles share the cluster token `secret`; the members of meta listen at `metas`, in the
    /// order of their ids. `matches` are of a command that went through [`flags`].
    pub(crate) fn new(matches: &'a ArgMatches, secret: &'a str, metas: &'a [String]) -> Maker<'a> {
        Maker {
            matches,
            secret,
            metas,
        }
    }

    /// Settings of the member of meta with this id.
    pub(crate) fn meta(
        &self,
        id: usize,
        listen: &str,
        dir: &Path,
    ) -> anyhow::Result<coterie_meta::Config> {
        let mut given = vec![
            ("id", id.to_string()),
            ("listen", listen.to_owned()),
            path(dir)?,
        ];
        let peers = (1..).zip(self.metas);
        given.extend(peers.map(|(id, addr): (usize, _)| ("peers", format!("{id}={addr}"))));
        self.config(&META, given)
    }

    /// Settings of a server.
    pub(crate) fn server(
        &self,
        listen: &str,
        dir: &Path,
        decided: Decided,
    ) -> anyhow::Result<coterie_server::Config> {
        let mut given = self.with_metas(decided);
        given.extend([("listen", listen.to_owned()), path(dir)?]);
        self.config(&SERVER, given)
    }

    /// Settings of a controller.
    pub(crate) fn controller(
        &self,
        decided: Decided,
    ) -> anyhow::Result<coterie_controller::Config> {
        self.config(&CONTROLLER, self.with_metas(decided))
    }

    /// Settings of a proxy.
    pub(crate) fn proxy(&self, listen: &str) -> anyhow::Result<coterie_proxy::Config> {
        self.config(&PROXY, self.with_metas(vec![("listen", listen.to_owned())]))
    }

    fn with_metas(&self, mut decided: Decided) -> Decided {
        decided.extend(self.metas.iter().map(|addr| ("meta", addr.clone())));
        decided
    }

    fn config<C: Args>(&self, part: &Part<C>, mut given: Decided) -> anyhow::Result<C> {
        given.push((TOKEN[0], self.secret.to_owned()));
        Ok(part.config(self.matches, &given)?)
    }
}

fn path(dir: &Path) -> anyhow::Result<(&'static str, String)> {
    let text = dir
        .to_str()
        .with_context(|| format!("{} is no text", dir.display()))?;
    Ok(("dir", text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Arg;

    use super::*;

    /// Its defaults, its action, and its delimiter: these make the value of a flag.
    fn meaning(arg: &Arg) -> (String, String, Option<char>) {
        let defaults = format!("{:?}", arg.get_default_values());
        let action = format!("{:?}", arg.get_action());
        (defaults, action, arg.get_value_delimiter())
    }

    #[test]
    fn roles_that_share_a_flag_have_the_same_default_of_it() {
        let mut seen = BTreeMap::new();
        let roles = [
            META.passed_through(),
            SERVER.passed_through(),
            PROXY.passed_through(),
            CONTROLLER.passed_through(),
        ];
        for arg in roles.concat() {
            let name = arg.get_long().map(str::to_owned);
            let of_flag = (name, meaning(&arg));
            let first = seen
                .entry(arg.get_id().clone())
                .or_insert_with(|| of_flag.clone());
            assert_eq!(*first, of_flag, "one command has one value for all roles");
        }
        assert!(seen.len() > 40, "{}", seen.len());
    }
}
