//! Nodes die permanently, are slow, or come back: the cluster repairs itself while clients work and
//! notice nothing.

use std::fs::DirEntry;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use coterie_tests::cluster::{Admin, Builder, Cluster, Group, Role};
use coterie_tests::slow_disk::SlowDisk;
use coterie_tests::slow_network::SlowNetwork;
use coterie_tests::workload::{crowd::Crowd, fill};
use coterie_tests::{rng, settings, wait};

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);

/// Time limit for copies of data between nodes.
const LONG: Duration = Duration::from_secs(240);

/// A cluster that soon replaces the replicas of a silent node.
fn hasty() -> Builder {
    let flags = ["--liveness-timeout", "2s", "--replace-after", "3s"];
    let builder = Cluster::builder().flags(Role::Controller, &flags);
    builder.split_at(&["55", "aa"])
}

/// Starts the cluster, and the spares after the groups are made. Moves for balance are off, so that
/// they stay spares.
fn start_with_spares(builder: Builder, spares: &[&[&str]]) -> Cluster {
    let mut cluster = builder.start().expect("starts");
    cluster.hold_still(WITHIN).expect("balance is off");
    for flags in spares {
        let spare = cluster.add_server(flags).expect("starts");
        cluster.wait_for_node(&spare, WITHIN).expect("it joins");
    }
    cluster
}

/// An error unless every group has three voters in step and no replica on this node.
fn check_without(admin: &Admin, node: u64) -> anyhow::Result<()> {
    for group in admin.groups()? {
        group.check_caught_up(3)?;
        let there = group.replicas.iter().any(|replica| replica.node == node);
        ensure!(!there, "node {node} has a replica still: {group:?}");
    }
    Ok(())
}

/// Issue: "kill a node for good with one spare in the pool: every group back to three caught-up
/// voters within 60 s of `--replace-after` for 1 GiB of data". Design section 10, "a node comes
/// back after removal": it learns of its removal and becomes a spare after it has wiped itself.
#[test]
fn a_node_killed_for_good_is_replaced_and_wipes_itself_when_it_comes_back() {
    const LOST: &str = "server-1";
    let mut cluster = start_with_spares(hasty(), &[&[]]);
    let mib = settings::number("COTERIE_REPAIR_MIB", 8);
    fill::spread(&cluster.proxy(), mib << 20).expect("fills");
    let (admin, node) = (cluster.admin(), cluster.node_of(LOST).expect("a node"));
    let crowd = Crowd::start(&cluster, "lost", rng::seed()).expect("starts");
    crowd.wait_for(100, WITHIN).expect("progress before");
    let killed = Instant::now();
    cluster.process(LOST).kill();
    crowd.wait_for(50, WITHIN).expect("progress without it");
    let bound = settings::number("COTERIE_REPAIR_SECONDS", 90) as u64;
    let mended = wait::until("all is whole", Duration::from_secs(bound), || {
        check_without(&admin, node)
    });
    mended.expect("mended");
    println!("whole {:?} after the kill, {mib} MiB", killed.elapsed());
    crowd.wait_for(50, WITHIN).expect("progress with the spare");

    assert!(replicas_on_disk(&cluster, LOST) > 0, "it holds what it had");
    cluster.process(LOST).start().expect("starts again");
    wait::until("it wipes what is no longer its own", WITHIN, || {
        // Its old id, or a new id.
        let row = admin.node(cluster.node_of(LOST)?)?;
        let left = replicas_on_disk(&cluster, LOST);
        ensure!(left == 0 && row.replicas == Some(0), "{left} left, {row:?}");
        Ok(())
    })
    .expect("wiped");
    crowd
        .wait_for(50, WITHIN)
        .expect("progress after its return");
    crowd.finish().expect("nobody noticed");
    cluster.check().expect("all agree");
}

/// The number of replicas with stores in a server's directory.
fn replicas_on_disk(cluster: &Cluster, server: &str) -> usize {
    let dir = cluster.dir(server).join("replicas");
    let entries = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten();
    let has_store = |replica: &DirEntry| {
        let is_store = |entry: DirEntry| entry.file_name().to_string_lossy().starts_with("store-");
        entries(&replica.path()).any(is_store)
    };
    entries(&dir).filter(has_store).count()
}

/// Issue, "What must exist" 2: with three zones, no group has a majority in a single zone, neither
/// after an operator's `COTERIE REPLACE` nor after a failure. Each time a spare in the wrong zone
/// exists as well; the spare in the right zone is taken.
#[test]
fn a_replacement_keeps_the_zones_apart() {
    let zones = hasty().zones(&["a", "b", "c"]);
    let mut cluster = start_with_spares(zones, &[&["--zone", "b"], &["--zone", "a"]]);
    let admin = cluster.admin();
    check_zones(&admin).expect("apart from the start");
    let (group, second) = (
        &admin.groups().expect("answers")[0],
        cluster.node_of("server-2"),
    );
    let second = second.expect("a node");
    let job = admin.replace(group.id, second).expect("begins");
    admin.finish(job, LONG).expect("replaced by command");
    let voters = admin.group(group.id).expect("the group").voters();
    assert!(!voters.contains(&second), "{voters:?}");
    check_zones(&admin).expect("apart after the command");
    let lost = cluster.node_of("server-1").expect("a node");
    cluster.process("server-1").kill();
    wait::until("all is whole", LONG, || check_without(&admin, lost)).expect("mended");
    check_zones(&admin).expect("apart after the repair");
}

