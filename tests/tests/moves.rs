//! Ranges are split, merged and moved by command while clients work and notice nothing (design
//! section 9). `COTERIE_MOVES` is the number of moves of a range between two groups,
//! `COTERIE_MOVE_KILLS` the number of moves during which processes are killed.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use coterie_tests::cluster::{Admin, Cluster, Role, To};
use coterie_tests::resp::Reply;
use coterie_tests::rng::{self, Rng};
use coterie_tests::workload::{counters, crowd::Crowd, fill};
use coterie_tests::{settings, wait};

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);

const MIB: usize = 1 << 20;

/// Three ranges in three groups; only the test moves ranges. `flags` are the servers'.
fn start(flags: &[&str]) -> Cluster {
    let builder = Cluster::builder()
        .flags(Role::Server, flags)
        .split_at(&["55", "aa"]);
    let cluster = builder.start().expect("starts");
    cluster.hold_still(WITHIN).expect("balance is off");
    cluster
}

/// The longest pause that a move may cause: 50 ms on a dedicated machine; more here.
fn pause_max() -> Duration {
    settings::millis("COTERIE_PAUSE_MS", 2_000)
}

/// The group that owns a key, and another group.
fn owner_and_other(admin: &Admin, key: &str) -> (u64, u64) {
    let owner = admin.range_of(key).expect("a range").group;
    let groups = admin.groups().expect("answers");
    let other = groups.iter().find(|group| group.id != owner);
    (owner, other.expect("another group").id)
}

/// Moves the range of a key and waits until the job is done.
fn move_and_finish(admin: &Admin, key: &str, to: To) {
    let job = admin.move_range(key, to).expect("begins");
    admin.finish(job, WITHIN).expect("done");
    if let To::Group(group) = to {
        assert_eq!(admin.range_of(key).expect("a range").group, group);
    }
}

/// Issue, "What must exist" 4 and 5: split, move, move to a new group and merge by command, with no
/// error and no loss; `coterie check` finds no fault.
#[test]
fn splits_moves_and_merges_by_command_are_not_noticed() {
    let cluster = start(&[]);
    let admin = cluster.admin();
    let crowd = Crowd::start(&cluster, "command", rng::seed()).expect("starts");
    crowd.wait_for(100, WITHIN).expect("progress before");

    let before = admin.range_of("40:").expect("a range");
    let job = admin.split("40:").expect("begins");
    admin.finish(job, WITHIN).expect("split");
    let (left, right) = (admin.range_of("3f:"), admin.range_of("40:"));
    let (left, right) = (left.expect("a range"), right.expect("a range"));
    assert_eq!(
        (left.id, left.end.as_deref()),
        (before.id, Some(&b"40:"[..]))
    );
    assert_eq!(
        (right.start.as_slice(), &right.end),
        (&b"40:"[..], &before.end)
    );
    assert!(left.epoch > before.epoch && right.epoch > before.epoch);
    crowd
        .wait_for(50, WITHIN)
        .expect("progress after the split");

    let (first, other) = owner_and_other(&admin, "40:");
    move_and_finish(&admin, "40:", To::Group(other));
    crowd.wait_for(50, WITHIN).expect("progress after the move");
    let known: Vec<u64> = admin
        .groups()
        .expect("groups")
        .iter()
        .map(|g| g.id)
        .collect();
    move_and_finish(&admin, "40:", To::New);
    let made = admin.range_of("40:").expect("a range").group;
    assert!(!known.contains(&made), "group {made} was there before");
    crowd.wait_for(50, WITHIN).expect("progress in a new group");

    move_and_finish(&admin, "40:", To::Group(first));
    let job = admin.merge("3f:").expect("begins");
    admin.finish(job, WITHIN).expect("merged");
    let whole = admin.range_of("40:").expect("a range");
    assert_eq!((whole.id, &whole.end), (before.id, &before.end));
    assert!(whole.epoch > left.epoch.max(right.epoch));
    crowd
        .wait_for(50, WITHIN)
        .expect("progress after the merge");
    crowd.finish().expect("nobody noticed");
    cluster.check().expect("all agree");
}

