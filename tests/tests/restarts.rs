//! The pauses that clients see when a process is killed or asked to end, and leaders that should
//! not lead.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::ensure;
use coterie_tests::cluster::{Cluster, Role};
use coterie_tests::connection::Connection;
use coterie_tests::hosts::Hosts;
use coterie_tests::resp::Reply;
use coterie_tests::settings::{millis, number};
use coterie_tests::small_disk::SmallDisk;
use coterie_tests::workload::probes::Probes;
use coterie_tests::{foreign, wait};

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);

/// The keys at which table 0 is split, and a key of each part.
const CUTS: [&str; 2] = ["55", "aa"];
const KEYS: [&str; 3] = ["00:probe", "60:probe", "b0:probe"];

/// The pause of each round.
struct Rounds(Vec<Duration>);

impl Rounds {
    fn median(&self) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() - 1) / 2]
    }

    fn worst(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }

    fn print(&self, what: &str) {
        let (rounds, median, worst) = (self.0.len(), self.median(), self.worst());
        println!("{what}: {rounds} rounds, pause p50 {median:?}, worst {worst:?}");
    }
}

fn ok() -> Reply {
    Reply::Simple("OK".to_owned())
}

fn keys() -> Vec<String> {
    KEYS.map(str::to_owned).into()
}

/// Waits until the cluster is whole again: each group has a running leader and all voters in step.
fn back(cluster: &mut Cluster) {
    cluster.wait_for_leaders(WITHIN).expect("leaders");
    cluster.wait_until_caught_up(3, WITHIN).expect("up to date");
}

/// A leader is killed, starts again and gets leaders back. Its election is the only pause: moves of
/// leaders for balance after its return cause none.
#[test]
fn the_pause_after_a_kill_of_a_leader_is_printed() {
    let mut cluster = Cluster::builder().split_at(&CUTS).start().expect("starts");
    back(&mut cluster);
    let probes = Probes::start(&cluster.proxy(), &keys()).expect("starts");
    let (mut kills, mut returns) = (Rounds(Vec::new()), Rounds(Vec::new()));
    for round in 0..number("COTERIE_KILL_ROUNDS", 4) {
        let leaders = cluster.wait_for_leaders(WITHIN).expect("leaders");
        let group = cluster.group_of(KEYS[round % KEYS.len()]).expect("a group");
        let leader = leaders[&group].clone();
        probes.wait_for(100, WITHIN).expect("calls before");
        let _ = probes.take();
        cluster.process(&leader).kill();
        // A pause is recorded when it is over.
        cluster.wait_for_leaders(WITHIN).expect("others lead");
        probes.wait_for(300, WITHIN).expect("calls without it");
        let killed = probes.take();
        println!(
            "{leader} killed: writes {}; reads {}",
            killed.writes, killed.reads
        );
        kills.0.push(killed.worst());
        cluster.process(&leader).start().expect("starts again");
        back(&mut cluster);
        wait_for_balance(&cluster, &leader);
        probes.wait_for(100, WITHIN).expect("calls after");
        let returned = probes.take();
        println!(
            "{leader} back: writes {}; reads {}",
            returned.writes, returned.reads
        );
        returns.0.push(returned.worst());
    }
    kills.print("kills of a leader");
    returns.print("returns after them");
    probes.finish(WITHIN).expect("stops").expect_none();
    assert!(kills.median() <= millis("COTERIE_KILL_MEDIAN_MS", 1_800));
    assert!(kills.worst() <= millis("COTERIE_KILL_WORST_MS", 4_000));
    assert!(returns.worst() <= millis("COTERIE_RESTART_PAUSE_MS", 1_000));
}

/// Waits until a server leads again.
fn wait_for_balance(cluster: &Cluster, server: &str) {
    wait::until(&format!("{server} leads again"), WITHIN, || {
        let leaders = cluster.leaders()?;
        ensure!(
            leaders.values().any(|leader| leader == server),
            "{leaders:?}"
        );
        Ok(())
    })
    .expect("balance gives it a group");
}

