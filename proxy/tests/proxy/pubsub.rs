//! Publish and subscribe over several proxies.

use std::sync::Arc;
use std::time::Duration;

use coterie_protocol::pubsub::{Kind, homes};
use coterie_proxy::Handle;
use coterie_types::{NodeId, NodeState};

use crate::support::client::command;
use crate::support::{Client, Cluster, wait_until};

/// A bulk string.
fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// Words as a list with this mark.
fn words(mark: char, words: &[&str]) -> String {
    let bulks: String = words.iter().map(|word| bulk(word)).collect();
    format!("{mark}{}\r\n{bulks}", words.len())
}

/// A confirmation.
fn confirmed(mark: char, word: &str, name: &str, count: usize) -> String {
    format!("{mark}3\r\n{}{}:{count}\r\n", bulk(word), bulk(name))
}

/// The home and the deputy of a channel while all nodes are up.
fn homes_of(channel: &str) -> [u64; 2] {
    let nodes = (1..=3).map(NodeId);
    homes(nodes, Kind::Channel, channel.as_bytes()).map(|node| node.unwrap().0)
}

async fn two(cluster: &Arc<Cluster>) -> [Handle; 2] {
    [cluster.proxy("").await, cluster.proxy("").await]
}

async fn stop(proxies: impl IntoIterator<Item = Handle>) {
    for proxy in proxies {
        proxy.shutdown().await;
    }
}

#[tokio::test]
async fn a_message_reaches_the_subscribers_of_all_proxies() {
    let cluster = Cluster::of_two();
    let proxies = two(&cluster).await;
    let mut plain = Client::connect(proxies[0].addr).await;
    let mut fitting = Client::connect(proxies[1].addr).await;
    let mut publisher = Client::connect(proxies[1].addr).await;
    assert_eq!(publisher.run("PUBLISH news none").await, ":0\r\n");
    let reply = plain.run("SUBSCRIBE news other").await;
    assert_eq!(reply, confirmed('*', "subscribe", "news", 1));
    assert_eq!(plain.reply().await, confirmed('*', "subscribe", "other", 2));
    fitting.run("HELLO 3").await;
    let reply = fitting.run("PSUBSCRIBE n*").await;
    assert_eq!(reply, confirmed('>', "psubscribe", "n*", 1));
    assert_eq!(publisher.run("PUBLISH news first").await, ":2\r\n");
    assert_eq!(publisher.run("PUBLISH next second").await, ":1\r\n");
    assert_eq!(
        plain.reply().await,
        words('*', &["message", "news", "first"])
    );
    let messages = [["news", "first"], ["next", "second"]];
    for [channel, text] in messages {
        let message = words('>', &["pmessage", "n*", channel, text]);
        assert_eq!(fitting.reply().await, message);
    }
    stop(proxies).await;
}

#[tokio::test]
async fn shard_channels_are_others() {
    let cluster = Cluster::of_two();
    let proxies = two(&cluster).await;
    let mut subscriber = Client::connect(proxies[0].addr).await;
    let mut publisher = Client::connect(proxies[1].addr).await;
    let reply = subscriber.run("SSUBSCRIBE news").await;
    assert_eq!(reply, confirmed('*', "ssubscribe", "news", 1));
    let reply = subscriber.run("SUBSCRIBE a").await;
    assert_eq!(reply, confirmed('*', "subscribe", "a", 1), "counted apart");
    assert_eq!(publisher.run("PUBLISH news x").await, ":0\r\n");
    assert_eq!(publisher.run("SPUBLISH news y").await, ":1\r\n");
    assert_eq!(
        subscriber.reply().await,
        words('*', &["smessage", "news", "y"])
    );
    assert_eq!(
        publisher.run("PUBSUB SHARDCHANNELS").await,
        words('*', &["news"])
    );
    let reply = publisher.run("PUBSUB SHARDNUMSUB news a").await;
    assert_eq!(reply, "*4\r\n$4\r\nnews\r\n:1\r\n$1\r\na\r\n:0\r\n");
    let reply = subscriber.run("SUNSUBSCRIBE").await;
    assert_eq!(reply, confirmed('*', "sunsubscribe", "news", 0));
    assert_eq!(publisher.run("SPUBLISH news z").await, ":0\r\n");
    stop(proxies).await;
}

