//! Rows of design section 10 that no other test shows: lost majorities, meta in the minority, an
//! old map, wrong clocks, a torn log and a log that lost its end, an unreachable heir of a leader.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use coterie_tests::cluster::{Cluster, Group, Role, To};
use coterie_tests::connection::Connection;
use coterie_tests::resp::Reply;
use coterie_tests::skewed_clock::SkewedClock;
use coterie_tests::workload::crowd::Crowd;
use coterie_tests::{rng, wait};

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);

fn ok() -> Reply {
    Reply::Simple("OK".to_owned())
}

/// Whether the reply is an error that begins with a word of `words`.
fn refused(reply: &Reply, words: &[&str]) -> bool {
    let Reply::Error(text) = reply else {
        return false;
    };
    words.iter().any(|word| text.starts_with(word))
}

/// Row "no leader (majority lost)": the group's ranges answer `TRYAGAIN` after the request timeout;
/// other groups work.
#[test]
fn a_group_without_a_majority_is_refused_and_others_work() {
    let builder = Cluster::builder()
        .count(Role::Server, 5)
        .flags(Role::Controller, &["--bootstrap-nodes", "5"])
        .flags(Role::Proxy, &["--request-timeout", "2s"]);
    let mut cluster = builder.split_at(&["55", "aa"]).start().expect("starts");
    let names = cluster.server_names().expect("nodes");
    let groups = cluster.admin().groups().expect("answers");
    let (dead, stopped, working) = two_to_kill(&groups).expect("groups lie apart");
    let key_of = |group: u64| -> String {
        let keys = ["00:", "60:", "b0:"].into_iter();
        let mut owned = keys.filter(|key| cluster.group_of(key).is_ok_and(|of| of == group));
        owned.next().expect("it owns a range").to_owned()
    };
    let (lost, kept) = (key_of(stopped), key_of(working));
    for node in dead {
        cluster.process(&names[&node]).kill();
    }
    wait::until("the other group works", WITHIN, || {
        let reply = cluster.connect()?.call(&["SET", &kept, "x"])?;
        ensure!(reply == ok(), "{reply:?}");
        Ok(())
    })
    .expect("it works");
    let mut client = cluster.connect().expect("connects");
    let read = client.call(&["GET", &lost]).expect("answers");
    assert!(refused(&read, &["TRYAGAIN"]), "{read:?}");
    let written = client.call(&["SET", &lost, "x"]).expect("answers");
    assert!(refused(&written, &["TRYAGAIN", "UNKNOWN"]), "{written:?}");
    assert_eq!(client.call(&["SET", &kept, "y"]).expect("answers"), ok());
    for node in dead {
        cluster
            .process(&names[&node])
            .start()
            .expect("starts again");
    }
    cluster.wait_until_serving(WITHIN).expect("serves again");
}

/// A pair of nodes whose loss takes the majority from one group and not from another; and those two
/// groups.
fn two_to_kill(groups: &[Group]) -> Option<([u64; 2], u64, u64)> {
    let mut nodes: Vec<u64> = groups.iter().flat_map(Group::voters).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let pairs = nodes
        .iter()
        .flat_map(|&a| nodes.iter().map(move |&b| [a, b]));
    pairs.filter(|[a, b]| a < b).find_map(|pair| {
        let lost = |group: &&Group| pair.iter().all(|node| group.voters().contains(node));
        let stopped = groups.iter().find(lost)?;
        let working = groups.iter().find(|group| !lost(group))?;
        Some((pair, stopped.id, working.id))
    })
}

/// Row "meta is partitioned or gone": proxies go on with cached maps; changes wait; a minority
/// member refuses to answer, since its state may be stale.
#[test]
fn a_minority_of_meta_changes_nothing_and_data_goes_on() {
    let mut cluster = Cluster::builder()
        .split_at(&["80"])
        .start()
        .expect("starts");
    for name in ["meta-1", "meta-3"] {
        cluster.process(name).pause().expect("pauses");
    }
    let mut client = cluster.connect().expect("connects");
    let made = client.call(&["COTERIE", "TABLE", "CREATE", "minority"]);
    let made = made.expect("answers");
    assert!(refused(&made, &["TRYAGAIN", "UNKNOWN"]), "{made:?}");
    for key in ["00:", "90:"] {
        assert_eq!(client.call(&["SET", key, "x"]).expect("answers"), ok());
        let read = client.call(&["GET", key]).expect("answers");
        assert_eq!(read, Reply::Bulk(b"x".to_vec()));
    }
    for name in ["meta-1", "meta-3"] {
        cluster.process(name).resume().expect("wakes");
    }
    wait::until("meta takes changes again", WITHIN, || {
        // The order may be repeated: an earlier attempt may have been executed.
        let reply = cluster.admin().ask(&["BALANCE", "ON"])?;
        ensure!(reply == ok(), "{reply:?}");
        Ok(())
    })
    .expect("it does");
}

