//! Commands that wait for data: their order, and how a wait ends. The groups are in memory; the
//! code that chooses the order is the servers'.

use std::time::Duration;

use coterie_protocol::Stage;
use coterie_proxy::Handle;

use crate::support::{Client, Cluster, Fault, listed, range, until, wait_until};

/// A client whose command waits.
pub(crate) async fn waiting(cluster: &Cluster, proxy: &Handle, line: &str) -> Client {
    let before = cluster.waiting(1);
    let mut client = Client::connect(proxy.addr).await;
    client.put(line).await;
    wait_until(|| cluster.waiting(1) == before + 1).await;
    client
}

pub(crate) async fn started() -> (std::sync::Arc<Cluster>, Handle, Client) {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let client = Client::connect(proxy.addr).await;
    (cluster, proxy, client)
}

fn popped(key: &str, value: &str) -> String {
    format!(
        "*2\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n",
        key.len(),
        value.len()
    )
}

#[tokio::test]
async fn the_first_that_waits_is_served_first() {
    let (cluster, proxy, mut other) = started().await;
    let mut first = waiting(&cluster, &proxy, "BLPOP k 0").await;
    let mut second = waiting(&cluster, &proxy, "BRPOP absent k 0").await;
    let mut third = waiting(&cluster, &proxy, "BLMPOP 0 1 k RIGHT COUNT 5").await;
    assert_eq!(other.run("RPUSH k a b").await, ":2\r\n");
    assert_eq!(first.reply().await, popped("k", "a"));
    assert_eq!(second.reply().await, popped("k", "b"));
    assert_eq!(cluster.waiting(1), 1);
    assert_eq!(other.run("RPUSH k c d").await, ":2\r\n");
    assert_eq!(
        third.reply().await,
        "*2\r\n$1\r\nk\r\n*2\r\n$1\r\nd\r\n$1\r\nc\r\n"
    );
    assert_eq!(other.run("LLEN k").await, ":0\r\n");
    // With data there is nothing to wait for.
    assert_eq!(other.run("RPUSH k e").await, ":1\r\n");
    assert_eq!(other.run("BLPOP k k 0").await, popped("k", "e"));
    assert_eq!(cluster.waiting(1), 0);
}

#[tokio::test]
async fn nobody_comes_between_a_push_and_who_waits_for_it() {
    let (cluster, proxy, mut other) = started().await;
    let mut waits = waiting(&cluster, &proxy, "BLPOP k 0").await;
    // In one frame, which is cut behind the push.
    other.send("LPUSH k a\r\nLPOP k\r\nLLEN k\r\n").await;
    assert_eq!(other.reply().await, ":1\r\n");
    assert_eq!(waits.reply().await, popped("k", "a"));
    let mut waits = waiting(&cluster, &proxy, "BLPOP k 0").await;
    let _ = (other.reply().await, other.reply().await);
    // A transaction is whole.
    other
        .send("MULTI\r\nLPUSH k a\r\nLPOP k\r\nLPUSH k b\r\nEXEC\r\n")
        .await;
    for _ in 0..4 {
        other.reply().await;
    }
    assert_eq!(other.reply().await, "*3\r\n:1\r\n$1\r\na\r\n:1\r\n");
    assert_eq!(waits.reply().await, popped("k", "b"));
}

#[tokio::test]
async fn a_move_feeds_who_waits_for_its_destination() {
    let (cluster, proxy, mut other) = started().await;
    let mut last = waiting(&cluster, &proxy, "BLPOP c 0").await;
    let mut second = waiting(&cluster, &proxy, "BRPOPLPUSH b c 0").await;
    let mut first = waiting(&cluster, &proxy, "BLMOVE a b LEFT RIGHT 0").await;
    assert_eq!(other.run("RPUSH a x").await, ":1\r\n");
    assert_eq!(first.reply().await, "$1\r\nx\r\n");
    assert_eq!(second.reply().await, "$1\r\nx\r\n");
    assert_eq!(last.reply().await, popped("c", "x"));
    assert_eq!(other.run("EXISTS a b c").await, ":0\r\n");
    // In a circle the element comes to rest.
    let mut one = waiting(&cluster, &proxy, "BLMOVE a b LEFT LEFT 0").await;
    let mut two = waiting(&cluster, &proxy, "BLMOVE b a LEFT LEFT 0").await;
    assert_eq!(other.run("RPUSH a y").await, ":1\r\n");
    assert_eq!(one.reply().await, "$1\r\ny\r\n");
    assert_eq!(two.reply().await, "$1\r\ny\r\n");
    assert_eq!(other.run("LRANGE a 0 -1").await, "*1\r\n$1\r\ny\r\n");
}