#[tokio::test]
async fn questions_are_answered_for_all_proxies() {
    let cluster = Cluster::of_two();
    let proxies = two(&cluster).await;
    let mut clients = Vec::new();
    for (proxy, line) in [
        (0, "SUBSCRIBE a"),
        (1, "SUBSCRIBE a"),
        (1, "SUBSCRIBE b"),
        (0, "PSUBSCRIBE x*"),
        (1, "PSUBSCRIBE x*"),
        (1, "PSUBSCRIBE y*"),
    ] {
        let mut client = Client::connect(proxies[proxy].addr).await;
        client.run(line).await;
        clients.push(client);
    }
    let mut client = Client::connect(proxies[0].addr).await;
    for (line, expected) in [
        ("PUBSUB CHANNELS", words('*', &["a", "b"])),
        ("PUBSUB CHANNELS [b-z]", words('*', &["b"])),
        ("PUBSUB NUMPAT", ":2\r\n".to_owned()),
        (
            "PUBSUB NUMSUB a b c",
            "*6\r\n$1\r\na\r\n:2\r\n$1\r\nb\r\n:1\r\n$1\r\nc\r\n:0\r\n".to_owned(),
        ),
        ("PUBSUB NUMSUB", "*0\r\n".to_owned()),
    ] {
        assert_eq!(client.run(line).await, expected, "{line}");
    }
    let info = client.run("INFO stats").await;
    assert!(
        info.contains("\r\npubsub_channels:1\r\npubsub_patterns:1\r\n"),
        "{info}"
    );
    drop(clients);
    // Clients that have left are noticed.
    loop {
        if client.run("PUBSUB CHANNELS").await == "*0\r\n"
            && client.run("PUBSUB NUMPAT").await == ":0\r\n"
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop(proxies).await;
}

#[tokio::test]
async fn a_subscriber_of_resp2_may_call_little() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("SUBSCRIBE a").await;
    let refusal = |name: &str| {
        format!(
            "-ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
             RESET are allowed in this context\r\n"
        )
    };
    for (line, expected) in [
        ("GET k", refusal("get")),
        ("CLIENT ID", refusal("client|id")),
        ("MULTI", refusal("multi")),
        ("PUBLISH a x", refusal("publish")),
        ("PING", words('*', &["pong", ""])),
        ("PING hi", words('*', &["pong", "hi"])),
        ("SUBSCRIBE a", confirmed('*', "subscribe", "a", 1)),
        ("PSUBSCRIBE b*", confirmed('*', "psubscribe", "b*", 2)),
        ("UNSUBSCRIBE none", confirmed('*', "unsubscribe", "none", 2)),
        ("UNSUBSCRIBE", confirmed('*', "unsubscribe", "a", 1)),
        ("PING", words('*', &["pong", ""])),
        ("PUNSUBSCRIBE", confirmed('*', "punsubscribe", "b*", 0)),
        (
            "PUNSUBSCRIBE",
            "*3\r\n$12\r\npunsubscribe\r\n$-1\r\n:0\r\n".to_owned(),
        ),
        ("PING", "+PONG\r\n".to_owned()),
        ("GET k", "$-1\r\n".to_owned()),
        ("SUBSCRIBE a", confirmed('*', "subscribe", "a", 1)),
        ("RESET", "+RESET\r\n".to_owned()),
        ("GET k", "$-1\r\n".to_owned()),
    ] {
        assert_eq!(client.run(line).await, expected, "{line}");
    }
    assert_eq!(
        client.run("PUBSUB CHANNELS").await,
        "*0\r\n",
        "RESET ended it"
    );
    client.run("SUBSCRIBE a").await;
    assert_eq!(client.run("QUIT").await, "+OK\r\n");
    assert_eq!(client.rest().await, "");
    proxy.shutdown().await;
}