/// Every process but the clients' own proxy is asked to end, and starts again: servers, members of
/// meta, the controller, another proxy.
#[test]
fn the_pause_of_a_planned_restart_is_printed() {
    let builder = Cluster::builder().count(Role::Proxy, 2).split_at(&CUTS);
    let mut cluster = builder.start().expect("starts");
    back(&mut cluster);
    let probes = Probes::start(&cluster.proxy(), &keys()).expect("starts");
    let mut rounds = Rounds(Vec::new());
    let mut names = cluster.all_names();
    names.retain(|name| name != "proxy-1");
    // Servers first, for runs with few rounds.
    names.sort_by_key(|name| !name.starts_with("server"));
    for round in 0..number("COTERIE_PLANNED_ROUNDS", 6) {
        let name = names[round % names.len()].clone();
        back(&mut cluster);
        probes.wait_for(100, WITHIN).expect("calls before");
        let _ = probes.take();
        cluster
            .restart_gently(&name)
            .expect("ends and starts again");
        back(&mut cluster);
        if name.starts_with("server") {
            wait_for_balance(&cluster, &name);
        }
        probes.wait_for(100, WITHIN).expect("calls after");
        let pauses = probes.take();
        println!("{name}: writes {}; reads {}", pauses.writes, pauses.reads);
        rounds.0.push(pauses.worst());
    }
    rounds.print("planned restarts");
    probes.finish(WITHIN).expect("stops").expect_none();
    assert!(rounds.worst() <= millis("COTERIE_RESTART_PAUSE_MS", 1_000));
}

/// Waits until the program at each host has counted on for a while, in a key of its own.
fn wait_for_beats(hosts: &Hosts) {
    for (at, proxy) in hosts.proxies().iter().enumerate() {
        let beat = || -> anyhow::Result<u64> {
            let mut client = Connection::open(proxy, WITHIN)?;
            match client.call(&["GET", &format!("hosts{at}:beat")])? {
                Reply::Bulk(count) => Ok(std::str::from_utf8(&count)?.parse()?),
                other => anyhow::bail!("{other:?}"),
            }
        };
        let began = wait::until("a program begins", WITHIN, beat).expect("it begins");
        wait::until("a program goes on", WITHIN, || {
            let count = beat()?;
            ensure!(count > began + 30, "{count} of {began} and 30");
            Ok(())
        })
        .expect("it goes on");
    }
}

/// Three hosts, each a process with all roles, are asked to end in turn under the load of redis-py
/// with its default settings at every host: no client sees an error, even at the host that stops.
#[test]
fn sigterm_of_each_host_in_turn_is_no_error_to_redis_py() {
    let mut hosts = Hosts::start(&["--split-at", "55,aa"], WITHIN).expect("starts");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/redis_py_load.py");
    let mut clients = Vec::new();
    for (at, proxy) in hosts.proxies().iter().enumerate() {
        let (host, port) = proxy.rsplit_once(':').expect("host and port");
        let name = format!("hosts{at}");
        let started = foreign::start_redis_py(&script, &[host, port, &name]);
        let Some(client) = started.expect("starts") else {
            return;
        };
        clients.push(client);
    }
    wait_for_beats(&hosts);
    for _ in 0..number("COTERIE_HOST_ROUNDS", 1) {
        for at in 0..hosts.proxies().len() {
            let (began, process) = (Instant::now(), hosts.process(at));
            let status = process.terminate(WITHIN).expect("ends");
            assert!(status.success(), "host {at}: {status}");
            let ended = began.elapsed();
            process.start().expect("starts again");
            hosts.wait_until_serving(WITHIN).expect("serves");
            println!(
                "host {at}: ended after {ended:?}, serves after {:?}",
                began.elapsed()
            );
            wait_for_beats(&hosts);
        }
    }
    let mut failures = Vec::new();
    for (at, client) in clients.into_iter().enumerate() {
        match client.finish() {
            Ok(said) => println!("host {at}: redis-py {}", said.trim()),
            Err(error) => failures.push(format!("host {at}: {error:#}")),
        }
    }
    if !failures.is_empty() {
        hosts.print_logs();
    }
    assert!(failures.is_empty(), "{failures:?}");
}

