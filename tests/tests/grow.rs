//! Nodes are added, drained, removed and restarted while clients work and notice nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use coterie_tests::cluster::{Admin, Cluster, Node, Role};
use coterie_tests::workload::{crowd::Crowd, fill};
use coterie_tests::{foreign, rng, settings, wait};

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);

/// Time limit for copies of data between nodes.
const LONG: Duration = Duration::from_secs(240);

/// The allowed ratio between the largest and the smallest share of a node.
const UNEVEN_MAX: f64 = 1.5;

/// Issue "The cluster mends, splits and balances itself": adding a fourth and fifth node evens
/// leaders and bytes; a drained node may be stopped, and removed; no client notices.
#[test]
fn added_nodes_get_their_share_and_a_drained_one_can_be_removed() {
    let builder = Cluster::builder().split_at(&[
        "10", "20", "30", "40", "50", "60", "70", "80", "90", "a0", "b0", "c0", "d0", "e0", "f0",
    ]);
    let mut cluster = builder.start().expect("starts");
    let mib = settings::number("COTERIE_GROW_MIB", 40);
    fill::spread(&cluster.proxy(), mib << 20).expect("fills");
    let crowd = Crowd::start(&cluster, "grow", rng::seed()).expect("starts");
    crowd.wait_for(100, WITHIN).expect("progress before");
    for _ in 0..2 {
        let added = cluster.add_server(&[]).expect("starts");
        cluster.wait_for_node(&added, WITHIN).expect("it joins");
    }
    let admin = cluster.admin();
    wait::until("leaders and bytes are even", LONG, || check_even(&admin)).expect("even");
    crowd.wait_for(100, WITHIN).expect("progress on five nodes");
    println!("{:?}", admin.nodes().expect("answers"));

    let node = cluster.node_of("server-2").expect("a node");
    empty_and_stop(&mut cluster, "server-2", node);
    crowd.wait_for(100, WITHIN).expect("progress without it");
    admin.set_node("REMOVE", node).expect("removed");
    let state = admin.node(node).expect("still listed").state;
    assert_eq!(
        state, "removed",
        "a proxy shows what was changed through it"
    );
    crowd.finish().expect("nobody noticed");
    cluster.wait_until_caught_up(3, WITHIN).expect("all whole");
    cluster.check().expect("all agree");
}

/// Design section 10, "a node comes back after removal": it learns of its removal, wipes itself,
/// and becomes a spare with a new id. Here it was never away.
#[test]
fn a_node_that_was_removed_joins_anew_as_a_spare() {
    let mut cluster = Cluster::builder().start().expect("starts");
    cluster.hold_still(WITHIN).expect("balance is off");
    let spare = cluster.add_server(&[]).expect("starts");
    let first = cluster.wait_for_node(&spare, WITHIN).expect("it joins");
    let admin = cluster.admin();
    admin.set_node("REMOVE", first).expect("removed");
    let again = wait::until("it joins anew", WITHIN, || {
        let nodes = admin.nodes()?;
        let addr = cluster.addr(&spare);
        let row = nodes
            .iter()
            .find(|row| row.addr == addr && row.state == "up");
        Ok(row.context("it is not up")?.id)
    });
    assert_ne!(again.expect("it is a spare"), first);
    let old = admin.node(first).expect("still listed");
    assert_eq!(old.state, "removed");
    cluster.check().expect("all agree");
}

/// Drains a node until it may be stopped, and stops it with SIGTERM.
fn empty_and_stop(cluster: &mut Cluster, server: &str, node: u64) {
    let admin = cluster.admin();
    admin.set_node("DRAIN", node).expect("drained");
    wait::until("it is safe to stop", LONG, || {
        let row = admin.node(node)?;
        ensure!(row.safe_to_stop, "{row:?}");
        Ok(())
    })
    .expect("safe to stop");
    let members = admin.groups().expect("answers");
    let left = members.iter().find(|g| g.voters().contains(&node));
    assert!(left.is_none(), "safe to stop, and still a voter: {left:?}");
    let status = cluster.process(server).terminate(WITHIN).expect("ends");
    assert!(status.success(), "{server}: {status}");
}

