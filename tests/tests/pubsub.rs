//! Publish and subscribe over two proxies of a whole cluster: beside a redis-server, with many
//! subscribers, and while servers and proxies are killed and subscribers do not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::spawn;
use std::time::Duration;

use anyhow::{Context, ensure};
use coterie_tests::cluster::{Cluster, Role};
use coterie_tests::connection::Connection;
use coterie_tests::redis_server::{self, RedisServer};
use coterie_tests::resp::Reply;
use coterie_tests::{vitals, wait};

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);
/// Subscribers of the test with many.
const SUBSCRIBERS: usize = 1000;
/// Messages of a phase.
const MESSAGES: usize = 200;

fn two_proxies() -> anyhow::Result<Cluster> {
    Cluster::builder().count(Role::Proxy, 2).start()
}

fn open(addr: &str) -> anyhow::Result<Connection> {
    Connection::open(addr, WITHIN)
}

/// A connection that subscribes to `channel`.
fn subscriber(addr: &str, channel: &str) -> anyhow::Result<Connection> {
    let mut connection = open(addr)?;
    let reply = connection.call(&["SUBSCRIBE", channel])?;
    ensure!(reply.elements().len() == 3, "{reply:?}");
    Ok(connection)
}

/// The text of the next message of a subscriber.
fn next_text(subscriber: &mut Connection) -> anyhow::Result<String> {
    let message = subscriber.receive()?;
    let text = message.elements().last().and_then(Reply::text);
    text.with_context(|| format!("{message:?}"))
}

/// A script of both clients, and the client that sends each line.
const SCRIPT: &[(usize, &str)] = &[
    (1, "PUBLISH a none"),
    (0, "SUBSCRIBE a"),
    (0, "SUBSCRIBE a b b"),
    (1, "PUBLISH a 1"),
    (0, "PSUBSCRIBE ?"),
    (1, "PUBLISH a 2"),
    (1, "PUBLISH c 3"),
    (1, "PUBLISH long 4"),
    (1, "PUBSUB NUMSUB a b c"),
    (1, "PUBSUB NUMPAT"),
    (1, "PUBSUB CHANNELS a*"),
    (1, "PUBSUB"),
    (1, "PUBSUB CHANNELS a b"),
    (1, "PUBSUB NOSUCH"),
    (1, "SUBSCRIBE"),
    (1, "PUBLISH a"),
    (0, "PING"),
    (0, "PING hello"),
    (0, "PING a b"),
    (0, "GET k"),
    (0, "CONFIG GET x"),
    (0, "EXEC"),
    (0, "UNSUBSCRIBE nothing"),
    (0, "UNSUBSCRIBE b"),
    (0, "PUNSUBSCRIBE ?"),
    (1, "PUBLISH a 5"),
    (0, "UNSUBSCRIBE"),
    (0, "UNSUBSCRIBE"),
    (0, "PUNSUBSCRIBE"),
    (0, "SUNSUBSCRIBE"),
    (1, "PUBLISH a 6"),
    (0, "SSUBSCRIBE s"),
    (1, "SPUBLISH s 7"),
    (1, "PUBLISH s 8"),
    (1, "PUBSUB SHARDCHANNELS"),
    (1, "PUBSUB SHARDNUMSUB s t"),
    (0, "SUNSUBSCRIBE s"),
    (0, "SET k v"),
    (0, "MULTI"),
    (0, "PUBLISH a 9"),
    (0, "SUBSCRIBE m"),
    (0, "PING"),
    (0, "EXEC"),
    (1, "PUBLISH m 10"),
    (0, "RESET"),
    (1, "PUBLISH m 11"),
    (0, "GET k"),
    (0, "SUBSCRIBE q"),
    (1, "PUBLISH q 12"),
    (0, "QUIT"),
];

