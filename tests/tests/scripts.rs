//! Scripts and functions in a whole cluster: applied exactly once while leaders are killed, known
//! at every proxy, and kept through restarts.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::spawn;
use std::time::Duration;

use anyhow::{Context, ensure};
use coterie_tests::cluster::{Cluster, Role};
use coterie_tests::connection::Connection;
use coterie_tests::resp::Reply;
use coterie_tests::wait;

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);
const CLIENTS: usize = 8;

/// A rate limiter of five calls: counts, and returns its count.
const LIMITER: &str = "\
local n = redis.call('incr', KEYS[1])
local kept = redis.call('exists', KEYS[2])
redis.call('rpush', KEYS[2], n)
redis.call('expire', KEYS[1], ARGV[1])
if redis.call('ttl', KEYS[1]) < 0 then return redis.error_reply('no deadline') end
return n";

fn connect(addr: &str) -> Connection {
    Connection::open(addr, WITHIN).expect("connects")
}

/// The counts that scripts have returned, and how many calls may or may not have been applied.
#[derive(Default)]
struct Counted {
    counts: Mutex<Vec<i64>>,
    unknown: Mutex<usize>,
    over: AtomicBool,
}

fn limiter(addr: String, counted: Arc<Counted>) -> std::thread::JoinHandle<()> {
    spawn(move || {
        let mut client = connect(&addr);
        while !counted.over.load(Ordering::Relaxed) {
            let reply = client.call(&["EVAL", LIMITER, "2", "limit", "limit:log", "1000"]);
            match reply {
                Ok(Reply::Integer(count)) => {
                    counted.counts.lock().expect("no panic").push(count);
                }
                Ok(Reply::Error(line)) if line.starts_with("TRYAGAIN") => {}
                Ok(Reply::Error(line)) if line.starts_with("UNKNOWN") => {
                    *counted.unknown.lock().expect("no panic") += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    })
}

#[test]
fn a_limiter_counts_exactly_while_leaders_are_killed() -> anyhow::Result<()> {
    let mut cluster = Cluster::builder().count(Role::Proxy, 2).start()?;
    cluster.hold_still(WITHIN)?;
    let counted = Arc::new(Counted::default());
    let proxies = cluster.proxies();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|at| limiter(proxies[at % proxies.len()].clone(), Arc::clone(&counted)))
        .collect();
    let count = || counted.counts.lock().expect("no panic").len();
    for _ in 0..2 {
        let before = count();
        let leader = cluster.leader_of("limit", WITHIN)?;
        cluster.process(&leader).kill();
        wait::until("scripts run on", WITHIN, || {
            ensure!(
                count() > before + 200,
                "{} since the kill",
                count() - before
            );
            Ok(())
        })?;
        cluster.restart(&leader)?;
        cluster.wait_until_serving(WITHIN)?;
    }
    counted.over.store(true, Ordering::Relaxed);
    for client in clients {
        client
            .join()
            .map_err(|_| anyhow::anyhow!("a client panicked"))?;
    }
    let counts = counted.counts.lock().expect("no panic").clone();
    let unknown = *counted.unknown.lock().expect("no panic");
    let unique: BTreeSet<i64> = counts.iter().copied().collect();
    ensure!(unique.len() == counts.len(), "a count was returned twice");
    let mut client = cluster.connect()?;
    let last: usize = client
        .call(&["GET", "limit"])?
        .text()
        .context("a count")?
        .parse()?;
    ensure!(
        (counts.len()..=counts.len() + unknown).contains(&last),
        "{last} counted, {} returned, {unknown} unknown",
        counts.len()
    );
    let Reply::Integer(logged) = client.call(&["LLEN", "limit:log"])? else {
        anyhow::bail!("no length")
    };
    ensure!(
        usize::try_from(logged)? == last,
        "{logged} logged of {last}"
    );
    println!("{} scripts, {unknown} of unknown fate", counts.len());
    Ok(())
}

const LIBRARY: &str = "#!lua name=lib
redis.register_function('add', function(keys, args)
  return redis.call('incrby', keys[1], args[1])
end)
redis.register_function{function_name='show', description='d', flags={'no-writes'},
  callback=function(keys) return redis.call('get', keys[1]) end}";

#[test]
fn scripts_are_known_at_every_proxy() -> anyhow::Result<()> {
    let cluster = Cluster::builder().count(Role::Proxy, 2).start()?;
    let proxies = cluster.proxies();
    let (mut first, mut second) = (connect(&proxies[0]), connect(&proxies[1]));
    let unknown = "a".repeat(40);
    let reply = first.call(&["EVALSHA", &unknown, "0"])?;
    ensure!(
        reply == Reply::Error("NOSCRIPT No matching script. Please use EVAL.".to_owned()),
        "{reply:?}"
    );
    // Each at once at the other proxy.
    for at in 0..20 {
        let script = format!("return {{KEYS[1], ARGV[1], {at}}}");
        let sha1 = first.call(&["SCRIPT", "LOAD", &script])?.text();
        let sha1 = sha1.context("a digest")?;
        let reply = second.call(&["EVALSHA", &sha1, "1", "k", "a"])?;
        let words: Vec<_> = reply.elements().iter().map(Reply::text).collect();
        let expected = ["k".to_owned(), "a".to_owned(), at.to_string()].map(Some);
        ensure!(words == expected, "{reply:?}");
    }
    // A script of EVAL follows.
    let evaled = "return redis.sha1hex(ARGV[1])";
    let sha1 = first.call(&["EVAL", evaled, "0", evaled])?.text();
    let sha1 = sha1.context("a digest")?;
    wait::until("the other proxy knows a script of EVAL", WITHIN, || {
        let reply = second.call(&["EVALSHA", &sha1, "0", evaled])?;
        ensure!(reply.text().as_ref() == Some(&sha1), "{reply:?}");
        Ok(())
    })
}

#[test]
fn functions_run_in_every_group_and_survive_a_restart_of_everything() -> anyhow::Result<()> {
    let mut cluster = Cluster::builder()
        .count(Role::Proxy, 2)
        .split_at(&["f", "p"])
        .start()?;
    let proxies = cluster.proxies();
    let (mut first, mut second) = (connect(&proxies[0]), connect(&proxies[1]));
    let loaded = first.call(&["SCRIPT", "LOAD", "return 1"])?.text();
    let loaded = loaded.context("a digest")?;
    ensure!(
        first
            .call(&["FUNCTION", "LOAD", LIBRARY])?
            .text()
            .as_deref()
            == Some("lib")
    );
    for key in ["a", "g", "z"] {
        ensure!(second.call(&["FCALL", "add", "1", key, "5"])? == Reply::Integer(5));
        let reply = second.call(&["FCALL_RO", "show", "1", key])?;
        ensure!(reply.text().as_deref() == Some("5"), "{reply:?}");
    }
    let reply = second.call(&["FCALL_RO", "add", "1", "a", "5"])?;
    ensure!(
        matches!(&reply, Reply::Error(line) if line.contains("*_ro command")),
        "{reply:?}"
    );
    let reply = second.call(&["EVAL", "return 1", "2", "a", "z"])?;
    ensure!(
        matches!(&reply, Reply::Error(line) if line.starts_with("CROSSGROUP")),
        "{reply:?}"
    );
    for name in cluster.all_names() {
        cluster.process(&name).kill();
    }
    for name in cluster.all_names() {
        cluster.restart(&name)?;
    }
    cluster.wait_until_serving(WITHIN)?;
    wait::until("functions and scripts are there", WITHIN, || {
        let mut client = cluster.connect()?;
        let reply = client.call(&["FCALL", "add", "1", "a", "1"])?;
        ensure!(matches!(reply, Reply::Integer(6..)), "{reply:?}");
        let reply = client.call(&["EVALSHA", &loaded, "0"])?;
        ensure!(reply == Reply::Integer(1), "{reply:?}");
        Ok(())
    })?;
    are_flushed_and_restored(&proxies, &loaded)
}

/// The functions of a proxy are flushed and restored by another; so are scripts flushed.
fn are_flushed_and_restored(proxies: &[String], loaded: &str) -> anyhow::Result<()> {
    let (mut first, mut second) = (connect(&proxies[0]), connect(&proxies[1]));
    let payload = first.call(&["FUNCTION", "DUMP"])?;
    let Reply::Bulk(payload) = payload else {
        anyhow::bail!("{payload:?}")
    };
    ensure!(first.call(&["FUNCTION", "FLUSH"])?.text().as_deref() == Some("OK"));
    ensure!(first.call(&["SCRIPT", "FLUSH"])?.text().as_deref() == Some("OK"));
    wait::until("the other proxy forgets", WITHIN, || {
        let reply = second.call(&["FCALL", "add", "1", "a", "1"])?;
        ensure!(
            reply == Reply::Error("ERR Function not found".to_owned()),
            "{reply:?}"
        );
        let reply = second.call(&["SCRIPT", "EXISTS", loaded])?;
        ensure!(reply.elements() == [Reply::Integer(0)], "{reply:?}");
        Ok(())
    })?;
    let words: [&[u8]; 3] = [b"FUNCTION", b"RESTORE", &payload];
    ensure!(second.call(&words)?.text().as_deref() == Some("OK"));
    let reply = first.call(&["FCALL", "add", "1", "a", "1"])?;
    ensure!(matches!(reply, Reply::Integer(7..)), "{reply:?}");
    Ok(())
}

#[test]
fn a_busy_script_is_ended_from_any_proxy_and_leaves_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::builder().count(Role::Proxy, 2).start()?;
    let proxies = cluster.proxies();
    let mut operator = connect(&proxies[1]);
    let reply = operator.call(&["SCRIPT", "KILL"])?;
    ensure!(
        reply == Reply::Error("NOTBUSY No scripts in execution right now.".to_owned()),
        "{reply:?}"
    );
    operator.call(&["CONFIG", "SET", "busy-reply-threshold", "100"])?;
    wait::until("the parameter is set", WITHIN, || {
        let reply = operator.call(&["CONFIG", "GET", "busy-reply-threshold"])?;
        ensure!(
            reply.elements()[1].text().as_deref() == Some("100"),
            "{reply:?}"
        );
        Ok(())
    })?;
    let mut busy = connect(&proxies[0]);
    busy.send(&[
        "EVAL",
        "redis.call('set', 'k', 1) while true do end",
        "1",
        "k",
    ])?;
    let mut other = connect(&proxies[0]);
    wait::until("others are told", WITHIN, || {
        let reply = other.call(&["SET", "other", "1"])?;
        ensure!(
            matches!(&reply, Reply::Error(line) if line.starts_with("BUSY ")),
            "{reply:?}"
        );
        Ok(())
    })?;
    ensure!(operator.call(&["SCRIPT", "KILL"])?.text().as_deref() == Some("OK"));
    let reply = busy.receive()?;
    ensure!(
        matches!(&reply, Reply::Error(line) if line.contains("killed by user")),
        "{reply:?}"
    );
    wait::until("the group goes on", WITHIN, || {
        let reply = other.call(&["SET", "other", "1"])?;
        ensure!(reply.text().as_deref() == Some("OK"), "{reply:?}");
        Ok(())
    })?;
    ensure!(other.call(&["EXISTS", "k"])? == Reply::Integer(0));
    Ok(())
}
