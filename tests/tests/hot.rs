//! Uneven load: a hot range is split where the split halves its load, and one side moves; a single
//! hot key cannot be split, and is named.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use coterie_tests::cluster::{Admin, Builder, Cluster, Role};
use coterie_tests::workload::counters::{self, CountersLoad};
use coterie_tests::{rng, settings, wait};

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);

const CLIENTS: usize = 16;

/// The largest allowed share of a side of the split.
const SIDE_MAX: f64 = 0.6;

/// Three groups with a range each, and a bound on load that any test exceeds.
fn hot() -> Builder {
    let builder = Cluster::builder().flags(Role::Controller, &["--split-ops", "200"]);
    builder.split_at(&["55", "aa"])
}

/// As [`hot`] with four nodes, and started, each node on a host of its own.
fn start() -> Cluster {
    let builder = hot().count(Role::Server, 4);
    let builder = builder.hosts(&["a", "b", "c", "d"]);
    builder.start().expect("starts")
}

/// The operations per second over the next `operations`.
fn throughput(load: &CountersLoad, operations: u64) -> f64 {
    let began = Instant::now();
    load.wait_for(operations, WITHIN).expect("progress");
    operations as f64 / began.elapsed().as_secs_f64()
}

/// Issue: with all clients on a single range, within 30 s its load is on two groups on different
/// nodes, and neither side has more than 60%; throughput before and after is printed.
#[test]
fn a_hot_range_is_cut_and_its_load_is_on_two_nodes() {
    let cluster = start();
    let admin = cluster.admin();
    // Each key gets the same share of the load.
    let keys: Vec<String> = (0..64).map(|n| format!("{:02x}:hot", 0x10 + n)).collect();
    let seed = rng::seed();
    let load = counters::start(&cluster.proxies(), &keys, CLIENTS, usize::MAX, seed);
    let load = load.expect("starts");
    let before = throughput(&load, 500);
    let began = Instant::now();
    let bound = settings::number("COTERIE_HOT_SECONDS", 60) as u64;
    let shares = wait::until("the load is parted", Duration::from_secs(bound), || {
        check_parted(&admin, &keys)
    });
    let shares = shares.expect("parted");
    let after = throughput(&load, 500);
    println!(
        "parted {:?} after the first 500: {shares:?}",
        began.elapsed()
    );
    println!(
        "{before:.0} operations/s before, {after:.0} after; {}",
        load.take_pauses()
    );
    for kind in ["split", "balance"] {
        let told = wait::until("what it did is told", WITHIN, || check_judged(&admin, kind));
        println!("{kind}: {}", told.expect("judged"));
    }
    let (counts, troubles) = counters::finish(load, WITHIN).expect("stops");
    troubles.expect_none();
    counters::verify(&counts, &cluster.proxy()).expect("exact");
    cluster.check().expect("all agree");
}

/// The share of the keys in each group. An error unless two or more groups, led by different nodes,
/// have shares, and none is too large.
fn check_parted(admin: &Admin, keys: &[String]) -> anyhow::Result<BTreeMap<u64, f64>> {
    let (ranges, groups) = (admin.ranges()?, admin.groups()?);
    let mut shares = BTreeMap::<u64, f64>::new();
    for key in keys {
        let range = ranges.iter().find(|range| range.holds(key.as_bytes()));
        let group = range.context("no range holds a key")?.group;
        *shares.entry(group).or_default() += 1.0 / keys.len() as f64;
    }
    let leaders: BTreeSet<u64> = groups
        .iter()
        .filter(|group| shares.contains_key(&group.id))
        .filter_map(|group| group.leader)
        .collect();
    ensure!(leaders.len() >= 2, "led by {leaders:?}: {shares:?}");
    ensure!(
        shares.values().all(|&share| share <= SIDE_MAX),
        "{shares:?}"
    );
    Ok(shares)
}

