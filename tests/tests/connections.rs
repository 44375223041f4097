//! Misbehaving connections of every kind, for a while: they leave nothing behind in any process,
//! and do not hurt other clients meanwhile.
//!
//! `COTERIE_SOAK_SECONDS` is the duration; a full run takes an hour. `COTERIE_SOAK_REST_MS` is the
//! longest rest of a client between two acts. The clients are in `coterie_tests::unruly`; their
//! acts depend on `COTERIE_SEED` and on the machine's timing.
//!
//! The measurements are compared with those after a warm-up of the same kind, because memory that
//! fills once is no leak: caches (small here, so that the warm-up fills them), write buffers, pools
//! of connections and threads, tables of the store.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use coterie_tests::cluster::{Cluster, Role};
use coterie_tests::unruly::{self, Tally, Unruly};
use coterie_tests::vitals::Vitals;
use coterie_tests::workload::bystanders;
use coterie_tests::{rng, settings, wait};

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);

const MIB: u64 = 1 << 20;

/// The caches and write buffers of a server, small enough to be full after the warm-up.
const BUFFERS: [&str; 6] = [
    "--block-cache",
    "32MiB",
    "--record-cache",
    "16MiB",
    "--write-buffer",
    "2MiB",
];

/// Switches off splits by load: a split would change leaders and data after the warm-up.
const NO_SPLITS: [&str; 2] = ["--split-ops", "1000000"];

/// The number of unruly clients at each proxy.
const UNRULY: usize = 6;

/// The allowed growth of memory. The write buffers of a server's three replicas, at most two at a
/// time for each, are filled differently at each reading, and the allocators of Rust and of RocksDB
/// keep fragments of freed memory. The other processes have no buffers that fill.
const SERVER_MORE: u64 = 128 * MIB;
const OTHER_MORE: u64 = 48 * MIB;
/// The number of open files of the store, and of connections between processes, varies a little.
const DESCRIPTORS_MORE: usize = 24;
/// Threads for blocking calls end after ten idle seconds.
const THREADS_MORE: usize = 4;
/// Time limit for the return to the earlier values: longer than the allocator and idle threads hold
/// on.
const BACK_WITHIN: Duration = Duration::from_secs(90);

/// The shortest warm-up in seconds: caches, pools of threads and allocators fill within it.
const WARM_UP_MIN: u64 = 15;

/// The allowed factor between the p99 of other clients' small commands now and in the calm.
const SLOWER_MAX: u32 = 5;

/// Gauges that depend on data, time or leadership, and not on clients. Every other gauge of servers
/// and proxies must return to its earlier value, so a new gauge is considered before it is listed
/// here. The gauges of meta and the controller count nodes, ranges and jobs.
const NOT_OF_CLIENTS: [&str; 9] = [
    "applied_index",
    "last_index",
    "flushed_index",
    "size_bytes",
    "cache_bytes",
    "disk_free_bytes",
    "debt_bytes",
    "compactions_running",
    "replica_serving",
];

/// The resources of the processes: memory, descriptors and threads by process; gauges summed over
/// all of them.
#[derive(Debug, Clone)]
struct Resources {
    vitals: BTreeMap<String, Vitals>,
    gauges: BTreeMap<String, f64>,
}

impl Resources {
    fn of(cluster: &Cluster) -> anyhow::Result<Self> {
        let mut gauges = BTreeMap::<String, f64>::new();
        for name in [Role::Server, Role::Proxy]
            .map(|role| cluster.names(role))
            .concat()
        {
            for (gauge, value) in cluster.metrics(&name)?.gauges() {
                if !NOT_OF_CLIENTS.iter().any(|other| gauge.ends_with(other)) {
                    *gauges.entry(gauge).or_default() += value;
                }
            }
        }
        Ok(Self {
            vitals: cluster.vitals()?,
            gauges,
        })
    }

    /// An error unless this state equals `before` within the allowed growth.
    fn check_back(&self, before: &Self) -> anyhow::Result<()> {
        let mut over = Vec::new();
        for (name, now) in &self.vitals {
            let was = before.vitals[name];
            let more = if name.starts_with("server") {
                SERVER_MORE
            } else {
                OTHER_MORE
            };
            if now.memory > was.memory + more
                || now.descriptors > was.descriptors + DESCRIPTORS_MORE
                || now.threads > was.threads + THREADS_MORE
            {
                over.push(format!("{name}: {now}, before: {was}"));
            }
        }
        for (gauge, now) in &self.gauges {
            let was = before.gauges.get(gauge).copied().unwrap_or(0.0);
            if *now > was {
                over.push(format!("{gauge}: {now}, before: {was}"));
            }
        }
        ensure!(over.is_empty(), "{}", over.join("; "));
        Ok(())
    }
}