/// Row "proxy has an old map": the group refuses, with the descriptor that it knows; the proxy
/// corrects its map. The proxy sleeps while a range moves and the source drops its copy; a command
/// waits in its socket when it wakes.
#[test]
fn a_proxy_that_slept_through_a_move_answers_from_the_new_owner() {
    let builder = Cluster::builder().count(Role::Proxy, 2);
    let mut cluster = builder.split_at(&["80"]).start().expect("starts");
    cluster.hold_still(WITHIN).expect("balance is off");
    let (admin, mut awake) = (cluster.admin(), cluster.connect().expect("connects"));
    let mut asleep = Connection::open(&cluster.addr("proxy-2"), WITHIN).expect("connects");
    assert_eq!(asleep.call(&["SET", "90:", "old"]).expect("writes"), ok());
    cluster.process("proxy-2").pause().expect("pauses");
    let owner = admin.range_of("90:").expect("a range").group;
    let groups = admin.groups().expect("answers");
    let other = groups.iter().find(|group| group.id != owner);
    let to = To::Group(other.expect("another group").id);
    let job = admin.move_range("90:", to).expect("begins");
    admin.finish(job, WITHIN).expect("done");
    assert_eq!(awake.call(&["SET", "90:", "new"]).expect("writes"), ok());
    asleep.send(&["GET", "90:"]).expect("sends");
    cluster.process("proxy-2").resume().expect("wakes");
    let seen = asleep.receive().expect("an answer");
    assert_eq!(seen, Reply::Bulk(b"new".to_vec()));
}

/// A cluster whose servers have a clock each that the test sets; `None` where that is not possible.
fn with_clocks() -> Option<(Cluster, Vec<SkewedClock>)> {
    let clocks: Option<Vec<SkewedClock>> = (0..3)
        .map(|_| SkewedClock::new().expect("a file"))
        .collect();
    let clocks = clocks?;
    let mut builder = Cluster::builder();
    for (at, clock) in clocks.iter().enumerate() {
        builder = builder.env_of(&format!("server-{}", at + 1), &clock.env());
    }
    Some((builder.start().expect("starts"), clocks))
}

/// Row "clock jumps": a key that expired by the clock of any leader never comes back under later
/// leaders, whose clocks jump and are wrong by seconds in either direction.
#[test]
fn an_expired_key_stays_gone_when_clocks_jump() {
    let Some((cluster, clocks)) = with_clocks() else {
        return;
    };
    let mut client = cluster.connect().expect("connects");
    let mut call = |words: &[&str]| client.call(words).expect("answers");
    for ahead in 0..clocks.len() {
        let key = format!("doomed:{ahead}");
        call(&["SET", &key, "x", "EX", "15"]);
        // Each time a clock jumps further ahead, since the group's clock has followed; the others
        // go back.
        for (at, clock) in clocks.iter().enumerate() {
            let seconds = if at == ahead {
                30 * (ahead as i64 + 1)
            } else {
                -20
            };
            clock.jump(seconds).expect("jumps");
        }
        lead_everything(&cluster, &format!("server-{}", ahead + 1));
        wait::until("the key expires", WITHIN, || {
            let found = call(&["GET", &key]);
            ensure!(found == Reply::Null, "{found:?}");
            Ok(())
        })
        .expect("it expires by the clock that is ahead");
        for at in 1..=clocks.len() {
            lead_everything(&cluster, &format!("server-{at}"));
            assert_eq!(call(&["GET", &key]), Reply::Null, "{key} came back");
            assert_eq!(call(&["PTTL", &key]), Reply::Integer(-2), "{key} came back");
        }
    }
}