#[tokio::test]
async fn keys_appear_in_many_ways() {
    let (cluster, proxy, mut other) = started().await;
    assert_eq!(other.run("RPUSH from x y").await, ":2\r\n");
    let ways = [
        "RENAME from k",
        "COPY from k",
        "LMOVE from k LEFT LEFT",
        "RPUSH k x",
    ];
    for way in ways {
        let mut waits = waiting(&cluster, &proxy, "BLPOP k 0").await;
        let mut next = waiting(&cluster, &proxy, "BRPOP k 0").await;
        other.run(way).await;
        assert!(
            waits.reply().await.starts_with("*2\r\n$1\r\nk\r\n"),
            "{way}"
        );
        other.run("RPUSH k z").await;
        assert!(next.reply().await.starts_with("*2\r\n$1\r\nk\r\n"), "{way}");
        wait_until(|| cluster.waiting(1) == 0).await;
        other.run("DEL from k").await;
        other.run("RPUSH from x y").await;
    }
}

#[tokio::test]
async fn a_renamed_list_serves_as_many_as_it_has_elements_for() {
    let (cluster, proxy, mut other) = started().await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(waiting(&cluster, &proxy, "BLPOP k 0").await);
    }
    let numbers: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    other
        .run(&format!("RPUSH from {}", numbers.join(" ")))
        .await;
    assert_eq!(other.run("RENAME from k").await, "+OK\r\n");
    for (client, number) in clients.iter_mut().zip(&numbers) {
        assert_eq!(client.reply().await, popped("k", number));
    }
}

#[tokio::test]
async fn other_types_are_let_be_by_who_waits_and_an_error_for_who_comes() {
    let (cluster, proxy, mut other) = started().await;
    let mut waits = waiting(&cluster, &proxy, "BLPOP k l 0").await;
    assert_eq!(other.run("SET k text").await, "+OK\r\n");
    assert!(other.run("BLPOP k 0").await.starts_with("-WRONGTYPE "));
    assert_eq!(cluster.waiting(1), 1);
    assert_eq!(other.run("DEL k").await, ":1\r\n");
    assert_eq!(other.run("SET k text").await, "+OK\r\n");
    assert_eq!(other.run("RPUSH l x").await, ":1\r\n");
    assert_eq!(waits.reply().await, popped("l", "x"));
}

#[tokio::test]
async fn a_wait_ends_in_time_with_null() {
    let (cluster, proxy, mut client) = started().await;
    for line in [
        "BLPOP k 0.01",
        "BLMOVE k l LEFT LEFT 0.01",
        "BRPOPLPUSH k l 0.01",
    ] {
        assert_eq!(client.run(line).await, "*-1\r\n", "{line}");
    }
    client.run("HELLO 3").await;
    assert_eq!(client.run("BLPOP k 0.01").await, "_\r\n");
    assert_eq!(cluster.waiting(1), 0);
    assert_eq!(client.run("LPUSH k x").await, ":1\r\n");
    assert_eq!(
        client.run("LLEN k").await,
        ":1\r\n",
        "nobody waits any more"
    );
    drop(proxy);
}

#[tokio::test]
async fn wrong_words_are_refused_and_nobody_waits_in_a_transaction() {
    let (cluster, _proxy, mut client) = started().await;
    let refused = [
        (
            "BLPOP k x",
            "-ERR timeout is not a float or out of range\r\n",
        ),
        ("BLPOP k -1", "-ERR timeout is negative\r\n"),
        ("BLPOP k inf", "-ERR timeout is out of range\r\n"),
        ("BLMOVE k l LEFT x 0", "-ERR syntax error\r\n"),
        (
            "BLMPOP x 0 k LEFT",
            "-ERR numkeys should be greater than 0\r\n",
        ),
    ];
    for (line, reply) in refused {
        assert_eq!(client.run(line).await, reply, "{line}");
    }
    assert!(client.run("BLPOP a z 0").await.starts_with("-CROSSGROUP "));
    client
        .send("MULTI\r\nBLPOP k 0\r\nBLMOVE k l LEFT LEFT 0\r\nEXEC\r\n")
        .await;
    for _ in 0..3 {
        client.reply().await;
    }
    assert_eq!(client.reply().await, "*2\r\n*-1\r\n$-1\r\n");
    assert_eq!(cluster.waiting(1), 0);
}

