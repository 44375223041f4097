//! A server whose disk was wiped comes back as a new node, which replaces the old node in every
//! group while clients write.

use std::time::Duration;

use anyhow::{Context, ensure};
use coterie_tests::cluster::{Admin, Builder, Cluster, Role};
use coterie_tests::wait;
use coterie_tests::workload::ledger;

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);

const WIPED: &str = "server-2";
const OTHER: &str = "server-3";

/// Design section 10, row "wiped disk, same address".
#[test]
fn a_wiped_server_is_replaced_in_every_group_while_writes_go_on() {
    let _cluster = wipe_one(Cluster::builder(), 100, 300);
}

/// Servers keep little log: the new node receives a snapshot of each group.
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
    // Replicas number their stores, and each snapshot becomes a new store.
    let stores: Vec<String> = replicas
        .filter_map(|replica| std::fs::read_to_string(replica.ok()?.path().join("CURRENT")).ok())
        .collect();
    assert!(
        stores.iter().any(|store| store.trim_end() != "store-0"),
        "{stores:?}"
    );
}

/// Wipes a server after `writes` writes with `padding` bytes each, and waits until it is replaced.
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
        check_replicas(&cluster.admin())
    })
    .expect("replaced");
    wait::until("the old node is removed", WITHIN, || {
        let nodes = cluster.admin().nodes()?;
        let removed = nodes.iter().filter(|node| node.state == "removed").count();
        ensure!(removed == 1, "{nodes:?}");
        Ok(())
    })
    .expect("removed");
    load.wait_for(100, WITHIN).expect("writes with it");
    // No entry commits without the new node now.
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

/// An error unless each group has three voters in step and no replica on the node without an
/// address.
fn check_replicas(admin: &Admin) -> anyhow::Result<()> {
    let nodes = admin.nodes()?;
    let lost = nodes.iter().find(|node| node.addr.is_empty());
    let lost = lost.context("no lost node")?.id;
    for group in admin.groups()? {
        group.check_caught_up(3)?;
        let there = group.replicas.iter().any(|replica| replica.node == lost);
        ensure!(!there, "node {lost} is still a member");
    }
    Ok(())
}