/// A key of `TTL_MS`, set while all clocks were right. A single wrong clock, on the leader or a new
/// leader, does not shorten its life; a jump of a majority of the clocks does.
#[test]
fn a_clock_that_jumps_alone_expires_no_key_early() {
    const TTL_MS: i64 = 1_000_000;
    let Some((cluster, clocks)) = with_clocks() else {
        return;
    };
    let mut client = cluster.connect().expect("connects");
    let mut call = |words: &[&str]| client.call(words).expect("answers");
    lead_everything(&cluster, "server-1");
    let began = Instant::now();
    call(&["SET", "kept", "x", "PX", &TTL_MS.to_string()]);
    // Each entry moves the group's clock. The remaining time must match the real time passed,
    // within the hundredth by which the clock may be steered.
    let mut check = |what: &str| {
        for round in 0..20 {
            call(&["SET", "other", &round.to_string()]);
            std::thread::sleep(Duration::from_millis(20));
        }
        let Reply::Integer(left) = call(&["PTTL", "kept"]) else {
            panic!("no answer {what}");
        };
        let passed = i64::try_from(began.elapsed().as_millis()).expect("short");
        let early = TTL_MS - passed - left;
        assert!(early <= passed / 100 + 50, "{early} ms too early {what}");
        left
    };
    clocks[0].jump(3_600).expect("jumps");
    check("after the leader's clock went ahead");
    clocks[0].jump(-3_600).expect("jumps");
    check("after the leader's clock went back");
    clocks[1].jump(7_200).expect("jumps");
    lead_everything(&cluster, "server-2");
    check("after a server with a wrong clock took over");
    clocks[2].jump(7_200).expect("jumps");
    wait::until("the clock of a majority is followed", WITHIN, || {
        let found = call(&["GET", "kept"]);
        ensure!(found == Reply::Null, "{found:?}");
        Ok(())
    })
    .expect("the key is expired");
}

/// Transfers the leadership of every group to a server.
fn lead_everything(cluster: &Cluster, server: &str) {
    let (admin, node) = (cluster.admin(), cluster.node_of(server).expect("a node"));
    for group in admin.groups().expect("answers") {
        wait::until(
            &format!("{server} leads group {}", group.id),
            WITHIN,
            || {
                if admin.group(group.id)?.leader == Some(node) {
                    return Ok(());
                }
                admin.lead(group.id, node)?;
                ensure!(admin.group(group.id)?.leader == Some(node), "not yet");
                Ok(())
            },
        )
        .expect("it leads");
    }
}

/// Issue, "What must exist" 3: a transfer of leadership to a node that cannot be reached is aborted
/// after a timeout, and the group is not stuck.
#[test]
fn a_transfer_to_a_node_out_of_reach_does_not_stop_the_group() {
    let mut cluster = Cluster::builder().start().expect("starts");
    let admin = cluster.admin();
    let leaders = cluster.wait_for_leaders(WITHIN).expect("leaders");
    let group = cluster.group_of("00:").expect("a group");
    let servers = cluster.names(Role::Server);
    let heir = servers.iter().find(|name| **name != leaders[&group]);
    let heir = heir.expect("a follower").clone();
    let node = cluster.node_of(&heir).expect("a node");
    let crowd = Crowd::start(&cluster, "heir", rng::seed()).expect("starts");
    crowd.wait_for(50, WITHIN).expect("progress before");
    cluster.process(&heir).pause().expect("pauses");
    let told = admin.lead(group, node);
    println!("the transfer: {told:?}");
    crowd
        .wait_for(50, WITHIN)
        .expect("progress without the heir");
    cluster.process(&heir).resume().expect("wakes");
    crowd.wait_for(50, WITHIN).expect("progress with it");
    crowd.finish().expect("nobody noticed");
}

/// Row "torn or flipped bytes in the log's tail": a torn tail (never acknowledged) is truncated
/// with a warning. Here the tail is a record that was half written when the process died.
#[test]
fn a_torn_tail_of_the_log_is_cut() {
    const TORN: &str = "server-2";
    let mut cluster = Cluster::builder()
        .split_at(&["80"])
        .start()
        .expect("starts");
    let crowd = Crowd::start(&cluster, "torn", rng::seed()).expect("starts");
    crowd.wait_for(100, WITHIN).expect("progress before");
    cluster.process(TORN).kill();
    tear(&cluster, TORN).expect("torn");
    cluster.process(TORN).start().expect("starts again");
    crowd.wait_for(50, WITHIN).expect("progress after");
    crowd.finish().expect("nobody noticed");
    cluster.wait_until_caught_up(3, WITHIN).expect("all whole");
}