#[tokio::test]
async fn client_unblock_ends_a_wait() {
    let (cluster, proxy, mut other) = started().await;
    let ways = [
        ("", "*-1\r\n"),
        (" TIMEOUT", "*-1\r\n"),
        (
            " ERROR",
            "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n",
        ),
    ];
    for (way, reply) in ways {
        let mut client = Client::connect(proxy.addr).await;
        let id = client.run("CLIENT ID").await;
        let id = id.trim().trim_start_matches(':');
        let unblock = format!("CLIENT UNBLOCK {id}{way}");
        assert_eq!(other.run(&unblock).await, ":0\r\n", "it does not wait");
        client.put("BLPOP k 0").await;
        wait_until(|| cluster.waiting(1) == 1).await;
        assert_eq!(other.run(&unblock).await, ":1\r\n");
        assert_eq!(client.reply().await, reply);
        assert_eq!(cluster.waiting(1), 0);
        assert_eq!(other.run(&unblock).await, ":0\r\n", "it waits no more");
        assert_eq!(client.run("PING").await, "+PONG\r\n");
    }
}

#[tokio::test]
async fn a_client_that_waits_is_shown_and_holds_up_its_own_commands_only() {
    let (cluster, proxy, mut other) = started().await;
    let mut client = Client::connect(proxy.addr).await;
    client.send("BLPOP k 0\r\nSET a 1\r\nGET a\r\n").await;
    wait_until(|| cluster.waiting(1) == 1).await;
    until(async || {
        let all = listed(&mut other).await;
        all.iter().any(|fields| fields["flags"] == "b")
    })
    .await;
    assert!(
        other
            .run("INFO clients")
            .await
            .contains("blocked_clients:1\r\n")
    );
    assert_eq!(other.run("GET a").await, "$-1\r\n", "it has not begun");
    assert_eq!(other.run("LPUSH k x").await, ":1\r\n");
    assert_eq!(client.reply().await, popped("k", "x"));
    assert_eq!(client.reply().await, "+OK\r\n");
    assert_eq!(client.reply().await, "$1\r\n1\r\n");
    until(async || {
        other
            .run("INFO clients")
            .await
            .contains("blocked_clients:0\r\n")
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_is_not_served() {
    let (cluster, proxy, mut other) = started().await;
    let gone = waiting(&cluster, &proxy, "BLPOP k 0").await;
    drop(gone);
    let within = wait_until(|| cluster.waiting(1) == 0);
    tokio::time::timeout(Duration::from_secs(5), within)
        .await
        .unwrap();
    assert_eq!(other.run("LPUSH k x").await, ":1\r\n");
    assert_eq!(other.run("LLEN k").await, ":1\r\n");
    // CLIENT KILL, too.
    other.run("DEL k").await;
    let mut client = Client::connect(proxy.addr).await;
    let id = client.run("CLIENT ID").await;
    client.put("BLPOP k 0").await;
    wait_until(|| cluster.waiting(1) == 1).await;
    let id = id.trim().trim_start_matches(':').to_owned();
    assert_eq!(other.run(&format!("CLIENT KILL ID {id}")).await, ":1\r\n");
    wait_until(|| cluster.waiting(1) == 0).await;
}

#[tokio::test]
async fn clients_that_wait_do_not_hold_up_a_stop() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--drain-timeout 1h").await;
    let mut client = waiting(&cluster, &proxy, "BLPOP k 0").await;
    let stopped = tokio::time::timeout(Duration::from_secs(30), proxy.shutdown()).await;
    stopped.expect("the stop does not wait for data");
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_pause_holds_back_a_command_before_it_waits() {
    let (cluster, proxy, mut other) = started().await;
    assert_eq!(other.run("CLIENT PAUSE 3600000 WRITE").await, "+OK\r\n");
    let mut client = Client::connect(proxy.addr).await;
    client.put("BLPOP k 0").await;
    until(async || {
        let all = listed(&mut other).await;
        all.iter().any(|fields| fields["flags"] == "b")
    })
    .await;
    assert_eq!(cluster.waiting(1), 0);
    assert_eq!(other.run("CLIENT UNPAUSE").await, "+OK\r\n");
    wait_until(|| cluster.waiting(1) == 1).await;
    assert_eq!(other.run("LPUSH k x").await, ":1\r\n");
    assert_eq!(client.reply().await, popped("k", "x"));
}

#[tokio::test]
async fn waits_go_on_at_the_next_leader_in_their_order() {
    let (cluster, proxy, mut other) = started().await;
    let mut first = waiting(&cluster, &proxy, "BLPOP k 0").await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut second = waiting(&cluster, &proxy, "BLPOP k 0").await;
    cluster.lead(1, 2);
    wait_until(|| cluster.waiting(1) == 2).await;
    let came = cluster.came(1);
    let again: Vec<u64> = came[2..].iter().map(|(_, waited)| *waited).collect();
    assert!(
        came[2..].iter().all(|(stage, _)| *stage == Stage::Waited),
        "{came:?}"
    );
    assert!(again.iter().max() >= Some(&20), "{came:?}");
    assert_eq!(other.run("RPUSH k a b").await, ":2\r\n");
    assert_eq!(first.reply().await, popped("k", "a"));
    assert_eq!(second.reply().await, popped("k", "b"));
}

#[tokio::test]
async fn waits_go_on_when_a_server_has_forgotten_them() {
    let (cluster, proxy, mut other) = started().await;
    let mut client = waiting(&cluster, &proxy, "BLPOP k 0").await;
    wait_until(|| cluster.questions(1) > 0).await;
    cluster.forget_waits(1, 1);
    wait_until(|| cluster.waiting(1) == 1).await;
    assert_eq!(other.run("LPUSH k x").await, ":1\r\n");
    assert_eq!(client.reply().await, popped("k", "x"));
}

#[tokio::test]
async fn a_lost_answer_is_fetched_from_the_log_and_nothing_is_taken_twice() {
    let (cluster, proxy, mut other) = started().await;
    let mut client = waiting(&cluster, &proxy, "BLPOP k 0").await;
    cluster.lose_news(1);
    assert_eq!(other.run("RPUSH k x y").await, ":2\r\n");
    assert_eq!(client.reply().await, popped("k", "x"));
    assert_eq!(other.run("LRANGE k 0 -1").await, "*1\r\n$1\r\ny\r\n");
}

#[tokio::test]
async fn a_withdrawal_that_comes_too_late_brings_the_answer() {
    let (cluster, proxy, mut other) = started().await;
    let mut client = Client::connect(proxy.addr).await;
    let id = client.run("CLIENT ID").await;
    let id = id.trim().trim_start_matches(':').to_owned();
    client.put("BLPOP k 0").await;
    wait_until(|| cluster.waiting(1) == 1).await;
    cluster.hold_news(1);
    assert_eq!(other.run("RPUSH k x").await, ":1\r\n");
    assert_eq!(
        other.run(&format!("CLIENT UNBLOCK {id} ERROR")).await,
        ":1\r\n"
    );
    assert_eq!(client.reply().await, popped("k", "x"));
    assert_eq!(other.run("EXISTS k").await, ":0\r\n");
}

#[tokio::test]
async fn a_first_try_survives_what_other_frames_survive() {
    let (cluster, proxy, mut other) = started().await;
    let faults = [
        Fault::NoLeader,
        Fault::Overloaded,
        Fault::Moving,
        Fault::LoseAnswer,
        Fault::FateUnknown,
        Fault::Silence,
    ];
    cluster.faults(1, &faults);
    let mut client = Client::connect(proxy.addr).await;
    client.put("BLPOP k 0").await;
    wait_until(|| cluster.waiting(1) == 1).await;
    assert_eq!(other.run("LPUSH k x").await, ":1\r\n");
    assert_eq!(client.reply().await, popped("k", "x"));
}

#[tokio::test]
async fn a_wait_follows_its_key_to_another_group() {
    let (cluster, proxy, mut other) = started().await;
    let mut client = waiting(&cluster, &proxy, "BLPOP b 0").await;
    cluster.move_range(1, range(1, 2, "", "m", 2));
    cluster.retry(1);
    wait_until(|| cluster.waiting(2) == 1).await;
    assert_eq!(cluster.waiting(1), 0);
    assert_eq!(other.run("LPUSH b x").await, ":1\r\n");
    assert_eq!(client.reply().await, popped("b", "x"));
}

#[tokio::test]
async fn nobody_asks_when_nobody_waits() {
    let (cluster, proxy, mut client) = started().await;
    assert_eq!(client.run("RPUSH k x").await, ":1\r\n");
    assert_eq!(client.run("BLPOP k 0").await, popped("k", "x"));
    assert_eq!(cluster.questions(1), 0);
    let mut waits = waiting(&cluster, &proxy, "BLPOP k 0").await;
    wait_until(|| cluster.questions(1) == 1).await;
    assert_eq!(client.run("RPUSH k x").await, ":1\r\n");
    assert_eq!(waits.reply().await, popped("k", "x"));
}