/// An error unless leaders and bytes of all nodes that are up are even.
fn check_even(admin: &Admin) -> anyhow::Result<()> {
    let (nodes, groups) = (admin.nodes()?, admin.groups()?);
    let up = || nodes.iter().filter(|node| node.state == "up");
    let leads = |node: &Node| groups.iter().filter(|g| g.leader == Some(node.id)).count() as u64;
    let leaders: Vec<u64> = up().map(leads).collect();
    let whole = leaders.iter().max().zip(leaders.iter().min());
    // Few groups cannot be spread to a ratio: then the nodes' numbers of leaders may differ by one.
    let few = groups.len() < 3 * leaders.len() && whole.is_some_and(|(max, min)| max - min <= 1);
    ensure!(few || even(&leaders), "leaders {leaders:?}");
    let sizes = group_sizes(admin)?;
    let holds = |node: &Node| -> u64 {
        let there = groups.iter().filter(|g| g.voters().contains(&node.id));
        there.filter_map(|group| sizes.get(&group.id)).sum()
    };
    let bytes: Vec<u64> = up().map(holds).collect();
    ensure!(even(&bytes), "bytes {bytes:?}");
    Ok(())
}

/// The bytes in the ranges of each group: of data alone, without the logs, which are as large in a
/// test.
fn group_sizes(admin: &Admin) -> anyhow::Result<BTreeMap<u64, u64>> {
    let mut sizes = BTreeMap::new();
    for range in admin.ranges()? {
        let size = range.size_bytes;
        let size = size.with_context(|| format!("range {} was not heard of", range.id))?;
        *sizes.entry(range.group).or_default() += size;
    }
    Ok(sizes)
}

fn even(shares: &[u64]) -> bool {
    let bounds = shares.iter().max().zip(shares.iter().min());
    bounds.is_some_and(|(&max, &min)| min > 0 && max as f64 <= UNEVEN_MAX * min as f64)
}

/// Issue "The cluster mends, splits and balances itself": a rolling restart of every process shows
/// no client error. Clients of the redis crate, whose connections stay, run during the restarts of
/// servers, metas and controllers. The restart of a proxy ends its connections; redis-py with its
/// default settings opens them again by itself.
#[test]
fn a_rolling_restart_of_every_process_shows_no_client_error() {
    let builder = Cluster::builder()
        .count(Role::Controller, 2)
        .split_at(&["55", "aa"]);
    let mut cluster = builder.start().expect("starts");
    let crowd = Crowd::start(&cluster, "roll", rng::seed()).expect("starts");
    crowd.wait_for(100, WITHIN).expect("progress before");
    cluster
        .roll(&[Role::Meta, Role::Server, Role::Controller], WITHIN)
        .expect("rolls");
    crowd.wait_for(100, WITHIN).expect("progress after");
    crowd.finish().expect("nobody noticed");
    roll_proxies(&mut cluster);
}

/// Restarts the proxies under load from redis-py.
fn roll_proxies(cluster: &mut Cluster) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/redis_py_load.py");
    let addr = cluster.proxy();
    let (host, port) = addr.rsplit_once(':').expect("host and port");
    let load = foreign::start_redis_py(&script, &[host, port, "rolled"]).expect("starts");
    let Some(load) = load else { return };
    wait_for_beats(cluster, 20);
    cluster.roll(&[Role::Proxy], WITHIN).expect("rolls");
    wait_for_beats(cluster, 20);
    println!("redis-py: {}", load.finish().expect("no error"));
}

/// Waits until the client has completed `more` further rounds.
fn wait_for_beats(cluster: &Cluster, more: u64) {
    let beat = || -> anyhow::Result<u64> {
        let reply = cluster.connect()?.call(&["GET", "rolled:beat"])?;
        let beat = reply.text().and_then(|text| text.parse().ok());
        beat.context("it has not begun")
    };
    let goal = wait::until("the client is at work", WITHIN, beat).expect("it works") + more;
    wait::until("the client goes on", WITHIN, || {
        let beat = beat()?;
        ensure!(beat >= goal, "{beat} of {goal} rounds");
        Ok(())
    })
    .expect("it goes on");
}
