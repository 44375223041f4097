//! `MONITOR`: clients that see the commands of others.

use std::time::Duration;

use crate::support::{Client, Cluster};

/// The words of a line of MONITOR, behind its time.
fn told(line: &str) -> String {
    let (time, rest) = line.split_once(' ').expect("a time");
    let (seconds, micros) = time[1..].split_once('.').expect("a fraction");
    assert!(line.starts_with('+') && micros.len() == 6, "{line}");
    assert!(
        seconds.parse::<u64>().is_ok() && micros.parse::<u32>().is_ok(),
        "{line}"
    );
    rest.trim_end().to_owned()
}

#[tokio::test]
async fn the_commands_of_others_are_shown_as_redis_shows_them() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut watcher = Client::connect(proxy.addr).await;
    let mut other = Client::connect(proxy.addr).await;
    let addr = other.stream.local_addr().unwrap();
    assert_eq!(watcher.run("MONITOR x").await, "-ERR syntax error\r\n");
    assert_eq!(watcher.run("MONITOR").await, "+OK\r\n");
    for line in [
        "SELECT 3",
        "SET k a\"\n",
        "AUTH default secret",
        "HELLO 2 AUTH default secret",
        "CONFIG GET port",
        "NOSUCH x",
        "GET",
        "MULTI",
        "INCR n",
        "ECHO x",
        "EXEC",
        "PING",
    ] {
        other.run(line).await;
    }
    for expected in [
        "\"SELECT\" \"3\"",
        "\"SET\" \"k\" \"a\\\"\\n\"",
        "\"AUTH\" \"(redacted)\" \"(redacted)\"",
        "\"HELLO\" \"2\" \"AUTH\" \"(redacted)\" \"(redacted)\"",
        "\"MULTI\"",
        "\"INCR\" \"n\"",
        "\"ECHO\" \"x\"",
        "\"EXEC\"",
        "\"PING\"",
    ] {
        let line = watcher.reply().await;
        assert_eq!(told(&line), format!("[3 {addr}] {expected}"));
    }
    let listed = other.run("CLIENT LIST").await;
    let mine = watcher.stream.local_addr().unwrap().to_string();
    let line = listed
        .lines()
        .find(|line| line.contains(&format!("addr={mine} ")));
    assert!(
        line.is_some_and(|line| line.contains(" flags=O ")),
        "{listed}"
    );

    // It sees its own commands, too, until it watches no more.
    watcher.put("PING").await;
    let (mut lines, mut pongs) = (0, 0);
    while (lines, pongs) != (1, 1) {
        match watcher.reply().await {
            reply if reply == "+PONG\r\n" => pongs += 1,
            // The other's CLIENT LIST is for administrators: it is not shown.
            reply => lines += usize::from(told(&reply).ends_with("\"PING\"")),
        }
    }
    watcher.put("RESET").await;
    let mut last = watcher.reply().await;
    if last != "+RESET\r\n" {
        assert!(told(&last).ends_with("\"RESET\""), "{last}");
        last = watcher.reply().await;
    }
    assert_eq!(last, "+RESET\r\n");
    other.run("PING").await;
    assert_eq!(watcher.run("ECHO done").await, "$4\r\ndone\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn commands_at_all_proxies_are_shown() {
    let cluster = Cluster::of_two();
    let (one, two) = (cluster.proxy("").await, cluster.proxy("").await);
    let mut watcher = Client::connect(one.addr).await;
    let mut far = Client::connect(two.addr).await;
    let addr = far.stream.local_addr().unwrap();
    for _ in 0..600 {
        if watcher.run("COTERIE PROXIES").await.starts_with("*2\r\n") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(watcher.run("MONITOR ALL").await, "+OK\r\n");
    let sending = tokio::spawn(async move {
        loop {
            far.run("ECHO far").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let line = watcher.reply().await;
    assert_eq!(told(&line), format!("[0 {addr}] \"ECHO\" \"far\""));
    sending.abort();
    two.shutdown().await;
    one.shutdown().await;
}

#[tokio::test]
async fn a_watcher_that_stops_reading_is_closed() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut watcher = Client::connect(proxy.addr).await;
    let mut other = Client::connect(proxy.addr).await;
    let limit = crate::support::client::command(&[
        b"CONFIG",
        b"SET",
        b"client-output-buffer-limit",
        b"pubsub 1000000 0 0",
    ]);
    other.send(limit).await;
    assert_eq!(other.reply().await, "+OK\r\n");
    assert_eq!(watcher.run("MONITOR").await, "+OK\r\n");
    let long = "x".repeat(60_000);
    for sent in 0.. {
        assert!(sent < 2000, "it is not closed");
        other.run(&format!("ECHO {long}")).await;
        if sent % 20 == 0 && other.run("CLIENT LIST").await.matches("id=").count() == 1 {
            break;
        }
    }
    drop(watcher);
    proxy.shutdown().await;
}