/// Sends the script to two connections, and returns the bytes that came for each line.
fn play(first: &str, second: &str, hello: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut clients = [open(first)?, open(second)?];
    let mut got = Vec::new();
    for client in &mut clients {
        client.call(&["HELLO", hello])?;
    }
    for (at, line) in SCRIPT {
        let words: Vec<&str> = line.split(' ').collect();
        clients[*at].send(&words)?;
        // The replies to a line, and the messages that it causes, are complete before the next.
        let (mut replies, mut messages) = expected(line);
        let mut entry = format!("{line} -> ").into_bytes();
        while replies > 0 {
            entry.extend(clients[*at].receive_raw()?);
            replies -= 1;
        }
        while messages > 0 {
            entry.extend(b" message ");
            entry.extend(clients[0].receive_raw()?);
            messages -= 1;
        }
        got.push(entry);
    }
    ensure!(clients[0].closed_by_server(), "QUIT closes");
    Ok(got)
}

/// How many replies a line of the script has, and how many messages it causes.
fn expected(line: &str) -> (usize, usize) {
    match line {
        "SUBSCRIBE a b b" => (3, 0),
        "PUBLISH a 1" | "PUBLISH a 5" | "PUBLISH c 3" | "SPUBLISH s 7" | "PUBLISH m 10"
        | "PUBLISH q 12" => (1, 1),
        "PUBLISH a 2" => (1, 2),
        _ => (1, 0),
    }
}