/// Issue, "What must exist" 5: moves lose no increment and execute none twice; count and checksum
/// agree.
#[test]
fn a_range_that_moves_to_and_fro_keeps_exact_counts() {
    let seed = rng::seed();
    let cluster = start(&[]);
    let admin = cluster.admin();
    let mut crowd = Crowd::start(&cluster, "fro", seed).expect("starts");
    let keys: Vec<String> = (0..16).map(|n| format!("8{n:x}:fro")).collect();
    let load = counters::start(&cluster.proxies(), &keys, 4, usize::MAX, seed).expect("starts");
    load.wait_for(100, WITHIN).expect("counts before");
    println!("before: {}", load.take_pauses());
    crowd.take_pauses();
    let (home, away) = owner_and_other(&admin, "80:");
    for round in 0..settings::number("COTERIE_MOVES", 4) {
        let to = if round % 2 == 0 { away } else { home };
        move_and_finish(&admin, "80:", To::Group(to));
        load.wait_for(50, WITHIN).expect("counts between moves");
    }
    println!("counters during moves: {}", load.take_pauses());
    println!("the others during moves: {}", crowd.take_pauses());
    let (counts, troubles) = counters::finish(load, WITHIN).expect("stops");
    troubles.expect_none();
    counters::verify(&counts, &cluster.proxy()).expect("exact");
    crowd.finish().expect("nobody noticed");
    cluster.check().expect("all agree");
}

/// Issue, "What must exist" 5: TTLs, versions (WATCH) and large values move with the range. The
/// copying is slow here, so that meta's map names the destination long before it has all records.
#[test]
fn what_belongs_to_a_key_moves_with_it() {
    let cluster = start(&["--move-rate", "1MiB"]);
    fill::under(&cluster.proxy(), "6f:", 3 * MIB).expect("fills");
    a_key_expires_in_time_after_a_move(&cluster);
    a_watched_key_tells_what_happened_across_a_move(&cluster);
    values_of_the_maximum_size_stall_nobody(&cluster);
    cluster.check().expect("all agree");
}

/// Starts a move of the range of `key` to another group, and waits until that group serves it while
/// it still copies. Returns the job.
fn begin_move(admin: &Admin, key: &str) -> u64 {
    let (_, other) = owner_and_other(admin, key);
    let job = admin.move_range(key, To::Group(other)).expect("begins");
    wait::until("the map says the destination", WITHIN, || {
        let owner = admin.range_of(key)?.group;
        ensure!(owner == other, "group {owner} owns it");
        Ok(())
    })
    .expect("it is handed over");
    job
}

fn a_key_expires_in_time_after_a_move(cluster: &Cluster) {
    const LIVES: Duration = Duration::from_secs(4);
    let mut client = cluster.connect().expect("connects");
    let mut call = |words: &[&str]| client.call(words).expect("answers");
    call(&["SET", "60:long", "x", "EX", "1000"]);
    let ends = call(&["PEXPIRETIME", "60:long"]);
    let written = Instant::now();
    call(&["SET", "60:short", "x", "PX", &LIVES.as_millis().to_string()]);
    let job = begin_move(&cluster.admin(), "60:");
    let gone = wait::until("the key expires", WITHIN, || {
        let found = call(&["EXISTS", "60:short"]);
        ensure!(found == Reply::Integer(0), "it is there: {found:?}");
        Ok(written.elapsed())
    })
    .expect("it expires");
    // The groups share the machine's clock, so their clocks differ at most by this.
    let slack = Duration::from_millis(100);
    assert!(gone + slack >= LIVES, "it was gone after {gone:?}");
    cluster.admin().finish(job, WITHIN).expect("done");
    assert_eq!(call(&["PEXPIRETIME", "60:long"]), ends, "another end");
    assert_eq!(call(&["GET", "60:short"]), Reply::Null, "it came back");
    println!("a key of {LIVES:?} was gone after {gone:?}");
}

