//! Keyspace notifications over a whole cluster: subscribers at one proxy, changes through another.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::ensure;
use coterie_tests::cluster::{Cluster, Role};
use coterie_tests::connection::Connection;
use coterie_tests::resp::Reply;
use coterie_tests::wait;

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);

fn ok() -> Reply {
    Reply::Simple("OK".to_owned())
}

fn connect(addr: &str) -> Connection {
    Connection::open(addr, Duration::from_secs(60)).expect("connects")
}

/// The channel and the payload of the next message.
fn message(subscriber: &mut Connection) -> anyhow::Result<(String, String)> {
    let Reply::Array(words) = subscriber.receive()? else {
        anyhow::bail!("no message");
    };
    let text = |at: usize| match words.get(at) {
        Some(Reply::Bulk(bytes)) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        other => anyhow::bail!("{other:?}"),
    };
    let len = words.len();
    Ok((text(len - 2)?, text(len - 1)?))
}

/// Calls until an event of the channel arrives: a setting, and a subscription, take a moment to be
/// known everywhere.
fn until_told(caller: &mut Connection, subscriber: &mut Connection, channel: &str) {
    let end = Instant::now() + WITHIN;
    loop {
        assert_eq!(
            caller.call(&["SET", "00:probe", "x"]).expect("answers"),
            ok()
        );
        assert_eq!(
            caller.call(&["SET", "90:probe", "x"]).expect("answers"),
            ok()
        );
        let marker = caller.call(&["PUBLISH", "marker", "m"]).expect("answers");
        assert!(matches!(marker, Reply::Integer(_)), "{marker:?}");
        let mut seen = BTreeSet::new();
        loop {
            let (of, key) = message(subscriber).expect("a message");
            if of == "marker" {
                break;
            }
            if of == channel {
                seen.insert(key);
            }
        }
        if seen.len() == 2 {
            return;
        }
        assert!(Instant::now() < end, "no event of {channel}: {seen:?}");
    }
}

#[test]
fn events_of_every_group_reach_subscribers_of_another_proxy_in_order() {
    let mut cluster = Cluster::builder()
        .count(Role::Proxy, 2)
        .split_at(&["80"])
        .start()
        .expect("starts");
    let [one, two] = &cluster.proxies()[..] else {
        panic!("two proxies");
    };
    let (mut caller, mut subscriber) = (connect(one), connect(two));
    let config = ["CONFIG", "SET", "notify-keyspace-events", "KEA"];
    assert_eq!(caller.call(&config).expect("answers"), ok());
    let wrong = caller.call(&["CONFIG", "SET", "notify-keyspace-events", "?"]);
    assert!(matches!(wrong, Ok(Reply::Error(_))), "{wrong:?}");
    // The parameter holds in the whole cluster.
    wait::until("the other proxy shows it", WITHIN, || {
        let shown = connect(two).call(&["CONFIG", "GET", "notify-keyspace-events"])?;
        let Reply::Array(pair) = &shown else {
            anyhow::bail!("{shown:?}");
        };
        ensure!(
            pair.get(1) == Some(&Reply::Bulk(b"AKE".to_vec())),
            "{shown:?}"
        );
        Ok(())
    })
    .expect("it does");
    subscriber.call(&["SUBSCRIBE", "marker"]).expect("answers");
    subscriber
        .call(&["PSUBSCRIBE", "__key*@0__:*"])
        .expect("answers");
    until_told(&mut caller, &mut subscriber, "__keyevent@0__:set");

    events_of_a_key_come_in_order(&mut caller, &mut subscriber);

    // A key that expires is told by the sweep, though nobody looks at it.
    assert_eq!(
        caller
            .call(&["SET", "90:short", "x", "PX", "50"])
            .expect("answers"),
        ok()
    );
    let expired = ("__keyevent@0__:expired".to_owned(), "90:short".to_owned());
    while message(&mut subscriber).expect("a message") != expired {}

    // The next leader tells.
    let leaders = cluster.leaders().expect("leaders");
    let leader = leaders.values().next().expect("a leader").clone();
    cluster.process(&leader).kill();
    cluster
        .wait_until_serving(WITHIN)
        .expect("serves without it");
    until_told(&mut caller, &mut subscriber, "__keyevent@0__:set");
    until_silent(&mut caller, &mut subscriber);
}

/// From both groups.
fn events_of_a_key_come_in_order(caller: &mut Connection, subscriber: &mut Connection) {
    for key in ["00:k", "90:k"] {
        for line in [
            "LPUSH K a b",
            "LPOP K 2",
            "SET K 1",
            "INCR K",
            "EXPIRE K 100",
            "DEL K",
        ] {
            let words: Vec<&str> = line
                .split(' ')
                .map(|w| if w == "K" { key } else { w })
                .collect();
            let reply = caller.call(&words).expect("answers");
            assert!(!matches!(reply, Reply::Error(_)), "{line}: {reply:?}");
        }
        let names = ["lpush", "lpop", "del", "set", "incrby", "expire", "del"];
        let mut expected: Vec<(String, String)> = Vec::new();
        for name in names {
            expected.push((format!("__keyspace@0__:{key}"), name.to_owned()));
            expected.push((format!("__keyevent@0__:{name}"), key.to_owned()));
        }
        let mut told = Vec::new();
        while told.len() < expected.len() {
            let event = message(subscriber).expect("a message");
            // Events of other keys may come late, from another node.
            if event.0.ends_with(key) || event.1 == key {
                told.push(event);
            }
        }
        assert_eq!(told, expected);
    }
}

/// Turns notifications off, and waits until nothing is told any more.
fn until_silent(caller: &mut Connection, subscriber: &mut Connection) {
    let config = ["CONFIG", "SET", "notify-keyspace-events", ""];
    assert_eq!(caller.call(&config).expect("answers"), ok());
    let end = Instant::now() + WITHIN;
    let silent = || -> anyhow::Result<()> {
        caller.call(&["SET", "00:k", "x"])?;
        caller.call(&["PUBLISH", "marker", "m"])?;
        let (channel, _) = message(subscriber)?;
        if channel != "marker" {
            while message(subscriber)?.0 != "marker" {}
        }
        ensure!(channel == "marker", "{channel}");
        Ok(())
    };
    let mut silent = silent;
    while let Err(error) = silent() {
        assert!(Instant::now() < end, "{error:#}");
    }
}
