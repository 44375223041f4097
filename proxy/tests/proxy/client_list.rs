//! CLIENT LIST, CLIENT INFO and INFO clients tell the truth.

use std::time::Duration;

use crate::support::client::command;
use crate::support::{Client, Cluster, Fault, Fields, listed};

/// The fields of the client of this name.
async fn named(observer: &mut Client, name: &str) -> Option<Fields> {
    let mut clients = listed(observer).await.into_iter();
    clients.find(|fields| fields["name"] == name)
}

/// Waits until `is_so` holds for the fields of a client.
async fn wait_for(observer: &mut Client, name: &str, is_so: impl Fn(&Fields) -> bool) -> Fields {
    let met = async {
        loop {
            let found = named(observer, name).await;
            if let Some(fields) = found.filter(&is_so) {
                return fields;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let met = tokio::time::timeout(Duration::from_secs(20), met).await;
    met.unwrap_or_else(|_| panic!("it never is so of {name}"))
}

fn number(fields: &Fields, name: &str) -> usize {
    fields[name]
        .parse()
        .unwrap_or_else(|_| panic!("{name}={}", fields[name]))
}

#[tokio::test]
async fn the_memory_of_a_client_is_told() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut observer = Client::connect(proxy.addr).await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("CLIENT SETNAME it").await;
    let idle = wait_for(&mut observer, "it", |fields| {
        fields["cmd"] == "client|setname" && fields["argv-mem"] == "0"
    })
    .await;
    for (name, value) in [
        ("flags", "N"),
        ("qbuf", "0"),
        ("argv-mem", "0"),
        ("multi-mem", "0"),
        ("obl", "0"),
        ("oll", "0"),
        ("omem", "0"),
        ("events", "r"),
        ("user", "default"),
        ("multi", "-1"),
    ] {
        assert_eq!(idle[name], value, "{name}");
    }
    assert!(number(&idle, "fd") > 2 && number(&idle, "rbs") > 0);
    let rest = number(&idle, "tot-mem") - number(&idle, "qbuf-free") - number(&idle, "rbs");
    assert!(rest > 100 && rest < 10_000, "{rest} bytes of its own");

    // A part of a command, a transaction, and a command that is held back.
    client.send("*2\r\n$3\r\nGET\r\n$100\r\nabc").await;
    let partly = wait_for(&mut observer, "it", |fields| fields["qbuf"] != "0").await;
    assert_eq!(partly["qbuf"], "22");
    client
        .send([b"x".repeat(97).as_slice(), b"\r\n"].concat())
        .await;
    assert_eq!(client.reply().await, "$-1\r\n");
    client.run("MULTI").await;
    client.send(command(&[b"SET", b"a", &[b'v'; 5000]])).await;
    assert_eq!(client.reply().await, "+QUEUED\r\n");
    let multi = wait_for(&mut observer, "it", |fields| fields["multi"] == "1").await;
    assert_eq!(multi["flags"], "x");
    assert!(
        (5004..6000).contains(&number(&multi, "multi-mem")),
        "{multi:?}"
    );
    assert!(number(&multi, "tot-mem") > number(&idle, "tot-mem") + 5000);
    client.run("DISCARD").await;
    observer.run("CLIENT PAUSE 100000 WRITE").await;
    client.send(command(&[b"SET", b"a", &[b'v'; 5000]])).await;
    let paused = wait_for(&mut observer, "it", |fields| fields["flags"] == "b").await;
    assert_eq!(
        (paused["argv-mem"].as_str(), paused["cmd"].as_str()),
        ("5004", "set")
    );
    assert!(number(&paused, "tot-mem") > number(&idle, "tot-mem") + 5000);

    // A command in flight.
    cluster.faults(1, &[Fault::Hold]);
    observer.run("CLIENT UNPAUSE").await;
    let sent = wait_for(&mut observer, "it", |fields| fields["flags"] == "N").await;
    assert_eq!(sent["argv-mem"], "0");
    assert!(number(&sent, "tot-mem") > number(&idle, "tot-mem") + 5000);
    cluster.go_on(1);
    assert_eq!(client.reply().await, "+OK\r\n");
    proxy.shutdown().await;
}

/// `rbp` reports the largest size of the small replies, as long as it is remembered.
#[tokio::test]
async fn the_peak_of_small_replies_is_told() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut observer = Client::connect(proxy.addr).await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("CLIENT SETNAME it").await;
    let met = async {
        while named(&mut observer, "it").await.unwrap()["rbp"] != "7" {
            assert_eq!(client.run("PING").await, "+PONG\r\n");
        }
    };
    let met = tokio::time::timeout(Duration::from_secs(20), met).await;
    met.expect("the peak is told");
    proxy.shutdown().await;
}

#[tokio::test]
async fn replies_that_wait_are_told() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut observer = Client::connect(proxy.addr).await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("CLIENT SETNAME it").await;
    // A missing reply holds back two small replies.
    cluster.faults(1, &[Fault::Hold]);
    client.send("GET a\r\nECHO abc\r\nGET z\r\n").await;
    let held = wait_for(&mut observer, "it", |fields| fields["oll"] == "2").await;
    assert_eq!(
        (held["omem"].as_str(), held["events"].as_str()),
        ("14", "r")
    );
    cluster.go_on(1);
    for expected in ["$-1\r\n", "$3\r\nabc\r\n", "$-1\r\n"] {
        assert_eq!(client.reply().await, expected);
    }
    let value = vec![b'v'; 1 << 20];
    client.send(command(&[b"SET", b"a", &value])).await;
    assert_eq!(client.reply().await, "+OK\r\n");
    client.send("GET a\r\n".repeat(20)).await;
    let unread = wait_for(&mut observer, "it", |fields| fields["omem"] != "0").await;
    assert_eq!(unread["events"], "rw");
    assert!(number(&unread, "oll") > 0);
    assert!(number(&unread, "tot-mem") > number(&unread, "omem"));
    let info = observer.run("INFO clients").await;
    let most = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse::<usize>().unwrap()
    };
    assert!(most("client_recent_max_input_buffer:") > 1 << 20, "{info}");
    assert!(most("client_recent_max_output_buffer:") > 1 << 20, "{info}");
    for _ in 0..20 {
        client.reply().await;
    }
    // The buffer space for the large value was freed.
    let idle = wait_for(&mut observer, "it", |fields| fields["events"] == "r").await;
    assert!(number(&idle, "tot-mem") < 100_000, "{idle:?}");
    proxy.shutdown().await;
}

