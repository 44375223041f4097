//! Several proxies of a cluster know one another: commands on all of them, the answers to clients
//! of cluster mode.

use std::time::Duration;

use crate::support::{Client, Cluster};

/// Waits until a proxy answers `line` with a reply that passes.
async fn until(client: &mut Client, line: &str, passes: impl Fn(&str) -> bool) -> String {
    for _ in 0..600 {
        let reply = client.run(line).await;
        if passes(&reply) {
            return reply;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{line}: {}", client.run(line).await);
}

/// Waits until a proxy knows so many proxies.
async fn until_known(client: &mut Client, count: usize) -> String {
    let head = format!("*{count}\r\n");
    until(client, "COTERIE PROXIES", |reply| reply.starts_with(&head)).await
}

async fn id(client: &mut Client) -> u64 {
    client.run("CLIENT ID").await.trim()[1..].parse().unwrap()
}

#[tokio::test]
async fn commands_run_on_all_proxies() {
    let cluster = Cluster::of_two();
    let (one, two) = (cluster.proxy("").await, cluster.proxy("").await);
    let mut first = Client::connect(one.addr).await;
    let mut second = Client::connect(two.addr).await;
    second.run("CLIENT SETNAME far").await;
    until_known(&mut first, 2).await;
    until_known(&mut second, 2).await;
    let (near_id, far_id) = (id(&mut first).await, id(&mut second).await);
    assert_ne!(near_id >> 33, far_id >> 33, "ids differ by their proxies");

    let listed = first.run("COTERIE ALL CLIENT LIST").await;
    assert!(listed.starts_with("*4\r\n"), "{listed}");
    for shown in [
        format!("id={near_id} "),
        format!("id={far_id} "),
        "name=far".to_owned(),
        one.addr.to_string(),
        two.addr.to_string(),
    ] {
        assert!(listed.contains(&shown), "{shown}: {listed}");
    }
    assert_eq!(listed.matches("id=").count(), 2, "nobody else: {listed}");

    let set = first.run("COTERIE ALL CONFIG SET slowlog-max-len 7").await;
    assert_eq!(set.matches("+OK\r\n").count(), 2, "{set}");
    let got = second.run("CONFIG GET slowlog-max-len").await;
    assert!(got.ends_with("$1\r\n7\r\n"), "{got}");
    let failed = first.run("COTERIE ALL CONFIG SET slowlog-max-len x").await;
    assert_eq!(
        failed.matches("-ERR CONFIG SET failed").count(),
        2,
        "{failed}"
    );
    let refused = first.run("COTERIE ALL GET k").await;
    assert_eq!(refused, "-ERR 'GET' is no command about a proxy\r\n");

    let line = format!("COTERIE ALL CLIENT KILL ID {far_id}");
    let killed = first.run(&line).await;
    assert_eq!(killed.matches(":1\r\n").count(), 1, "{killed}");
    assert_eq!(second.rest().await, "");

    two.shutdown().await;
    until_known(&mut first, 1).await;
    one.shutdown().await;
}

#[tokio::test]
async fn proxies_are_the_nodes_of_cluster_mode() {
    let cluster = Cluster::of_two();
    let one = cluster.proxy("--cluster-announce one.example:7001").await;
    let two = cluster.proxy("--cluster-announce two.example:7002").await;
    let mut client = Client::connect(one.addr).await;
    until_known(&mut client, 2).await;

    let slots = client.run("CLUSTER SLOTS").await;
    assert!(
        slots.starts_with("*2\r\n*3\r\n:0\r\n:8191\r\n*4\r\n"),
        "{slots}"
    );
    assert!(slots.contains("*3\r\n:8192\r\n:16383\r\n"), "{slots}");
    for shown in ["one.example\r\n:7001\r\n", "two.example\r\n:7002\r\n"] {
        assert_eq!(slots.matches(shown).count(), 1, "{slots}");
    }
    let nodes = client.run("CLUSTER NODES").await;
    let own = client.run("CLUSTER MYID").await;
    let own = own.lines().nth(1).unwrap().to_owned();
    let mine = nodes.lines().find(|line| line.starts_with(&own)).unwrap();
    assert!(
        mine.contains(" one.example:7001@7001 myself,master - 0 0 "),
        "{nodes}"
    );
    assert!(
        nodes.contains(" two.example:7002@7002 master - 0 0 "),
        "{nodes}"
    );
    assert_eq!(
        client.run("CLUSTER SHARDS").await.matches("online").count(),
        2
    );
    let info = client.run("CLUSTER INFO").await;
    for line in [
        "cluster_enabled:1",
        "cluster_state:ok",
        "cluster_known_nodes:2",
        "cluster_size:2",
    ] {
        assert!(info.lines().any(|of| of == line), "{line}: {info}");
    }
    assert!(
        client
            .run("INFO server")
            .await
            .contains("redis_mode:cluster\r\n")
    );
    assert_eq!(
        client.run(&format!("CLUSTER REPLICAS {own}")).await,
        "*0\r\n"
    );
    assert_eq!(
        client
            .run(&format!("CLUSTER COUNT-FAILURE-REPORTS {own}"))
            .await,
        ":0\r\n"
    );
    assert_eq!(
        client.run("CLUSTER SLAVES x").await,
        "-ERR Unknown node x\r\n"
    );

    two.shutdown().await;
    let left = until(&mut client, "CLUSTER SLOTS", |reply| {
        reply.starts_with("*1\r\n")
    })
    .await;
    assert!(left.starts_with("*1\r\n*3\r\n:0\r\n:16383\r\n"), "{left}");
    one.shutdown().await;
}

#[tokio::test]
async fn a_proxy_that_announces_nothing_is_a_node_by_itself() {
    let cluster = Cluster::of_two();
    let one = cluster.proxy("--cluster-announce one.example:7001").await;
    let silent = cluster.proxy("").await;
    let mut client = Client::connect(one.addr).await;
    until_known(&mut client, 2).await;
    let slots = client.run("CLUSTER SLOTS").await;
    assert!(slots.starts_with("*1\r\n*3\r\n:0\r\n:16383\r\n"), "{slots}");
    let mut alone = Client::connect(silent.addr).await;
    let slots = alone.run("CLUSTER SLOTS").await;
    assert!(slots.starts_with("*1\r\n*3\r\n:0\r\n:16383\r\n"), "{slots}");
    assert!(
        alone
            .run("CLUSTER INFO")
            .await
            .contains("cluster_enabled:0")
    );

    silent.shutdown().await;
    one.shutdown().await;
}

#[tokio::test]
async fn keys_of_a_slot_are_found() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    for key in ["a{foo}", "foo", "other", "z{foo}"] {
        client.run(&format!("SET {key} 1")).await;
    }
    for (line, expected) in [
        ("CLUSTER COUNTKEYSINSLOT 12182", ":3\r\n"),
        ("CLUSTER COUNTKEYSINSLOT 1", ":0\r\n"),
        ("CLUSTER COUNTKEYSINSLOT 16384", "-ERR Invalid slot\r\n"),
        (
            "CLUSTER COUNTKEYSINSLOT x",
            "-ERR value is not an integer or out of range\r\n",
        ),
        (
            "CLUSTER GETKEYSINSLOT 12182 2",
            "*2\r\n$6\r\na{foo}\r\n$3\r\nfoo\r\n",
        ),
        ("CLUSTER GETKEYSINSLOT 12182 0", "*0\r\n"),
        (
            "CLUSTER GETKEYSINSLOT 12182 -1",
            "-ERR Invalid slot or number of keys\r\n",
        ),
    ] {
        assert_eq!(client.run(line).await, expected, "{line}");
    }
    proxy.shutdown().await;
}