fn a_watched_key_tells_what_happened_across_a_move(cluster: &Cluster) {
    let connect = || cluster.connect().expect("connects");
    let (mut changed, mut untouched, mut early, mut other) =
        (connect(), connect(), connect(), connect());
    for key in ["60:changed", "60:untouched", "60:early"] {
        other.call(&["SET", key, "before"]).expect("writes");
    }
    let watched = [
        (&mut changed, "60:changed"),
        (&mut untouched, "60:untouched"),
        (&mut early, "60:early"),
    ];
    for (client, key) in watched {
        client.call(&["WATCH", key]).expect("watches");
    }
    other.call(&["SET", "60:early", "changed"]).expect("writes");
    let job = begin_move(&cluster.admin(), "60:");
    other
        .call(&["SET", "60:changed", "changed"])
        .expect("writes");
    assert_eq!(
        exec(&mut changed, "60:changed"),
        Reply::Null,
        "changed after"
    );
    assert_eq!(exec(&mut early, "60:early"), Reply::Null, "changed before");
    cluster.admin().finish(job, WITHIN).expect("done");
    let executed = exec(&mut untouched, "60:untouched");
    assert_eq!(executed.elements().len(), 1, "untouched: {executed:?}");
}

/// Sends MULTI, SET and EXEC; returns the reply of EXEC.
fn exec(client: &mut coterie_tests::connection::Connection, key: &str) -> Reply {
    client.call(&["MULTI"]).expect("answers");
    client.call(&["SET", key, "mine"]).expect("queued");
    client.call(&["EXEC"]).expect("answers")
}

fn values_of_the_maximum_size_stall_nobody(cluster: &Cluster) {
    let admin = cluster.admin();
    let mut client = cluster.connect().expect("connects");
    let keys: Vec<String> = (0..4).map(|n| format!("70:large:{n}")).collect();
    // Random, so that compression does not make it small.
    let mut rng = Rng::new(rng::seed());
    let values: Vec<Vec<u8>> = keys.iter().map(|_| rng.bytes(MIB)).collect();
    for (key, value) in keys.iter().zip(&values) {
        let reply = client.call(&[b"SET", key.as_bytes(), value]).expect("SET");
        assert_eq!(reply, Reply::Simple("OK".to_owned()));
    }
    let small: Vec<String> = (0..8).map(|n| format!("7{n}:small")).collect();
    let load = counters::start(&cluster.proxies(), &small, 2, usize::MAX, 1).expect("starts");
    load.wait_for(50, WITHIN).expect("counts before");
    println!("before large values move: {}", load.take_pauses());
    let job = begin_move(&admin, "70:");
    // Read a key that may not have been copied yet.
    let last = client.call(&["GET", &keys[3]]).expect("answers");
    assert!(last == Reply::Bulk(values[3].clone()), "another value");
    admin.finish(job, WITHIN).expect("done");
    let pauses = load.take_pauses();
    println!("while large values move: {pauses}");
    assert!(
        pauses.worst() <= pause_max(),
        "a pause of {:?}",
        pauses.worst()
    );
    counters::finish(load, WITHIN)
        .expect("stops")
        .1
        .expect_none();
    for (key, value) in keys.iter().zip(&values) {
        let found = client.call(&["GET", key]).expect("answers");
        assert!(
            found == Reply::Bulk(value.clone()),
            "{key} holds another value"
        );
    }
}

/// The process to kill during a move.
#[derive(Debug, Clone, Copy)]
enum Victim {
    SourceLeader,
    DestinationLeader,
    Controller,
    MetaLeader,
    /// All metas, as soon as the job is recorded.
    EveryMeta,
}

impl Victim {
    const ALL: [Self; 5] = [
        Self::SourceLeader,
        Self::DestinationLeader,
        Self::Controller,
        Self::MetaLeader,
        Self::EveryMeta,
    ];

    /// The processes to kill for a move between these groups.
    fn names(self, cluster: &Cluster, from: u64, to: u64) -> anyhow::Result<Vec<String>> {
        let leader = |group: u64| -> anyhow::Result<Vec<String>> {
            let leaders = cluster.leaders()?;
            let name = leaders.get(&group);
            Ok(vec![
                name.with_context(|| format!("no group {group}"))?.clone(),
            ])
        };
        match self {
            Self::SourceLeader => leader(from),
            Self::DestinationLeader => leader(to),
            Self::Controller => Ok(cluster.names(Role::Controller)),
            Self::MetaLeader => Ok(vec![cluster.meta_leader()?]),
            Self::EveryMeta => Ok(cluster.names(Role::Meta)),
        }
    }

