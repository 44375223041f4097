//! `coterie recover`: has groups that have lost their majority for good go on from what is left.
//!
//! It looks first, and says what may be lost; it acts only when it is told that this is accepted.
//! What it does then is a job of the controller, which outlives it. `assess` judges, and is pure.

mod assess;
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{ArgMatches, Args, Command, FromArgMatches as _};
use coterie_config::ClusterToken;
use coterie_protocol::catalog::{JobState, Wish};
use coterie_types::{GroupId, JobId, NodeId};

use crate::check::cluster::{Cluster, client};
use assess::{Loss, losses};

/// What it ends with when there is something to recover, and it was not, or not all of it.
const EXIT_LOST: u8 = 1;
/// What it ends with when nothing can be said.
const EXIT_UNKNOWN: u8 = 2;
/// Meta's leader must have listened for so long before a silent node counts as such.
const LISTEN: Duration = Duration::from_secs(3);
/// How often the cluster is looked at until that is so, and then until a group is seen to have no
/// leader: it may be electing one.
const LOOKS: usize = 10;
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// How often a job is looked at, and for how long.
const JOB_PAUSE: Duration = Duration::from_millis(250);
const JOB_LOOKS: usize = 480;

const AFTER_HELP: &str = "\
Prints which groups have no leader because a majority of their voters does not answer, and what
would be lost. Nothing is changed without --accept-loss: bring the nodes back if there is any way,
then nothing is lost. With it, the voters that do not answer are removed from the cluster for good,
and the replica whose log reaches furthest goes on; the controller makes further replicas.

Ends with 0 when no group needs it, or all were recovered; with 1 when some need it, or could not be
recovered; with 2 when nothing can be said.";

/// Flags of `coterie recover`.
#[derive(Debug, Args)]
struct Recover {
    /// The members of the metadata service.
    #[arg(
        long,
        env = "COTERIE_META",
        value_name = "IP:PORT",
        value_delimiter = ',',
        required = true
    )]
    meta: Vec<String>,
    /// Look at these groups alone.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    group: Vec<u64>,
    /// Recover, and lose what was printed.
    #[arg(long)]
    accept_loss: bool,
    #[command(flatten)]
    token: ClusterToken,
}

/// Its part of the command line.
pub(crate) fn command() -> Command {
    Recover::augment_args(Command::new("recover"))
        .about("Have groups that lost their majority for good go on from what is left")
        .after_help(AFTER_HELP)
}

/// Looks, and recovers if that was asked for.
pub(crate) async fn run(matches: &ArgMatches) -> ExitCode {
    match recover(matches).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("coterie: {error:#}");
            ExitCode::from(EXIT_UNKNOWN)
        }
    }
}

async fn recover(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let Recover {
        meta,
        group,
        accept_loss,
        token,
    } = Recover::from_arg_matches(matches)?;
    let cluster = Cluster::new(client(&token)?, meta);
    let asked: Vec<GroupId> = group.into_iter().map(GroupId).collect();
    let found = look(&cluster, &asked).await?;
    if found.is_empty() {
        println!("no group needs to be recovered");
        return Ok(ExitCode::SUCCESS);
    }
    for loss in &found {
        print!("{loss}");
    }
    if !accept_loss {
        println!("nothing was changed; to lose this and go on: --accept-loss");
        return Ok(ExitCode::from(EXIT_LOST));
    }
    let mut left = 0;
    for loss in found {
        let outcome = match loss.best {
            Some(best) => recover_from(&cluster, loss.group_id, best).await?,
            None => Err("no replica is left: bring a node back".to_owned()),
        };
        match outcome {
            Ok(line) => println!("group {}: recovered: {line}", loss.group_id),
            Err(reason) => {
                left += 1;
                println!("group {}: not recovered: {reason}", loss.group_id);
            }
        }
    }
    Ok(match left {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(EXIT_LOST),
    })
}

/// The groups that are lost whenever one looks.
async fn look(cluster: &Cluster, asked: &[GroupId]) -> anyhow::Result<Vec<Loss>> {
    let mut last = None;
    for _ in 0..LOOKS {
        let liveness = cluster.liveness().await?;
        let look = cluster.look().await?;
        for group_id in asked {
            if !look.catalog.groups.contains_key(group_id) {
                bail!("there is no group {group_id}");
            }
        }
        let listens = liveness.leader_for >= LISTEN;
        let mut found = losses(&look, &liveness);
        found.retain(|loss| asked.is_empty() || asked.contains(&loss.group_id));
        if found.is_empty() {
            return Ok(found);
        }
        // Seen twice: a group that only elects a leader has one by then.
        if listens && let Some(before) = last.replace(ids(&found)) {
            found.retain(|loss| before.contains(&loss.group_id));
            return Ok(found);
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    bail!("meta's leader changes: it does not know which nodes are up")
}

fn ids(found: &[Loss]) -> Vec<GroupId> {
    found.iter().map(|loss| loss.group_id).collect()
}

/// Has the controller recover one group, and follows the job; why not, as the inner error.
async fn recover_from(
    cluster: &Cluster,
    group_id: GroupId,
    node_id: NodeId,
) -> anyhow::Result<Result<String, String>> {
    let job_id = cluster.wish(Wish::Recover { group_id, node_id }).await?;
    println!("group {group_id}: job {job_id}");
    let mut told = String::new();
    for _ in 0..JOB_LOOKS {
        if let Some((state, last)) = cluster.job(job_id).await? {
            match state {
                JobState::Done => return Ok(Ok(last)),
                JobState::Failed => return Ok(Err(last)),
                JobState::Running if last != told => {
                    println!("group {group_id}: {last}");
                    told = last;
                }
                JobState::Running => {}
            }
        }
        tokio::time::sleep(JOB_PAUSE).await;
    }
    Ok(Err(still_running(job_id)))
}

fn still_running(job_id: JobId) -> String {
    format!("job {job_id} is still under way, see COTERIE JOBS {job_id}; is a controller running?")
}