#[tokio::test]
async fn messages_stand_between_replies_in_resp3() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let mut publisher = Client::connect(proxy.addr).await;
    client.run("HELLO 3").await;
    client.run("SUBSCRIBE a").await;
    let value = "v".repeat(20_000);
    client.run(&format!("SET k {value}")).await;
    let mut messages = 0;
    for number in 0..50 {
        client.send("MGET k k k\r\nPING\r\n").await;
        let reply = publisher.run(&format!("PUBLISH a {number}")).await;
        assert_eq!(reply, ":1\r\n");
        let mut replies = Vec::new();
        while replies.len() < 2 {
            let reply = client.reply().await;
            if reply.starts_with('>') {
                let text = messages.to_string();
                assert_eq!(reply, words('>', &["message", "a", &text]));
                messages += 1;
            } else {
                replies.push(reply);
            }
        }
        assert_eq!(
            replies,
            [words('*', &[value.as_str(); 3]), "+PONG\r\n".to_owned()]
        );
    }
    while messages < 50 {
        let text = messages.to_string();
        assert_eq!(client.reply().await, words('>', &["message", "a", &text]));
        messages += 1;
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_transaction_publishes_and_subscribes_after_the_groups_part() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let mut other = Client::connect(proxy.addr).await;
    other.run("SUBSCRIBE done").await;
    for line in [
        "MULTI",
        "SET k 1",
        "PUBLISH done k",
        "GET k",
        "SUBSCRIBE a",
        "PING",
    ] {
        client.run(line).await;
    }
    let reply = client.run("EXEC").await;
    let subscribed = confirmed('*', "subscribe", "a", 1);
    let pong = words('*', &["pong", ""]);
    assert_eq!(
        reply,
        format!("*5\r\n+OK\r\n:1\r\n$1\r\n1\r\n{subscribed}{pong}")
    );
    assert_eq!(other.reply().await, words('*', &["message", "done", "k"]));
    // Nothing is published by a transaction that is not run.
    let mut third = Client::connect(proxy.addr).await;
    third.run("WATCH k").await;
    let mut fourth = Client::connect(proxy.addr).await;
    fourth.run("SET k 2").await;
    for line in ["MULTI", "GET k", "PUBLISH done never"] {
        third.run(line).await;
    }
    assert_eq!(third.run("EXEC").await, "*-1\r\n");
    for line in ["MULTI", "PUBLISH done alone"] {
        third.run(line).await;
    }
    assert_eq!(third.run("EXEC").await, "*1\r\n:1\r\n");
    assert_eq!(
        other.reply().await,
        words('*', &["message", "done", "alone"])
    );
    proxy.shutdown().await;
}

#[tokio::test]
async fn messages_come_to_a_client_that_wants_no_replies() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let mut publisher = Client::connect(proxy.addr).await;
    client.run("HELLO 3").await;
    client
        .send("CLIENT REPLY OFF\r\nPING\r\nSUBSCRIBE a\r\nPING\r\n")
        .await;
    assert_eq!(client.reply().await, confirmed('>', "subscribe", "a", 1));
    publisher.run("PUBLISH a x").await;
    assert_eq!(client.reply().await, words('>', &["message", "a", "x"]));
    publisher
        .send("CLIENT REPLY SKIP\r\nPUBLISH a y\r\nPING\r\n")
        .await;
    assert_eq!(publisher.reply().await, "+PONG\r\n");
    assert_eq!(client.reply().await, words('>', &["message", "a", "y"]));
    proxy.shutdown().await;
}

#[tokio::test]
async fn client_list_shows_subscribers_and_they_do_not_time_out() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--timeout 1s").await;
    let mut subscriber = Client::connect(proxy.addr).await;
    let mut silent = Client::connect(proxy.addr).await;
    silent.run("PING").await;
    subscriber.run("SUBSCRIBE a").await;
    subscriber.run("PSUBSCRIBE b* c*").await;
    subscriber.reply().await;
    subscriber.run("SSUBSCRIBE d").await;
    let mut other = Client::connect(proxy.addr).await;
    let list = other.run("CLIENT LIST TYPE pubsub").await;
    assert!(
        list.contains(" flags=P db=0 sub=1 psub=2 ssub=1 "),
        "{list}"
    );
    assert_eq!(list.matches("id=").count(), 1);
    let normal = other.run("CLIENT LIST TYPE normal").await;
    assert_eq!(
        normal.matches(" sub=0 psub=0 ssub=0 ").count(),
        2,
        "{normal}"
    );
    assert_eq!(silent.rest().await, "", "it was closed for its silence");
    // The other was silent for as long.
    let mut other = Client::connect(proxy.addr).await;
    assert_eq!(other.run("PUBLISH a x").await, ":1\r\n");
    assert_eq!(subscriber.reply().await, words('*', &["message", "a", "x"]));
    assert_eq!(other.run("CLIENT KILL TYPE pubsub").await, ":1\r\n");
    assert_eq!(subscriber.rest().await, "");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_closed_and_nobody_else() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--pubsub-output-buffer-limit 2MiB").await;
    let mut slow = Client::connect(proxy.addr).await;
    let mut quick = Client::connect(proxy.addr).await;
    let mut publisher = Client::connect(proxy.addr).await;
    slow.run("SUBSCRIBE a").await;
    quick.run("SUBSCRIBE a").await;
    let text = "x".repeat(50_000);
    let message = words('*', &["message", "a", &text]);
    let mut peak = 0;
    let mut sent = 0;
    loop {
        let receivers = publisher.run(&format!("PUBLISH a {text}")).await;
        assert_eq!(quick.reply().await, message);
        sent += 1;
        let list = publisher.run("CLIENT LIST TYPE pubsub").await;
        let held = list
            .split("omem=")
            .skip(1)
            .filter_map(|rest| rest.split(' ').next());
        peak = peak.max(held.filter_map(|held| held.parse().ok()).max().unwrap_or(0));
        if receivers == ":1\r\n" {
            break;
        }
        assert!(sent < 2000, "it is never closed");
    }
    assert!((1 << 20..3 << 20).contains(&peak), "{peak}");
    assert!(
        slow.rest().await.len() < sent * message.len(),
        "it has missed some"
    );
    assert_eq!(publisher.run(&format!("PUBLISH a {text}")).await, ":1\r\n");
    assert_eq!(quick.reply().await, message);
    proxy.shutdown().await;
}

