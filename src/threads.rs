//! Number of threads that run the roles of a process.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use clap::{ArgMatches, Args, FromArgMatches as _};
use coterie_config::is_given;

/// Flags of every role.
#[derive(Debug, Args)]
#[command(next_help_heading = "Threads")]
pub(crate) struct Threads {
    /// Number of threads for the work of this process. By default half the number of cores, or the
    /// full number where several roles share the process.
    // Like the threads that serve a proxy's clients: the kernel needs about as much CPU for sockets
    // and disk. A thread more than there is work for wakes up to find nothing, which costs each
    // write.
    #[arg(long, env = "COTERIE_WORKER_THREADS", value_name = "N")]
    worker_threads: Option<NonZeroUsize>,
}

/// Commands that run several roles, or none that serves.
const OF_EACH_CORE: [&str; 4] = ["dev", "node", "check", "recover"];

/// The given number of threads, or the default.
pub(crate) fn count(matches: &ArgMatches) -> usize {
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    let Some((name, matches)) = matches.subcommand() else {
        return cores;
    };
    // Not every command has the flag.
    let is_typed = is_given(matches, "worker_threads");
    let threads = is_typed.then(|| Threads::from_arg_matches(matches).ok());
    let typed = threads.flatten().and_then(|threads| threads.worker_threads);
    let default = if OF_EACH_CORE.contains(&name) {
        cores
    } else {
        (cores / 2).max(1)
    };
    typed.map_or(default, NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    fn count_of(line: &[&str]) -> usize {
        let with_flag = |name: &'static str| Threads::augment_args(Command::new(name));
        let command = Command::new("coterie")
            .subcommand(with_flag("server"))
            .subcommand(with_flag("dev"))
            .subcommand(Command::new("check"));
        count(&command.get_matches_from(line))
    }

    #[test]
    fn a_role_alone_takes_half_of_the_cores_unless_told_otherwise() {
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        assert_eq!(count_of(&["coterie", "server"]), (cores / 2).max(1));
        assert_eq!(count_of(&["coterie", "dev"]), cores);
        assert_eq!(count_of(&["coterie", "check"]), cores);
        assert_eq!(count_of(&["coterie", "server", "--worker-threads", "7"]), 7);
    }
}