/// Starts servers with disks of their own, each large enough for a while.
fn on_small_disks(disks: &[SmallDisk]) -> Cluster {
    let reserve = ["--disk-reserve", "96MiB"];
    let mut builder = Cluster::builder()
        .flags(Role::Server, &reserve)
        .split_at(&CUTS);
    for (at, disk) in disks.iter().enumerate() {
        builder = builder.dir_of(&format!("server-{}", at + 1), disk.path().join("data"));
    }
    let mut cluster = builder.start().expect("starts");
    back(&mut cluster);
    cluster
}

fn small_disks() -> Option<Vec<SmallDisk>> {
    (0..3)
        .map(|_| SmallDisk::mount(512).expect("mounts or skips"))
        .collect()
}

/// Leaves less than the reserve, and still enough for the files that are written without client
/// writes.
fn fill(disk: &SmallDisk) -> PathBuf {
    disk.fill(64 << 20).expect("fills")
}

/// A server's disk is full: it leads no group any more, no client is refused, and when there is
/// room again it leads as before.
#[test]
fn a_leader_without_room_hands_over_to_one_that_has_some() {
    let Some(disks) = small_disks() else { return };
    let mut cluster = on_small_disks(&disks);
    let probes = Probes::start(&cluster.proxy(), &keys()).expect("starts");
    probes.wait_for(100, WITHIN).expect("calls before");
    let group = cluster.group_of(KEYS[0]).expect("a group");
    let full = cluster.wait_for_leaders(WITHIN).expect("leaders")[&group].clone();
    let number: usize = full
        .trim_start_matches("server-")
        .parse()
        .expect("a number");
    let filler = fill(&disks[number - 1]);
    let leads_nothing = || {
        let leaders = cluster.leaders()?;
        let leads = leaders.values().any(|leader| *leader == full);
        ensure!(!leads, "{leaders:?}");
        Ok(())
    };
    wait::until("it leads nothing", WITHIN, leads_nothing).expect("it hands over");
    probes.wait_for(300, WITHIN).expect("calls without it");
    leads_nothing().expect("balance gives it nothing");
    println!("without room: {:?}", probes.take().worst());
    probes.finish(WITHIN).expect("stops").expect_none();
    std::fs::remove_file(filler).expect("removes");
    wait_for_balance(&cluster, &full);
}

/// All disks are full: writes are refused in Redis' words; reads and deletions are served, and
/// writes again when there is room.
#[test]
fn with_all_disks_full_reads_and_deletions_are_served() {
    let Some(disks) = small_disks() else { return };
    let cluster = on_small_disks(&disks);
    let mut client = cluster.connect().expect("connects");
    for key in KEYS {
        assert_eq!(client.call(&["SET", key, "x"]).expect("answers"), ok());
    }
    let fillers: Vec<_> = disks.iter().map(fill).collect();
    wait::until("writes are refused", WITHIN, || {
        let reply = client.call(&["SET", "full", "x"])?;
        let is_refused = matches!(&reply, Reply::Error(text) if text.contains("disk"));
        ensure!(is_refused, "{reply:?}");
        Ok(())
    })
    .expect("they are");
    for key in KEYS {
        let found = client.call(&["GET", key]).expect("answers");
        assert_eq!(found, Reply::Bulk(b"x".to_vec()));
        let deleted = client.call(&["DEL", key]).expect("answers");
        assert_eq!(deleted, Reply::Integer(1));
    }
    for filler in fillers {
        std::fs::remove_file(filler).expect("removes");
    }
    for key in KEYS {
        wait::until("writes are taken again", WITHIN, || {
            let reply = client.call(&["SET", key, "x"])?;
            ensure!(reply == ok(), "{reply:?}");
            Ok(())
        })
        .expect("they are");
    }
}