    /// The time from the record of the job to the kill: random within the first two seconds, which
    /// is longer than all steps before the copying.
    fn delay(self, rng: &mut Rng) -> Duration {
        match self {
            Self::EveryMeta => Duration::ZERO,
            _ => Duration::from_millis(rng.below(2_000) as u64),
        }
    }
}

/// Design section 9, "Either group losing its leader, the controller dying, or meta being away at
/// any step delays it and breaks nothing"; section 10, "leader dies" and "meta is partitioned or
/// gone".
#[test]
fn a_move_ends_well_whoever_is_killed_at_any_point() {
    let seed = rng::seed();
    let mut rng = Rng::new(seed);
    let mut cluster = start(&["--move-rate", "1MiB"]);
    fill::under(&cluster.proxy(), "60:", 2 * MIB).expect("fills");
    let mut crowd = Crowd::start(&cluster, "kill", seed).expect("starts");
    let kills = settings::number("COTERIE_MOVE_KILLS", Victim::ALL.len());
    for round in 0..kills {
        // Each victim in turn, and then again at other moments.
        let victim = Victim::ALL[round % Victim::ALL.len()];
        kill_during_a_move(&mut cluster, &crowd, victim, &mut rng);
        println!("{victim:?}: {}", crowd.take_pauses());
        if round % 50 == 49 {
            // Shorter histories can be judged.
            crowd.finish().expect("nobody noticed");
            crowd = Crowd::start(&cluster, &format!("kill{round}"), seed).expect("starts");
        }
    }
    crowd.finish().expect("nobody noticed");
    cluster.wait_until_caught_up(3, WITHIN).expect("all whole");
    cluster.check().expect("all agree");
}

fn kill_during_a_move(cluster: &mut Cluster, crowd: &Crowd, victim: Victim, rng: &mut Rng) {
    let admin = cluster.admin();
    cluster.wait_for_leaders(WITHIN).expect("leaders");
    wait::until("meta takes jobs", WITHIN, || cluster.meta_leader()).expect("a leader");
    let (from, to) = owner_and_other(&admin, "60:");
    let names = wait::until("the victim is known", WITHIN, || {
        victim.names(cluster, from, to)
    });
    let (names, delay) = (names.expect("known"), victim.delay(rng));
    println!("{victim:?}: {names:?} after {delay:?}");
    let job = admin.move_range("60:", To::Group(to)).expect("begins");
    // The delay of the harm itself, not a wait for a condition.
    std::thread::sleep(delay);
    for name in &names {
        cluster.process(name).kill();
    }
    crowd.wait_for(20, WITHIN).expect("progress without it");
    for name in &names {
        cluster.process(name).start().expect("starts again");
    }
    let job = admin.ended(job, WITHIN).expect("the job ends");
    let owner = admin.range_of("60:").expect("a range").group;
    // Before the hand-off the job may be given up; after it, the move always completes.
    let whole = match job.state.as_str() {
        "done" => owner == to,
        _ => owner == from,
    };
    assert!(whole, "group {owner} owns it after {job:#?}");
    crowd.wait_for(20, WITHIN).expect("progress after it");
}

/// A move from a group with a replica down: the majority is enough.
#[test]
fn a_range_moves_while_a_replica_of_its_group_is_down() {
    let mut cluster = start(&[]);
    let admin = cluster.admin();
    fill::under(&cluster.proxy(), "60:", MIB).expect("fills");
    let (from, to) = owner_and_other(&admin, "60:");
    let leader = cluster.wait_for_leaders(WITHIN).expect("leaders")[&from].clone();
    let mut others = cluster.names(Role::Server);
    others.retain(|name| *name != leader);
    let crowd = Crowd::start(&cluster, "down", rng::seed()).expect("starts");
    crowd.wait_for(50, WITHIN).expect("progress before");
    cluster.process(&others[0]).kill();
    crowd.wait_for(20, WITHIN).expect("progress without it");
    move_and_finish(&admin, "60:", To::Group(to));
    crowd.wait_for(20, WITHIN).expect("progress after the move");
    cluster.process(&others[0]).start().expect("starts again");
    cluster.wait_until_caught_up(3, WITHIN).expect("all whole");
    crowd.finish().expect("nobody noticed");
    cluster.check().expect("all agree");
}