/// A job of this kind tells its effect on the load, and how long writes paused; its last line.
fn check_judged(admin: &Admin, kind: &str) -> anyhow::Result<String> {
    let jobs = admin.jobs()?;
    let of_kind = jobs.iter().filter(|job| job.kind == kind);
    for job in of_kind {
        let log = admin.job(job.id)?.log;
        let is_paused = log
            .iter()
            .any(|line| line.contains("paused for") && line.contains(" ms"));
        let last = log.last().cloned().unwrap_or_default();
        if is_paused && last.contains(" before, ") && last.contains(" help") {
            return Ok(last);
        }
    }
    bail!("no {kind} in {jobs:?}")
}

/// Issue 11, 2: servers of a machine, which they find out by themselves, share its CPU: nothing
/// is split or moved for load, and the reason is given.
#[test]
fn a_load_on_one_machine_is_neither_cut_nor_moved() {
    let cluster = hot().start().expect("starts");
    let admin = cluster.admin();
    let nodes = admin.nodes().expect("answers");
    let hosts: BTreeSet<&str> = nodes.iter().map(|node| node.host.as_str()).collect();
    assert!(hosts.len() == 1 && !hosts.contains(""), "{nodes:?}");
    let keys: Vec<String> = (0..64).map(|n| format!("{:02x}:hot", 0x10 + n)).collect();
    let load = counters::start(&cluster.proxies(), &keys, CLIENTS, usize::MAX, rng::seed());
    let load = load.expect("starts");
    let refused = || -> anyhow::Result<()> {
        let told = texts(&admin.ask(&["JOBS", "REFUSED"])?);
        let is_told = |line: &String| line.contains("all nodes are on one host");
        ensure!(told.iter().any(is_told), "{told:?}");
        Ok(())
    };
    wait::until("it is said why", WITHIN, refused).expect("said");
    // Some time more at the same load.
    load.wait_for(2_000, WITHIN).expect("progress");
    let jobs = admin.jobs().expect("answers");
    let kinds: Vec<&str> = jobs.iter().map(|job| job.kind.as_str()).collect();
    assert_eq!(kinds, ["bootstrap"], "{jobs:?}");
    let (counts, troubles) = counters::finish(load, WITHIN).expect("stops");
    troubles.expect_none();
    counters::verify(&counts, &cluster.proxy()).expect("exact");
}

/// Issue, "What must exist" 4: a split leaves at most 60% on either side. If a single key makes
/// that impossible, the range stays whole and the hot key is named in `COTERIE HOTKEYS`.
#[test]
fn a_hot_key_is_named_and_its_range_is_left_whole() {
    const HOT: &str = "20:the-hot-key";
    let cluster = start();
    let admin = cluster.admin();
    let before = admin.ranges().expect("answers");
    let keys = [HOT.to_owned()];
    let load = counters::start(&cluster.proxies(), &keys, CLIENTS, usize::MAX, 1);
    let load = load.expect("starts");
    let named = wait::until("the key is named", WITHIN, || {
        let said = texts(&admin.ask(&["HOTKEYS"])?);
        ensure!(said.iter().any(|text| text.contains(HOT)), "{said:?}");
        Ok(said)
    });
    println!("{:?}", named.expect("named"));
    load.wait_for(500, WITHIN).expect("progress");
    let after = admin.ranges().expect("answers");
    let starts = |ranges: &[coterie_tests::cluster::Range]| -> Vec<Vec<u8>> {
        ranges.iter().map(|range| range.start.clone()).collect()
    };
    assert_eq!(starts(&before), starts(&after), "it was cut");
    let (counts, troubles) = counters::finish(load, WITHIN).expect("stops");
    troubles.expect_none();
    counters::verify(&counts, &cluster.proxy()).expect("exact");
}

/// Every text in a reply, at any depth.
fn texts(reply: &coterie_tests::resp::Reply) -> Vec<String> {
    let nested = reply.elements().iter().flat_map(texts);
    reply.text().into_iter().chain(nested).collect()
}
