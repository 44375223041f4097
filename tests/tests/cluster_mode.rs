//! Clients of cluster mode: proxies are their nodes, also while a proxy is killed and comes back.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use coterie_tests::cluster::{Cluster, Role};
use coterie_tests::connection::Connection;
use coterie_tests::foreign;
use coterie_tests::resp::Reply;
use coterie_tests::wait;

const WITHIN: Duration = Duration::from_secs(30);

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(name)
}

/// Waits until each of these proxies describes so many nodes.
fn wait_for_nodes(proxies: &[String], count: usize) {
    for proxy in proxies {
        let mut connection = Connection::open(proxy, WITHIN).expect("connects");
        wait::until("proxies know one another", WITHIN, || {
            match connection.call(&["CLUSTER", "SLOTS"])? {
                Reply::Array(slots) => ensure!(slots.len() == count, "{} nodes", slots.len()),
                other => anyhow::bail!("{other:?}"),
            }
            Ok(())
        })
        .expect("they do");
    }
}

fn wait_for_key(connection: &mut Connection, key: &str) {
    wait::until("the client is ready", Duration::from_secs(100), || {
        let found = connection.call(&["EXISTS", key])?;
        ensure!(found == Reply::Integer(1), "{found:?}");
        Ok(())
    })
    .expect("it is");
}

#[test]
fn clients_of_cluster_mode_go_on_while_a_proxy_is_killed() {
    let cluster = Cluster::builder().count(Role::Proxy, 2).cluster_mode();
    let mut cluster = cluster.start().expect("starts");
    let proxies = cluster.proxies();
    wait_for_nodes(&proxies, 2);
    redis_cli(&proxies);
    redis_py(&mut cluster, &proxies);
    wait_for_nodes(&proxies, 2);
    ioredis(&mut cluster, &proxies);
}

fn redis_py(cluster: &mut Cluster, proxies: &[String]) {
    let (host, port) = proxies[0].rsplit_once(':').expect("host and port");
    let started = foreign::start_redis_py(&script("redis_py_cluster.py"), &[host, port]);
    let Some(running) = started.expect("redis-py starts") else {
        return;
    };
    let mut connection = Connection::open(&proxies[0], WITHIN).expect("connects");
    wait_for_key(&mut connection, "redis-py-cluster:ready");
    cluster.process("proxy-2").kill();
    wait_for_nodes(&proxies[..1], 1);
    cluster.process("proxy-2").start().expect("starts again");
    wait_for_nodes(&proxies[..1], 2);
    let said = running.finish().expect("redis-py works");
    assert_eq!(said.trim(), "ok");
}

fn ioredis(cluster: &mut Cluster, proxies: &[String]) {
    let (host, port) = proxies[0].rsplit_once(':').expect("host and port");
    std::thread::scope(|scope| {
        let running =
            scope.spawn(|| foreign::run_ioredis(&script("ioredis_cluster.js"), &[host, port]));
        let mut connection = Connection::open(&proxies[0], WITHIN).expect("connects");
        wait::until("the client is ready, or is not there", WITHIN * 4, || {
            let found = connection.call(&["EXISTS", "ioredis-cluster:ready"])?;
            ensure!(
                found == Reply::Integer(1) || running.is_finished(),
                "{found:?}"
            );
            Ok(())
        })
        .expect("it is");
        cluster.process("proxy-2").kill();
        wait_for_nodes(&proxies[..1], 1);
        let set = connection.call(&["SET", "ioredis-cluster:killed", "1"]);
        assert_eq!(set.expect("answers"), Reply::Simple("OK".to_owned()));
        let said = running.join().expect("no panic").expect("ioredis works");
        if let Some(said) = said {
            assert_eq!(said.trim(), "ok");
        }
    });
}

fn redis_cli(proxies: &[String]) {
    let run = |words: &[&str]| {
        let Ok(output) = Command::new("redis-cli").args(words).output() else {
            eprintln!("SKIPPED: no redis-cli on this machine");
            return None;
        };
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (host, port) = proxies[0].rsplit_once(':').expect("host and port");
    for key in ["a", "foo", "{x}y"] {
        let set = run(&["-c", "-h", host, "-p", port, "SET", key, "1"]);
        assert!(set.is_none_or(|set| set.trim() == "OK"));
    }
    if let Some(info) = run(&["--cluster", "info", &proxies[0]]) {
        for proxy in proxies {
            assert!(info.contains(proxy.as_str()), "{info}");
        }
        assert!(info.contains("8192 slots"), "{info}");
    }
    if let Some(check) = run(&["--cluster", "check", &proxies[0]]) {
        assert!(check.contains("[OK] All 16384 slots covered."), "{check}");
        assert!(
            check.contains("[OK] All nodes agree about slots configuration."),
            "{check}"
        );
    }
}
