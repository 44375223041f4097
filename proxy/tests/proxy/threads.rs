//! The threads that serve clients.

use std::collections::BTreeSet;
use std::net::TcpStream;

use crate::support::{Client, Cluster, Fault, wait_until};

#[tokio::test]
async fn clients_of_every_thread_are_served_and_all_are_answered_before_the_proxy_stops() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--io-threads 3").await;
    let addr = proxy.addr;
    let mut clients = Vec::new();
    for _ in 0..7 {
        clients.push(Client::connect(addr).await);
    }
    for (at, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.run("INCR a").await, format!(":{}\r\n", at + 1));
        let threads = client.run("CONFIG GET io-threads").await;
        assert_eq!(threads, "*2\r\n$10\r\nio-threads\r\n$1\r\n3\r\n");
    }
    // CLIENT LIST shows the clients of all threads.
    let listed = clients[0].run("CLIENT LIST").await;
    assert_eq!(listed.matches("addr=").count(), 2 * 7, "{listed}");
    cluster.faults(1, &[const { Fault::Hold }; 7]);
    for client in &mut clients {
        client.put("INCR a").await;
    }
    wait_until(|| cluster.group(1, |group| group.faults.is_empty())).await;
    let stopping = tokio::spawn(proxy.shutdown());
    wait_until(|| TcpStream::connect(addr).is_err()).await;
    cluster.go_on(1);
    let mut answers = BTreeSet::new();
    for client in &mut clients {
        answers.insert(client.rest().await);
    }
    let expected: BTreeSet<_> = (8..15).map(|n| format!(":{n}\r\n")).collect();
    assert_eq!(answers, expected);
    stopping.await.unwrap();
}

#[tokio::test]
async fn the_threads_end_with_the_proxy() {
    // Other tests of this process have fewer threads.
    let is_there = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        tasks
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
            .any(|name| name.trim() == "proxy-io-49")
    };
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--io-threads 50").await;
    wait_until(is_there).await;
    proxy.shutdown().await;
    assert!(!is_there());
}