/// An error unless the replicas of each group are in different zones; there are enough zones.
fn check_zones(admin: &Admin) -> anyhow::Result<()> {
    let nodes = admin.nodes()?;
    for group in admin.groups()? {
        let zone = |node: &u64| -> anyhow::Result<String> {
            let found = nodes.iter().find(|row| row.id == *node);
            Ok(found
                .with_context(|| format!("no node {node}"))?
                .zone
                .clone())
        };
        let voters = group.voters();
        let mut zones: Vec<String> = voters.iter().map(zone).collect::<anyhow::Result<_>>()?;
        zones.sort_unstable();
        zones.dedup();
        ensure!(zones.len() == voters.len(), "{group:?} is in {zones:?}");
    }
    Ok(())
}

/// Issue: "a follower whose disk is slowed (delays injected below the log engine) is replaced".
/// Design section 10, "slow disk, slow network": leaders leave that node within 10 s; its replicas
/// are replaced if the slowness lasts.
#[test]
fn a_node_with_a_slow_disk_leads_nothing_and_is_replaced() {
    const SLOW: &str = "server-2";
    let disk = SlowDisk::new().expect("a file");
    let flags = disk.flags();
    let builder = hasty().flags_of(SLOW, &flags.each_ref().map(String::as_str));
    let cluster = start_with_spares(builder, &[&[]]);
    let (admin, node) = (cluster.admin(), cluster.node_of(SLOW).expect("a node"));
    // It leads a group, so that leadership has to move.
    let group = admin.groups().expect("answers")[0].id;
    admin
        .persist(WITHIN, |admin| admin.lead(group, node))
        .expect("it leads");
    let crowd = Crowd::start(&cluster, "slow", rng::seed()).expect("starts");
    crowd.wait_for(100, WITHIN).expect("progress before");
    disk.delay(Duration::from_millis(400)).expect("slowed");
    watch_it_replaced(&admin, node);
    crowd.wait_for(50, WITHIN).expect("progress with the spare");
    crowd.finish().expect("nobody noticed");
    disk.delay(Duration::ZERO).expect("healed");
    cluster.check().expect("all agree");
}

/// Design section 10, "slow disk, slow network": the same for a node behind a slow network.
#[test]
fn a_node_behind_a_slow_network_leads_nothing_and_is_replaced() {
    const FAR: &str = "server-2";
    let network = SlowNetwork::start().expect("a relay");
    let addr = network.addr();
    let builder = hasty().flags_of(FAR, &["--advertise", &addr]);
    let mut cluster = builder.start_processes().expect("starts");
    network.lead_to(&cluster.addr(FAR));
    cluster.wait_until_serving(WITHIN).expect("serves");
    cluster.hold_still(WITHIN).expect("balance is off");
    let spare = cluster.add_server(&[]).expect("starts");
    cluster.wait_for_node(&spare, WITHIN).expect("it joins");
    let admin = cluster.admin();
    let nodes = admin.nodes().expect("answers");
    let far = nodes
        .iter()
        .find(|row| row.addr == addr)
        .expect("a node")
        .id;
    // Each of the three nodes leads a group, so two other leaders measure its response time.
    wait::until("all three lead", LONG, || {
        let mut leaders: Vec<_> = admin.groups()?.iter().map(|g| g.leader).collect();
        leaders.sort_unstable();
        leaders.dedup();
        ensure!(
            leaders.len() == 3 && !leaders.contains(&None),
            "{leaders:?}"
        );
        Ok(())
    })
    .expect("leaders are spread");
    let crowd = Crowd::start(&cluster, "far", rng::seed()).expect("starts");
    crowd.wait_for(100, WITHIN).expect("progress before");
    network.delay(Duration::from_millis(200));
    watch_it_replaced(&admin, far);
    crowd.wait_for(50, WITHIN).expect("progress with the spare");
    crowd.finish().expect("nobody noticed");
    network.delay(Duration::ZERO);
    cluster.check().expect("all agree");
}

/// Waits until a node that has just become slow leads no group, then until it has no replica.
fn watch_it_replaced(admin: &Admin, node: u64) {
    let slowed = Instant::now();
    let bound = settings::number("COTERIE_SLOW_SECONDS", 20) as u64;
    wait::until("it leads nothing", Duration::from_secs(bound), || {
        let leads = |group: &Group| group.leader == Some(node);
        let led = admin.groups()?.into_iter().find(leads);
        ensure!(led.is_none(), "it leads {led:?}");
        Ok(())
    })
    .expect("leaders leave it");
    println!("no leader {:?} after it became slow", slowed.elapsed());
    wait::until("it is replaced", LONG, || check_without(admin, node)).expect("replaced");
    println!("replaced {:?} after it became slow", slowed.elapsed());
}
