//! The cost of a large move: `COTERIE_MOVE_MIB` of data move between two groups while clients
//! write. The figures are printed and have no bound: they depend on the machine.

use std::time::{Duration, Instant};

use coterie_tests::cluster::{Admin, Cluster, Role, To};
use coterie_tests::settings;
use coterie_tests::workload::{fill, ledger};

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);

/// Time limit for filling and copying, at any size.
const LONG: Duration = Duration::from_secs(1800);

/// Issue: "Moving 1 GiB between groups while 50 clients write: rate, foreground p99 before and
/// during, bytes copied over bytes in range". The writes before are enough for a 99th percentile.
#[test]
fn the_cost_of_a_large_move_is_printed() {
    let mib = settings::number("COTERIE_MOVE_MIB", 16);
    let clients = settings::number("COTERIE_MOVE_CLIENTS", 8);
    // The range moves as a whole, however large it is.
    let cluster = Cluster::builder()
        .flags(Role::Controller, &["--split-size", "1TiB"])
        .split_at(&["80"])
        .start()
        .expect("starts");
    cluster.hold_still(WITHIN).expect("balance is off");
    fill::under(&cluster.proxy(), "90:", mib << 20).expect("fills");
    let plan = ledger::Plan {
        addrs: cluster.proxies(),
        clients,
        name: String::new(),
        keys_per_client: 100,
        padding: 100,
        think: Duration::from_millis(1),
        operations_max: usize::MAX,
    };
    let load = plan.start().expect("starts");
    load.wait_for(100, WITHIN).expect("the first writes");
    // Filling causes compactions, which would distort the reference.
    cluster.wait_until_compacted(LONG).expect("at rest");
    println!("the first: {}", load.take_pauses());
    // At full size these writes are enough to cause compactions of their own.
    let writes_before = (settings::number("COTERIE_MOVE_WRITES", 2_000) * clients) as u64;
    load.wait_for(writes_before, LONG).expect("writes before");
    let before = load.take_pauses();

    let admin = cluster.admin();
    let began = Instant::now();
    let to = To::Group(bare_group(&admin));
    let job = admin.move_range("90:", to).expect("begins");
    let job = admin.finish(job, LONG).expect("done");
    let (took, during) = (began.elapsed(), load.take_pauses());
    let copied = job.bytes.unwrap_or(0) as f64;
    load.wait_for(writes_before, LONG).expect("writes after");
    println!("before: {before}");
    println!("during: {during}");
    println!("after: {}", load.take_pauses());
    println!(
        "{mib} MiB in {took:?}: {:.1} MiB/s; p99 {:.2} times that before; {:.2} bytes copied per byte",
        mib as f64 / took.as_secs_f64(),
        during.percentile(99.0).as_secs_f64() / before.percentile(99.0).as_secs_f64(),
        copied / (mib << 20) as f64
    );
    let (written, troubles) = ledger::finish(load, WITHIN).expect("stops");
    troubles.expect_none();
    written
        .verify(&cluster.proxy())
        .expect("everything is found");
    cluster.check().expect("all agree");
}

/// A group without ranges: after the move the load is on as many groups as before.
fn bare_group(admin: &Admin) -> u64 {
    let (groups, ranges) = (admin.groups(), admin.ranges());
    let (groups, ranges) = (groups.expect("answers"), ranges.expect("answers"));
    let owns = |id: u64| ranges.iter().any(|range| range.group == id);
    let bare = groups.iter().find(|group| !owns(group.id));
    bare.expect("more groups than ranges").id
}