/// Equal byte for byte, except for numbers and names.
#[tokio::test]
async fn the_lines_are_those_of_redis() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let info = client.run("CLIENT INFO").await;
    let line = info.lines().nth(1).unwrap();
    let names = line
        .split(' ')
        .map(|field| field.split('=').next().unwrap());
    let expected = "id addr laddr fd name age idle flags db sub psub ssub multi watch qbuf qbuf-free \
                    argv-mem multi-mem rbs rbp obl oll omem tot-mem events cmd user redir resp \
                    lib-name lib-ver";
    assert_eq!(names.collect::<Vec<_>>().join(" "), expected);
    assert!(line.contains(" argv-mem=10 "), "{line}");
    let info = client.run("INFO clients").await;
    let lines = info.lines().skip(1).filter(|line| !line.is_empty());
    let names = lines.map(|line| line.split(':').next().unwrap());
    let expected = "# Clients connected_clients cluster_connections maxclients \
                    client_recent_max_input_buffer client_recent_max_output_buffer blocked_clients \
                    tracking_clients clients_in_timeout_table total_blocking_keys \
                    total_blocking_keys_on_nokey";
    assert_eq!(names.collect::<Vec<_>>().join(" "), expected);
    proxy.shutdown().await;
}

#[tokio::test]
async fn what_waits_for_others_is_blocked_and_work_is_not() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--request-timeout 60s").await;
    let mut observer = Client::connect(proxy.addr).await;
    let mut waiting = Client::connect(proxy.addr).await;
    waiting.run("CLIENT SETNAME waiting").await;
    waiting.send("SET a 1\r\nWAIT 5 0\r\n").await;
    let mut working = Client::connect(proxy.addr).await;
    working.run("CLIENT SETNAME working").await;
    cluster.faults(2, &[Fault::Hold]);
    working.put("GET z").await;
    wait_for(&mut observer, "waiting", |fields| fields["flags"] == "b").await;
    wait_for(&mut observer, "working", |fields| fields["cmd"] == "get").await;
    assert_eq!(named(&mut observer, "working").await.unwrap()["flags"], "N");
    let info = observer.run("INFO clients").await;
    for line in [
        "connected_clients:3",
        "blocked_clients:1",
        "clients_in_timeout_table:1",
    ] {
        assert!(
            info.contains(&format!("\r\n{line}\r\n")),
            "{line} in {info}"
        );
    }
    cluster.go_on(2);
    proxy.shutdown().await;
}

/// To be listed, or woken without need, is no activity.
#[tokio::test]
async fn an_idle_client_stays_idle() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut observer = Client::connect(proxy.addr).await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("CLIENT SETNAME it").await;
    client.send("DEBUG SLEEP 1000\r\nPING\r\n").await;
    let it = wait_for(&mut observer, "it", |fields| fields["idle"] == "2").await;
    assert_eq!(it["qbuf"], "6");
    proxy.shutdown().await;
}