/// Waits until no client is connected and memory no longer falls.
fn settled(cluster: &Cluster) -> Resources {
    let mut last: Option<(Resources, Instant)> = None;
    let state = wait::until("the cluster is at rest", BACK_WITHIN, || {
        let now = Resources::of(cluster)?;
        let clients = now.gauges.get("coterie_proxy_clients").copied();
        ensure!(clients == Some(0.0), "{clients:?} clients");
        let rest = Duration::from_secs(3);
        match &last {
            Some((_, at)) if at.elapsed() < rest => anyhow::bail!("not looked at for long enough"),
            Some((then, _)) => {
                let falls =
                    |(name, now): (&String, &Vitals)| now.memory + MIB < then.vitals[name].memory;
                let falls = now.vitals.iter().any(falls);
                last = Some((now.clone(), Instant::now()));
                ensure!(!falls, "memory still falls");
                Ok(now)
            }
            None => {
                last = Some((now, Instant::now()));
                anyhow::bail!("looked at for the first time")
            }
        }
    });
    state.expect("at rest")
}

/// Starts the unruly clients of both proxies. CLIENT PAUSE stops all clients of a proxy, as it
/// should: only the second proxy, which has no other clients, receives it.
fn start_unruly(cluster: &Cluster, seed: u64) -> Vec<Unruly> {
    let proxies = cluster.proxies();
    let plans = proxies
        .into_iter()
        .enumerate()
        .map(|(at, addr)| unruly::Plan {
            addr,
            clients: UNRULY,
            seed: seed.wrapping_add(at as u64),
            may_pause: at > 0,
            rest: settings::millis("COTERIE_SOAK_REST_MS", 40),
        });
    plans.map(|plan| plan.start().expect("starts")).collect()
}

fn finish_unruly(unruly: Vec<Unruly>) -> Tally {
    let mut all = Tally::default();
    for clients in unruly {
        all.absorb(clients.finish().expect("they end"));
    }
    all
}

/// Lets the clients run for `time`; panics at once if a process ends.
fn go_on(cluster: &mut Cluster, time: Duration) {
    let (began, mut told) = (Instant::now(), Instant::now());
    while began.elapsed() < time {
        std::thread::sleep(Duration::from_millis(200));
        for name in cluster.all_names() {
            assert!(cluster.process(&name).is_running(), "{name} ended");
        }
        if told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            println!("after {} s", began.elapsed().as_secs());
            for (name, vitals) in cluster.vitals().expect("all run") {
                println!("  {name}: {vitals}");
            }
        }
    }
}

fn report(before: &Resources, after: &Resources) {
    for (name, now) in &after.vitals {
        println!("{name}: {now}; after the warm-up: {}", before.vitals[name]);
    }
    println!(
        "gauges: {:?}; after the warm-up: {:?}",
        after.gauges, before.gauges
    );
}

/// Issue: "fuzzed connections [...] on a small cluster leave memory, descriptors and tasks of every
/// process where they were, and nobody else's p99 above five times".
#[test]
fn unruly_clients_leave_nothing_behind_and_hurt_nobody() {
    let seconds = settings::number("COTERIE_SOAK_SECONDS", 20) as u64;
    let time = Duration::from_secs(seconds);
    let noise = settings::millis("COTERIE_SOAK_NOISE_MS", 100);
    let part = Duration::from_secs((seconds / 4).clamp(WARM_UP_MIN, 300));
    let seed = rng::seed();
    let builder = Cluster::builder()
        .count(Role::Meta, 1)
        .count(Role::Proxy, 2)
        .flags(Role::Server, &BUFFERS)
        .flags(Role::Controller, &NO_SPLITS)
        .split_at(&["c", "m"]);
    let mut cluster = builder.start().expect("starts");
    cluster.hold_still(WITHIN).expect("nothing moves");

    let warming = start_unruly(&cluster, seed.wrapping_sub(2));
    let small = bystanders::Plan {
        addr: cluster.proxy(),
        clients: 4,
        period: Duration::from_millis(20),
    };
    small.measure(part).expect("they are served");
    println!("warm-up: {}", finish_unruly(warming));
    let before = settled(&cluster);
    let calm = small
        .measure(part.min(Duration::from_secs(60)))
        .expect("they are served");
    cluster.forget_peaks().expect("forgets");

    let unruly = start_unruly(&cluster, seed);
    let beside = small.start().expect("starts");
    go_on(&mut cluster, time);
    let beside = beside.finish().expect("they are served");
    let tally = finish_unruly(unruly);
    println!("unruly: {tally}\ncalm:   {calm}\nbeside: {beside}");
    let back = wait::until("everything is where it was", BACK_WITHIN, || {
        Resources::of(&cluster)?.check_back(&before)
    });
    report(&before, &Resources::of(&cluster).expect("all answer"));

    back.expect("back");
    assert!(tally.unanswered.is_empty(), "{:#?}", tally.unanswered);
    calm.check_good().expect("a calm cluster serves");
    beside.check_good().expect("others are served");
    let bound = (calm.p99() * SLOWER_MAX).max(noise);
    assert!(
        beside.p99() <= bound,
        "p99 {:?}, bound {bound:?}",
        beside.p99()
    );
    unruly::verify_large(&cluster.proxy()).expect("as written");
    cluster.check().expect("all agree");
}