#[test]
fn subscribers_see_what_redis_shows_them() -> anyhow::Result<()> {
    if !redis_server::is_installed() {
        eprintln!("SKIPPED: no redis-server on this machine");
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let redis = RedisServer::start(dir.path(), "redis", &[])?;
    let cluster = two_proxies()?;
    let proxies = cluster.proxies();
    for hello in ["2", "3"] {
        let theirs = play(&redis.addr(), &redis.addr(), hello)?;
        let ours = play(&proxies[0], &proxies[1], hello)?;
        for (theirs, ours) in theirs.iter().zip(&ours) {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(text(ours), text(theirs), "RESP{hello}");
        }
    }
    Ok(())
}

#[test]
fn a_thousand_subscribers_get_all_messages_in_order() -> anyhow::Result<()> {
    let cluster = two_proxies()?;
    let proxies = cluster.proxies();
    let mut subscribers = Vec::new();
    for at in 0..SUBSCRIBERS {
        subscribers.push(subscriber(&proxies[at % 2], "all")?);
    }
    let publishing = spawn({
        let proxies = proxies.clone();
        move || -> anyhow::Result<()> {
            let mut publishers = [open(&proxies[0])?, open(&proxies[1])?];
            for number in 0..MESSAGES {
                for (at, publisher) in publishers.iter_mut().enumerate() {
                    let text = format!("{at}:{number}");
                    let reply = publisher.call(&["PUBLISH", "all", &text])?;
                    ensure!(reply == Reply::Integer(SUBSCRIBERS as i64), "{reply:?}");
                }
            }
            Ok(())
        }
    });
    for subscriber in &mut subscribers {
        let mut next = [0; 2];
        for _ in 0..2 * MESSAGES {
            let text = next_text(subscriber)?;
            let (at, number) = text.split_once(':').context("a publisher")?;
            let at: usize = at.parse()?;
            ensure!(
                number == next[at].to_string(),
                "{text} comes after {next:?}"
            );
            next[at] += 1;
        }
    }
    publishing
        .join()
        .map_err(|_| anyhow::anyhow!("it panicked"))??;
    Ok(())
}

/// Publishes numbers until told to stop; returns how many.
fn publish_on(addr: String, channel: &str, stop: &Arc<AtomicBool>) -> PublishedCount {
    let (channel, stop) = (channel.to_owned(), Arc::clone(stop));
    spawn(move || {
        let mut publisher = open(&addr)?;
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            let reply = publisher.call(&["PUBLISH", &channel, &format!("{count}")])?;
            ensure!(matches!(reply, Reply::Integer(_)), "{reply:?}");
            count += 1;
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(count)
    })
}

type PublishedCount = std::thread::JoinHandle<anyhow::Result<u64>>;

#[test]
fn publishing_goes_on_when_any_server_is_killed() -> anyhow::Result<()> {
    let mut cluster = two_proxies()?;
    let proxies = cluster.proxies();
    // Some of these channels have their home on each server.
    let channels: Vec<String> = (0..12).map(|at| format!("channel-{at}")).collect();
    for name in cluster.names(Role::Server) {
        let stop = Arc::new(AtomicBool::new(false));
        let mut subscribers = Vec::new();
        for channel in &channels {
            subscribers.push(subscriber(&proxies[0], channel)?);
        }
        let publishing: Vec<_> = channels
            .iter()
            .map(|channel| publish_on(proxies[1].clone(), channel, &stop))
            .collect();
        for subscriber in &mut subscribers {
            next_text(subscriber)?;
        }
        cluster.process(&name).kill();
        // Messages of all channels go on, in order.
        for subscriber in &mut subscribers {
            let first: u64 = next_text(subscriber)?.parse()?;
            let (mut last, mut lost) = (first, 0);
            while last < first + 500 {
                let number: u64 = next_text(subscriber)?.parse()?;
                ensure!(number > last, "{number} comes after {last}");
                lost += number - last - 1;
                last = number;
            }
            // They were under way to the proxy when the home died: those of milliseconds. Without
            // the deputy those of seconds would be, some thousands.
            ensure!(lost < 500, "{lost} messages were lost");
        }
        stop.store(true, Ordering::Relaxed);
        for publisher in publishing {
            publisher
                .join()
                .map_err(|_| anyhow::anyhow!("it panicked"))??;
        }
        cluster.process(&name).start()?;
        cluster.wait_for_leaders(WITHIN)?;
    }
    Ok(())
}

#[test]
fn subscribers_of_a_proxy_that_is_killed_are_noticed() -> anyhow::Result<()> {
    let mut cluster = two_proxies()?;
    let proxies = cluster.proxies();
    let mut publisher = open(&proxies[0])?;
    let _gone = subscriber(&proxies[1], "a")?;
    let mut stays = subscriber(&proxies[0], "a")?;
    ensure!(publisher.call(&["PUBLISH", "a", "0"])? == Reply::Integer(2));
    cluster.process("proxy-2").kill();
    wait::until("the other proxy's subscriber is forgotten", WITHIN, || {
        let reply = publisher.call(&["PUBSUB", "NUMSUB", "a"])?;
        ensure!(
            reply.elements().last() == Some(&Reply::Integer(1)),
            "{reply:?}"
        );
        Ok(())
    })?;
    ensure!(publisher.call(&["PUBLISH", "a", "1"])? == Reply::Integer(1));
    for text in ["0", "1"] {
        ensure!(next_text(&mut stays)? == text);
    }
    cluster.process("proxy-2").start()?;
    let mut back = wait::until("the proxy is back", WITHIN, || subscriber(&proxies[1], "a"))?;
    ensure!(publisher.call(&["PUBLISH", "a", "2"])? == Reply::Integer(2));
    ensure!(next_text(&mut back)? == "2");
    Ok(())
}

#[test]
fn slow_subscribers_are_closed_and_memory_stays_bounded() -> anyhow::Result<()> {
    let cluster = Cluster::builder()
        .count(Role::Proxy, 2)
        .flags(Role::Proxy, &["--pubsub-output-buffer-limit", "4MiB"])
        .start()?;
    let proxies = cluster.proxies();
    let mut slow = Vec::new();
    for at in 0..50 {
        slow.push(subscriber(&proxies[at % 2], "a")?);
    }
    let mut quick = subscriber(&proxies[0], "a")?;
    let mut publisher = open(&proxies[1])?;
    let pid = cluster.pids()?["proxy-1"];
    let memory = || vitals::of(pid).map_or(0, |look| look.memory);
    let before = memory();
    let text = "x".repeat(100_000);
    let mut most = 0;
    wait::until("all that do not read are closed", WITHIN, || {
        for _ in 0..20 {
            publisher.call(&["PUBLISH", "a", &text])?;
            ensure!(
                next_text(&mut quick)? == text,
                "the quick subscriber gets all"
            );
        }
        most = most.max(memory());
        let reply = publisher.call(&["PUBSUB", "NUMSUB", "a"])?;
        ensure!(
            reply.elements().last() == Some(&Reply::Integer(1)),
            "{reply:?}"
        );
        Ok(())
    })?;
    let grown = most.saturating_sub(before);
    ensure!(grown < 100 << 20, "the proxy grew by {grown} bytes");
    Ok(())
}
