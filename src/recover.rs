//! `coterie recover`: lets groups that have permanently lost their majority go on from the
//! remaining replicas.
//!
//! It first looks and reports the possible loss; it acts only when told that the loss is accepted.
//! The recovery itself is a job of the controller, which outlives this process. `assess` judges,
//! and is pure.

mod assess;
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{ArgMatches, Args, Command, FromArgMatches as _};
use coterie_protocol::catalog::{JobState, Wish};
use coterie_types::{GroupId, JobId, NodeId};

use crate::check::cluster::Cluster;
use crate::operator::{self, Looks, Target};
use assess::{Loss, losses};

/// Exit code when no group needs recovery, or all were recovered.
const EXIT_WELL: u8 = 0;
/// Exit code when a group needs recovery and was not fully recovered.
const EXIT_LOST: u8 = 1;
/// Meta's leader must have listened for this long before a silent node counts as silent.
const LISTEN: Duration = Duration::from_secs(3);
/// Number of looks at the cluster, at most, until meta's leader has listened long enough and a
/// group is seen without a leader twice: the first time it may be electing.
const LOOKS: usize = 10;
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// Pause between two looks at a job, and the number of looks.
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
    #[command(flatten)]
    target: Target,
    /// Look only at these groups.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    group: Vec<u64>,
    /// Recover, and accept the loss that was printed.
    #[arg(long)]
    accept_loss: bool,
}

/// The subcommand and its flags.
pub(crate) fn command() -> Command {
    Recover::augment_args(Command::new("recover"))
        .about("Have groups that lost their majority for good go on from what is left")
        .after_help(AFTER_HELP)
}

/// Looks, and recovers if asked to.
pub(crate) async fn run(matches: &ArgMatches) -> ExitCode {
    operator::exit(recover(matches).await)
}

async fn recover(matches: &ArgMatches) -> anyhow::Result<u8> {
    let Recover {
        target,
        group,
        accept_loss,
    } = Recover::from_arg_matches(matches)?;
    let cluster = target.cluster()?;
    let asked: Vec<GroupId> = group.into_iter().map(GroupId).collect();
    let found = look(&cluster, &asked).await?;
    if found.is_empty() {
        println!("no group needs to be recovered");
        return Ok(EXIT_WELL);
    }
    for loss in &found {
        print!("{loss}");
    }
    if !accept_loss {
        println!("nothing was changed; to lose this and go on: --accept-loss");
        return Ok(EXIT_LOST);
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
    Ok(if left == 0 { EXIT_WELL } else { EXIT_LOST })
}

/// The groups that are lost in two looks in a row.
async fn look(cluster: &Cluster, asked: &[GroupId]) -> anyhow::Result<Vec<Loss>> {
    let mut looks = Looks::new(LOOKS, LOOK_PAUSE);
    let mut last = None;
    loop {
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
        // Seen twice: a group that was only electing has a leader by then.
        if listens && let Some(before) = last.replace(ids(&found)) {
            found.retain(|loss| before.contains(&loss.group_id));
            return Ok(found);
        }
        if !looks.again().await {
            bail!("meta's leader changes: it does not know which nodes are up");
        }
    }
}

fn ids(found: &[Loss]) -> Vec<GroupId> {
    found.iter().map(|loss| loss.group_id).collect()
}

/// Lets the controller recover a group, and follows the job. The inner error is why it failed.
async fn recover_from(
    cluster: &Cluster,
    group_id: GroupId,
    node_id: NodeId,
) -> anyhow::Result<Result<String, String>> {
    let job_id = cluster.wish(Wish::Recover { group_id, node_id }).await?;
    println!("group {group_id}: job {job_id}");
    let mut looks = Looks::new(JOB_LOOKS, JOB_PAUSE);
    let mut told = String::new();
    loop {
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
        if !looks.again().await {
            return Ok(Err(still_running(job_id)));
        }
    }
}

fn still_running(job_id: JobId) -> String {
    format!("job {job_id} is still under way, see COTERIE JOBS {job_id}; is a controller running?")
}
