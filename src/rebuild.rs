//! `coterie meta rebuild`: makes a backup of meta from the servers' knowledge, when all else is
//! lost.
//!
//! Servers keep a copy of the catalog, and groups know their ranges and members. `assemble`, which
//! is pure, makes a single catalog of these. The result is a backup, restored like any other.

mod assemble;
mod heard;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{ArgMatches, Args, Command, FromArgMatches as _};
use coterie_config::{ClusterTlsFiles, ClusterToken};
use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_protocol::{decode, encode, method};
use coterie_rpc::Client;
use coterie_types::{NodeId, NodeState};

use crate::operator::client;
use assemble::assemble;
use heard::Heard;

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

const AFTER_HELP: &str = "\
For when the directories of a majority of meta and all backups are lost. Stop what is left of meta;
servers must run. Names of tables, settings and jobs are as the newest copy of a server has them;
ranges and members as the groups say. Then, as with any backup: coterie meta restore.";

/// Flags of `coterie meta rebuild`.
#[derive(Debug, Args)]
struct Rebuild {
    /// Servers of the cluster; other servers that they know of are asked too.
    #[arg(long, value_name = "IP:PORT", value_delimiter = ',', required = true)]
    servers: Vec<String>,
    /// Directory for the backup; it must not contain backups.
    #[arg(long, value_name = "DIR")]
    backup_dir: PathBuf,
    /// Nodes that need not answer. Meta will not know them any more: empty their directories.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    without: Vec<u64>,
    #[command(flatten)]
    token: ClusterToken,
    #[command(flatten)]
    tls: ClusterTlsFiles,
}

/// The subcommand and its flags.
pub(crate) fn command() -> Command {
    Rebuild::augment_args(Command::new("rebuild"))
        .about("Make a backup from what the servers know, when there is none")
        .after_help(AFTER_HELP)
}

/// Asks, assembles, writes, and prints a summary.
pub(crate) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let Rebuild {
        servers,
        backup_dir,
        without,
        token,
        tls,
    } = Rebuild::from_arg_matches(matches)?;
    let rpc = client(&token, &tls)?;
    let without: BTreeSet<NodeId> = without.into_iter().map(NodeId).collect();
    let heard = ask_all(&rpc, servers, &without).await?;
    let assembled = assemble(&heard)?;
    for note in &assembled.notes {
        println!("{note}");
    }
    let catalog = assembled.catalog;
    let (nodes, groups, ranges) = (heard.len(), catalog.groups.len(), catalog.ranges.len());
    let cluster_id = catalog.cluster_id;
    let revision = coterie_meta::rebuild(catalog, assembled.tokens, &backup_dir)
        .context("write the backup")?;
    println!(
        "{}: cluster {cluster_id:032x} at revision {} or later, from {nodes} server(s): {groups} \
         group(s), {ranges} range(s)\nnext, for each member of meta: coterie meta restore \
         --backup-dir {}",
        backup_dir.display(),
        revision.0,
        backup_dir.display()
    );
    Ok(())
}

/// Asks the given servers, and all nodes that the newest of their catalogs lists.
async fn ask_all(
    rpc: &Client,
    servers: Vec<String>,
    without: &BTreeSet<NodeId>,
) -> anyhow::Result<BTreeMap<NodeId, Heard>> {
    let mut heard: BTreeMap<NodeId, Heard> = BTreeMap::new();
    for addr in servers {
        let answer = ask(rpc, &addr)
            .await
            .with_context(|| format!("ask {addr}"))?;
        heard.insert(answer.witness.node_id, answer);
    }
    let newest = heard.values().map(|heard| &heard.witness.catalog);
    let newest = newest.max_by_key(|catalog| catalog.revision);
    let rows: Vec<_> = newest
        .into_iter()
        .flat_map(|c| c.nodes.values())
        .cloned()
        .collect();
    for row in rows {
        let node_id = row.node_id;
        let is_known = heard.contains_key(&node_id) || row.state == NodeState::Removed;
        if is_known || without.contains(&node_id) {
            continue;
        }
        match ask(rpc, &row.addr).await {
            Ok(answer) if answer.witness.node_id == node_id => {
                heard.insert(node_id, answer);
            }
            Ok(_) | Err(_) => bail!(
                "node {node_id} ({}) does not answer: start it, or do without it: --without \
                 {node_id}",
                row.addr
            ),
        }
    }
    Ok(heard)
}

async fn ask(rpc: &Client, addr: &str) -> anyhow::Result<Heard> {
    let witness = match call(rpc, addr, &ServerRequest::Witness).await? {
        ServerAnswer::Witness(witness) => *witness,
        other => bail!("it answered {other:?}"),
    };
    let replicas = match call(rpc, addr, &ServerRequest::Status).await? {
        ServerAnswer::Status(replicas) => replicas,
        other => bail!("it answered {other:?}"),
    };
    Ok(Heard { witness, replicas })
}

async fn call(rpc: &Client, addr: &str, request: &ServerRequest) -> anyhow::Result<ServerAnswer> {
    let called = rpc.call(addr, method::SERVER_ADMIN, encode(request), TIMEOUT);
    Ok(decode(&called.await?)?)
}
