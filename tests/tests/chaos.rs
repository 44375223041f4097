//! Clients work while processes are killed and paused at random. Their history must be
//! linearizable, as if each key were a single register. `COTERIE_BLOWS` is the number of blows.

use std::time::Duration;

use bytes::Bytes;
use coterie_tests::cluster::{Cluster, Role};
use coterie_tests::nemesis::Blow;
use coterie_tests::rng::{self, Rng};
use coterie_tests::workload::{counters, registers};
use coterie_tests::{checker, history, settings};

const WITHIN: Duration = Duration::from_secs(90);

#[test]
fn histories_under_kills_and_pauses_are_linearizable() {
    let seed = rng::seed();
    let mut rng = Rng::new(seed);
    let builder = Cluster::builder()
        .count(Role::Proxy, 2)
        .count(Role::Controller, 2);
    let mut cluster = builder
        .split_at(&["key:3", "key:6"])
        .start()
        .expect("starts");
    let blows = settings::number("COTERIE_BLOWS", 8);
    // Enough for all blows: a client at its maximum stops, and the next blow waits for progress.
    let operations_max = (blows * 100).max(20_000);
    let plan = registers::Registers {
        addrs: cluster.proxies(),
        clients: 8,
        keys: (0..9).map(|n| Bytes::from(format!("key:{n}"))).collect(),
        think: Duration::ZERO,
        operations_max,
        seed,
    };
    let load = plan.start().expect("starts");
    let counted: Vec<String> = ["count:1", "key:4:count"].map(str::to_owned).into();
    let counts =
        counters::start(&cluster.proxies(), &counted, 3, operations_max, seed).expect("starts");
    for _ in 0..blows {
        load.wait_for(100, WITHIN)
            .expect("progress before the blow");
        let blow = Blow::any(&mut rng);
        println!("{blow:?}");
        blow.deal(&mut cluster, &mut rng).expect("deals it");
    }
    load.wait_for(300, WITHIN)
        .expect("progress after the last blow");
    let (history, troubles) = registers::finish(load, WITHIN).expect("stops");
    let (counts, count_troubles) = counters::finish(counts, WITHIN).expect("stops");
    assert!(
        troubles.rejected.is_empty() && count_troubles.rejected.is_empty(),
        "{troubles:?} {count_troubles:?}"
    );
    let saved = cluster.folder().join("history");
    std::fs::write(&saved, history::render(&history)).expect("saves the history");
    println!(
        "{} operations, {} of unknown fate",
        history.len(),
        troubles.unknown.len()
    );
    checker::check(&history).expect_linearizable();
    counters::verify(&counts, &cluster.proxy()).expect("counts are exact");
}
