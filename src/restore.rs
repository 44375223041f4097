//! `coterie meta restore`: makes a member's directory from a backup, offline.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgMatches, Args, Command, FromArgMatches as _};

/// Flags of `coterie meta restore`.
#[derive(Debug, Args)]
struct Restore {
    /// Directory of the backups: the `--backup-dir` of the members.
    #[arg(long, value_name = "DIR")]
    backup_dir: PathBuf,
    /// The new, empty directory of the member.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The id of the member that will use the directory.
    #[arg(long, value_name = "N")]
    id: u64,
}

/// The subcommand and its flags.
pub(crate) fn command() -> Command {
    Restore::augment_args(Command::new("restore"))
        .about("Make a member's directory from the newest backup")
        .after_help(
            "Do this for every member, from the same backup, before any of them is started.",
        )
}

/// Restores, and prints a summary.
pub(crate) fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let Restore {
        backup_dir,
        dir,
        id,
    } = Restore::from_arg_matches(matches)?;
    let restored = coterie_meta::restore(&backup_dir, &dir, id)
        .with_context(|| format!("restore meta from {}", backup_dir.display()))?;
    for failure in restored.unread {
        let failure = anyhow::Error::from(failure);
        eprintln!("coterie: WARNING: a backup that may be newer cannot be read: {failure:#}");
    }
    println!(
        "{} holds revision {} of cluster {:032x}, for meta member {id}",
        dir.display(),
        restored.revision.0,
        restored.cluster_id
    );
    Ok(())
}
