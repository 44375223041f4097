//! Clients do not hold up a stop.

use std::time::Duration;

use crate::support::{Client, Cluster, Fault, wait_until};

/// Far below the drain timeout of these proxies, which bounds the wait for clients that make
/// progress.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn clients_that_take_no_replies_do_not_hold_up_a_stop() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--drain-timeout 1h").await;
    let mut deaf = Client::connect(proxy.addr).await;
    let value = "x".repeat(100_000);
    assert_eq!(deaf.run(&format!("SET a {value}")).await, "+OK\r\n");
    deaf.send("GET a\r\n".repeat(1000)).await;
    let mut other = Client::connect(proxy.addr).await;
    loop {
        let list = other.run("CLIENT LIST").await;
        // Replies wait in the proxy once the kernel takes no more of them.
        if list
            .split("omem=")
            .skip(1)
            .any(|rest| !rest.starts_with("0 "))
        {
            break;
        }
    }
    let stopped = tokio::time::timeout(SOON, proxy.shutdown()).await;
    stopped.expect("the stop does not wait for a client that reads nothing");
}

#[tokio::test]
async fn commands_that_a_pause_holds_back_do_not_hold_up_a_stop() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--drain-timeout 1h").await;
    let mut other = Client::connect(proxy.addr).await;
    let paused = other.run("CLIENT PAUSE 3600000 WRITE").await;
    assert_eq!(paused, "+OK\r\n");
    let mut held = Client::connect(proxy.addr).await;
    held.send("INCR a\r\nINCR a\r\n").await;
    while !other.run("CLIENT LIST").await.contains("flags=b") {}
    let stopped = tokio::time::timeout(SOON, proxy.shutdown()).await;
    stopped.expect("the stop does not wait for the end of the pause");
    assert_eq!(held.rest().await, "", "what has not begun is not answered");
    let executed: usize = cluster.group(1, |g| g.executed.iter().map(Vec::len).sum());
    assert_eq!(executed, 0);
}

#[tokio::test]
async fn a_client_that_goes_on_sending_gets_the_replies_of_what_was_begun() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let value = "x".repeat(1_000_000);
    assert_eq!(client.run(&format!("SET a {value}")).await, "+OK\r\n");
    cluster.faults(1, &[Fault::Hold]);
    client.send("GET a\r\n").await;
    wait_until(|| cluster.group(1, |group| group.faults.is_empty())).await;
    let addr = proxy.addr;
    let stopping = tokio::spawn(proxy.shutdown());
    wait_until(|| std::net::TcpStream::connect(addr).is_err()).await;
    // The proxy does not read these bytes: closing the socket over them would reset the connection
    // and lose the reply.
    client.send("GET a\r\n".repeat(1000)).await;
    cluster.go_on(1);
    let answered = client.rest().await;
    assert_eq!(answered.len(), "$1000000\r\n\r\n".len() + value.len());
    stopping.await.unwrap();
}