#[tokio::test]
async fn names_and_messages_that_are_too_long_are_refused_in_words() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let name = "n".repeat((64 << 10) + 1);
    let refusal = "-ERR the name of a channel or pattern is limited to 65536 bytes\r\n";
    for word in ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"] {
        assert_eq!(client.run(&format!("{word} {name}")).await, refusal);
    }
    assert_eq!(client.run(&format!("PUBLISH {name} x")).await, refusal);
    let message = "m".repeat((16 << 20) + 1);
    client
        .send(command(&[b"publish", b"a", message.as_bytes()]))
        .await;
    assert_eq!(
        client.reply().await,
        "-ERR a message is limited to 16777216 bytes\r\n"
    );
    assert_eq!(client.run("PUBSUB CHANNELS").await, "*0\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn the_deputy_stands_in_for_a_home_that_does_not_answer() {
    let cluster = Cluster::of_two();
    let proxies = two(&cluster).await;
    let [home, deputy] = homes_of("a");
    let mut subscriber = Client::connect(proxies[0].addr).await;
    let mut publisher = Client::connect(proxies[1].addr).await;
    subscriber.run("SUBSCRIBE a").await;
    for node in [home, deputy] {
        assert_eq!(cluster.home(node, |home| home.subscribers("a")), 1);
    }
    assert_eq!(publisher.run("PUBLISH a 0").await, ":1\r\n");
    cluster.home(home, |home| home.is_down = true);
    assert_eq!(publisher.run("PUBLISH a 1").await, ":1\r\n");
    let mut late = Client::connect(proxies[0].addr).await;
    late.run("SUBSCRIBE a").await;
    assert_eq!(publisher.run("PUBLISH a 2").await, ":2\r\n");
    cluster.home(home, |home| {
        home.restart();
        home.is_down = false;
    });
    wait_until(|| cluster.home(home, |home| home.subscribers("a")) == 2).await;
    assert_eq!(publisher.run("PUBLISH a 3").await, ":2\r\n");
    for text in ["0", "1", "2", "3"] {
        assert_eq!(
            subscriber.reply().await,
            words('*', &["message", "a", text])
        );
    }
    stop(proxies).await;
}

#[tokio::test]
async fn no_message_is_lost_or_doubled_while_homes_change() {
    let cluster = Cluster::of_two();
    let proxies = two(&cluster).await;
    let mut subscriber = Client::connect(proxies[0].addr).await;
    let mut publisher = Client::connect(proxies[1].addr).await;
    subscriber.run("SUBSCRIBE a").await;
    let [home, _] = homes_of("a");
    let mut sent = 0;
    for state in [
        NodeState::Down,
        NodeState::Up,
        NodeState::Down,
        NodeState::Up,
    ] {
        let before = cluster.home(home, |home| home.published.len());
        cluster.set_state(home, state);
        for _ in 0..100 {
            let reply = publisher.run(&format!("PUBLISH a {sent}")).await;
            assert_eq!(reply, ":1\r\n");
            sent += 1;
        }
        // Also as the earlier home, it got some.
        assert!(cluster.home(home, |home| home.published.len()) > before);
    }
    for number in 0..sent {
        let text = number.to_string();
        assert_eq!(
            subscriber.reply().await,
            words('*', &["message", "a", &text])
        );
    }
    assert_eq!(
        subscriber.run("PING").await,
        words('*', &["pong", ""]),
        "no more"
    );
    stop(proxies).await;
}

#[tokio::test]
async fn a_proxy_without_subscribers_asks_for_nothing() {
    let cluster = Cluster::of_two();
    let proxies = two(&cluster).await;
    let links = || {
        (1..=3)
            .map(|node| cluster.home(node, |home| home.links()))
            .sum::<usize>()
    };
    let mut subscriber = Client::connect(proxies[0].addr).await;
    let mut publisher = Client::connect(proxies[1].addr).await;
    for _ in 0..10 {
        publisher.run("PUBLISH a x").await;
    }
    assert_eq!(links(), 0);
    subscriber.run("PSUBSCRIBE *").await;
    wait_until(|| links() == 3).await;
    assert_eq!(publisher.run("PUBLISH a x").await, ":1\r\n");
    wait_until(|| links() == 3).await;
    stop(proxies).await;
}
