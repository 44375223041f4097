//! A server whose disk was wiped comes back: as a new node, which takes the old one's place in every
//! group while clients go on writing.

use std::time::Duration;

use anyhow::{Context, ensure};
use coterie_tests::cluster::{Builder, Cluster, Role};
use coterie_tests::connection::Connection;
use coterie_tests::resp::Reply;
use coterie_tests::wait;
use coterie_tests::workload::ledger;

/// For anything a healthy cluster does within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);

const WIPED: &str = "server-2";
const OTHER: &str = "server-3";

#[test]
fn a_wiped_server_is_replaced_in_every_group_while_writes_go_on() {
    let _cluster = wipe_one(Cluster::builder(), 100, 300);
}

/// Servers that keep little log: the new node is sent a snapshot of each group.
#[test]
fn a_wiped_server_is_replaced_by_snapshots() {
    let flags = [
        "--log-retention",
        "64KiB",
        "--log-replay-bytes-max",
        "64KiB",
    ];
    let more = ["--flush-interval", "200ms"];
    let builder = Cluster::builder()
        .flags(Role::Server, &flags)
        .flags(Role::Server, &more);
    let cluster = wipe_one(builder, 2_000, 1_500);
    let replicas = std::fs::read_dir(cluster.dir(WIPED).join("replicas")).expect("replicas");
    // Replicas count their stores, and each snapshot is one.
    let stores: Vec<String> = replicas
        .filter_map(|replica| std::fs::read_to_string(replica.ok()?.path().join("CURRENT")).ok())
        .collect();
    assert!(
        stores.iter().any(|store| store.trim_end() != "store-0"),
        "{stores:?}"
    );
}

/// Wipes a server behind so many writes of so many bytes, and sees it replaced.
fn wipe_one(builder: Builder, padding: usize, writes: u64) -> Cluster {
    let mut cluster = builder.split_at(&["55", "aa"]).start().expect("starts");
    let plan = ledger::Plan {
        addrs: cluster.proxies(),
        clients: 4,
        name: String::new(),
        keys_per_client: 50,
        padding,
        think: Duration::ZERO,
        operations_max: 100_000,
    };
    let load = plan.start().expect("starts");
    load.wait_for(writes, WITHIN).expect("writes before");
    cluster.process(WIPED).kill();
    std::fs::remove_dir_all(cluster.dir(WIPED)).expect("wiped");
    load.wait_for(100, WITHIN).expect("writes without it");
    cluster.process(WIPED).start().expect("starts again");
    wait::until("every group has three voters up to date", WITHIN, || {
        check_replicas(&cluster)
    })
    .expect("replaced");
    wait::until("the old node is removed", WITHIN, || {
        let states = column(&ask(&cluster, "NODES")?, "state");
        let removed = states.iter().filter(|state| *state == "removed").count();
        ensure!(removed == 1, "{states:?}");
        Ok(())
    })
    .expect("removed");
    load.wait_for(100, WITHIN).expect("writes with it");
    // Nothing commits without the new node now.
    cluster.process(OTHER).kill();
    load.wait_for(100, WITHIN).expect("writes that need it");
    let (written, troubles) = ledger::finish(load, WITHIN).expect("stops");
    troubles.expect_none();
    written
        .verify(&cluster.proxy())
        .expect("everything is found");
    cluster.process(OTHER).start().expect("starts again");
    cluster
}

/// Each group has three voters, all of which say that they have applied nearly all of its log.
fn check_replicas(cluster: &Cluster) -> anyhow::Result<()> {
    for group in ask(cluster, "GROUPS")?.elements() {
        let replicas = group.field("replicas").context("no replicas")?;
        let indices: Vec<u64> = column(replicas, "applied_index")
            .iter()
            .filter_map(|index| index.parse().ok())
            .collect();
        let all = replicas.elements().len() == 3 && indices.len() == 3;
        let (lowest, highest) = (indices.iter().min(), indices.iter().max());
        let apart = highest.zip(lowest).map(|(high, low)| high - low);
        ensure!(
            all && apart.is_some_and(|apart| apart < 1000),
            "a group has {replicas:?}"
        );
    }
    let lost = lost_node(cluster)?;
    let groups = ask(cluster, "GROUPS")?;
    let mut replicas = groups.elements().iter().filter_map(|g| g.field("replicas"));
    ensure!(
        !replicas.any(|replicas| column(replicas, "node").contains(&lost)),
        "node {lost} is still a member"
    );
    Ok(())
}

/// The node without an address.
fn lost_node(cluster: &Cluster) -> anyhow::Result<String> {
    let nodes = ask(cluster, "NODES")?;
    let has_none = |node: &&Reply| {
        let addr = node.field("addr").and_then(Reply::text);
        addr.is_none_or(|addr| addr.is_empty())
    };
    let node = nodes
        .elements()
        .iter()
        .find(has_none)
        .context("no lost node")?;
    node.field("id").and_then(Reply::text).context("no id")
}

fn column(rows: &Reply, name: &str) -> Vec<String> {
    let rows = rows.elements().iter();
    rows.filter_map(|row| row.field(name)?.text()).collect()
}

fn ask(cluster: &Cluster, subcommand: &str) -> anyhow::Result<Reply> {
    let mut connection = Connection::open(&cluster.proxy(), Duration::from_secs(5))?;
    let reply = connection.call(&["COTERIE", subcommand])?;
    ensure!(!matches!(reply, Reply::Error(_)), "{reply:?}");
    Ok(reply)
}
