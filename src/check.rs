//! `coterie check`: whether a running cluster is as it should be.
//!
//! It asks meta for its map, every server for its replicas, and every group for a checksum of its
//! records, taken at the same log index on all replicas. It changes nothing, and clients are served
//! meanwhile; counting reads every record once.
//!
//! The parts: `cluster` asks, `look` and `digests` judge the answers, `tiles` defines a tiling,
//! `finding` formats results.

pub(crate) mod cluster;
mod digests;
mod finding;
pub(crate) mod look;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod tiles;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{ArgMatches, Args, Command, FromArgMatches as _};

use cluster::Cluster;
use finding::{Finding, exit_code, lasting};
use look::Look;

use crate::operator::{self, Looks, Target};

/// Number of looks that must all have a finding before it counts, and the time between them: a
/// change takes a moment from a group's log to meta's map.
const LOOKS: usize = 4;
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Flags of `coterie check`.
#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    target: Target,
    /// Print each finding as a JSON object.
    #[arg(long)]
    json: bool,
    /// Do not compare the records of replicas, which reads all of them.
    #[arg(long)]
    quick: bool,
    /// How long to wait until the replicas of a group have counted their records.
    #[arg(long, value_name = "DURATION", default_value = "30m",
        value_parser = coterie_config::duration)]
    patience: Duration,
}

/// The subcommand and its flags.
pub(crate) fn command() -> Command {
    Check::augment_args(Command::new("check"))
        .about("Check a running cluster: ranges, owners, replicas and their checksums")
        .after_help(
            "Prints what it finds, one per line. Ends with 0 when all is well, with 1 when \
             something is wrong,\nand with 2 when something could not be checked.",
        )
}

/// Checks, and prints the findings.
pub(crate) async fn run(matches: &ArgMatches) -> ExitCode {
    operator::exit(check(matches).await)
}

async fn check(matches: &ArgMatches) -> anyhow::Result<u8> {
    let Check {
        target,
        json,
        quick,
        patience,
    } = Check::from_arg_matches(matches)?;
    let cluster = target.cluster()?;
    let mut all = BTreeSet::new();
    let mut tell = |findings: BTreeSet<Finding>| {
        for finding in &findings {
            if json {
                println!("{}", finding.json());
            } else {
                println!("{finding}");
            }
        }
        all.extend(findings);
    };
    let (look, findings) = look_until_it_lasts(&cluster).await?;
    tell(findings);
    if !quick {
        for group_id in look.catalog.groups.keys() {
            let nonce = getrandom::u64().context("choose a name for the digests")?;
            eprintln!("group {group_id}: comparing the replicas");
            let counted = cluster.digests(&look, *group_id, nonce, patience).await;
            tell(digests::compare(*group_id, &counted).into_iter().collect());
        }
    }
    eprintln!("{}", summary(&look, all.len(), quick));
    Ok(exit_code(&all))
}

/// Looks until nothing is wrong, or `LOOKS` times. Returns the last look, and the findings of every
/// look.
async fn look_until_it_lasts(cluster: &Cluster) -> anyhow::Result<(Look, BTreeSet<Finding>)> {
    let mut looks = Looks::new(LOOKS, LOOK_PAUSE);
    let mut found = Vec::new();
    loop {
        let look = cluster.look().await?;
        found.push(look.findings());
        let lasting = lasting(&found);
        if lasting.is_empty() || !looks.again().await {
            return Ok((look, lasting));
        }
    }
}

fn summary(look: &Look, findings: usize, quick: bool) -> String {
    let catalog = &look.catalog;
    let (tables, ranges, groups) = (
        catalog.tables.len(),
        catalog.ranges.len(),
        catalog.groups.len(),
    );
    let replicas = look.replicas().count();
    let compared = if quick { "not compared" } else { "compared" };
    let found = match findings {
        0 => "all is well".to_owned(),
        1 => "1 finding".to_owned(),
        many => format!("{many} findings"),
    };
    format!(
        "{found}: {tables} tables, {ranges} ranges, {groups} groups, {replicas} replicas \
         ({compared}), revision {} of meta",
        catalog.revision
    )
}