/// The same row: a checksum error before the tail stops the replica, which is rebuilt from the
/// others. A node that lost acknowledged entries must not vote as if it had them; wiped, it comes
/// back as a new node.
#[test]
fn a_flipped_byte_in_the_log_stops_its_node_which_is_rebuilt() {
    const FLIPPED: &str = "server-2";
    let mut cluster = Cluster::builder()
        .split_at(&["80"])
        .start()
        .expect("starts");
    let crowd = Crowd::start(&cluster, "flipped", rng::seed()).expect("starts");
    crowd.wait_for(200, WITHIN).expect("progress before");
    cluster.process(FLIPPED).kill();
    flip(&cluster, FLIPPED).expect("flipped");
    cluster.announce("log damaged");
    cluster.process(FLIPPED).start().expect("starts again");
    let ended = cluster
        .process(FLIPPED)
        .wait_for_end(WITHIN)
        .expect("it stops");
    let said = cluster.process(FLIPPED).output();
    assert!(
        !ended.success() && said.contains("log damaged"),
        "{ended}: {said}"
    );
    crowd.wait_for(50, WITHIN).expect("progress without it");
    std::fs::remove_dir_all(cluster.dir(FLIPPED)).expect("wiped");
    cluster.process(FLIPPED).start().expect("starts anew");
    cluster.wait_until_caught_up(3, WITHIN).expect("rebuilt");
    crowd.wait_for(50, WITHIN).expect("progress with it");
    crowd.finish().expect("nobody noticed");
}

/// The same row: the last record, which was acknowledged, is damaged. Its node starts, does not
/// vote until it has the lost entries again, gets them from its leader, and keeps its id.
#[test]
fn a_follower_whose_log_lost_its_end_gets_it_from_its_leader() {
    const LOST: &str = "server-2";
    let mut cluster = Cluster::builder()
        .split_at(&["80"])
        .start()
        .expect("starts");
    let node = cluster.node_of(LOST).expect("a node");
    let crowd = Crowd::start(&cluster, "lost", rng::seed()).expect("starts");
    for cut in [false, true] {
        crowd.wait_for(100, WITHIN).expect("progress before");
        cluster.process(LOST).kill();
        let end = acknowledged_end(&cluster, LOST).expect("noted");
        change_log(&cluster, LOST, |bytes, _| {
            // A write that the kill interrupted was not acknowledged.
            bytes.truncate(end);
            if cut {
                bytes.truncate(end - 3);
            } else {
                bytes[end - 1] ^= 0x10;
            }
        })
        .expect("damaged");
        let before = cluster.process(LOST).output().len();
        cluster.process(LOST).start().expect("starts again");
        wait::until("it makes its log good", WITHIN, || {
            let said = cluster.process(LOST).output();
            let said = said.get(before..).unwrap_or_default();
            ensure!(
                said.contains("the end of the log is lost"),
                "not told: {said}"
            );
            ensure!(said.contains("it takes part again"), "not yet: {said}");
            Ok(())
        })
        .expect("it does");
        crowd.wait_for(50, WITHIN).expect("progress after");
        cluster.wait_until_caught_up(3, WITHIN).expect("all whole");
    }
    crowd.finish().expect("nobody noticed");
    assert_eq!(cluster.node_of(LOST).expect("a node"), node);
    cluster.check().expect("replicas agree");
}

/// Where a server's log ended when it last acknowledged a write: an offset in its newest file
/// (`crates/raft/src/log/end.rs`).
fn acknowledged_end(cluster: &Cluster, server: &str) -> anyhow::Result<usize> {
    let note = std::fs::read(cluster.dir(server).join("raft/log/END"))?;
    let offset = note.get(32..40).context("a short note")?;
    Ok(u64::from_le_bytes(offset.try_into()?).try_into()?)
}

/// Flips a byte in the middle of the data of a server's newest log file.
fn flip(cluster: &Cluster, server: &str) -> anyhow::Result<()> {
    change_log(cluster, server, |bytes, end| bytes[end / 2] ^= 0x10)
}

/// Writes half a record after the end of a server's newest log file.
fn tear(cluster: &Cluster, server: &str) -> anyhow::Result<()> {
    change_log(cluster, server, |bytes, end| {
        drop(bytes.splice(end.., [0x5a; 100]))
    })
}

/// Changes a server's newest log file. `change` gets its bytes and the end of the data, after which
/// the file is preallocated with zeros.
fn change_log(
    cluster: &Cluster,
    server: &str,
    change: impl FnOnce(&mut Vec<u8>, usize),
) -> anyhow::Result<()> {
    let dir = cluster.dir(server).join("raft/log");
    let entries = std::fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let logs = files.filter(|path| path.extension().is_some_and(|ext| ext == "raftlog"));
    let newest = logs.max().context("no log file")?;
    let mut bytes = std::fs::read(&newest)?;
    let last = bytes.iter().rposition(|&byte| byte != 0);
    let last = last.with_context(|| format!("{} holds nothing", newest.display()))?;
    change(&mut bytes, last + 1);
    Ok(std::fs::write(&newest, bytes)?)
}
