//! Users of a whole cluster: the same on every proxy, at once, and after restarts of everything.

use std::time::Duration;

use anyhow::ensure;
use coterie_tests::cluster::{Cluster, Role};
use coterie_tests::connection::Connection;
use coterie_tests::resp::Reply;
use coterie_tests::wait;

const WITHIN: Duration = Duration::from_secs(60);
/// A change is told to every proxy in a single message.
const AT_ONCE: Duration = Duration::from_secs(5);

fn ok() -> Reply {
    Reply::Simple("OK".to_owned())
}

fn call(connection: &mut Connection, line: &str) -> Reply {
    let words: Vec<&str> = line.split(' ').collect();
    connection.call(&words).expect("answers")
}

fn log_in(addr: &str) -> anyhow::Result<Connection> {
    let mut connection = Connection::open(addr, WITHIN)?;
    let reply = connection.call(&["AUTH", "alice", "s3cret-of-alice"])?;
    ensure!(reply == ok(), "{reply:?}");
    Ok(connection)
}

fn is_denied(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if text.starts_with("NOPERM "))
}

#[test]
fn users_are_the_same_everywhere_and_outlast_restarts() {
    let builder = Cluster::builder().count(Role::Proxy, 2);
    let mut cluster = builder.start().expect("starts");
    let proxies = cluster.proxies();
    let mut admin = Connection::open(&proxies[0], WITHIN).expect("connects");
    let rules = "ACL SETUSER alice on >s3cret-of-alice ~a* +@all";
    assert_eq!(call(&mut admin, rules), ok());
    let mut here = log_in(&proxies[0]).expect("the proxy that was told knows the user");
    let mut there = wait::until("the other proxy knows the user", AT_ONCE, || {
        log_in(&proxies[1])
    })
    .expect("knows the user");
    for connection in [&mut here, &mut there] {
        assert_eq!(call(connection, "SET a 1"), ok());
        assert!(is_denied(&call(connection, "SET b 1")));
    }
    assert_eq!(call(&mut admin, "ACL SETUSER alice -set"), ok());
    assert!(is_denied(&call(&mut here, "SET a 2")));
    wait::until("the other proxy knows the change", AT_ONCE, || {
        ensure!(is_denied(&call(&mut there, "SET a 2")), "still allowed");
        Ok(())
    })
    .expect("denied");
    subscribers_are_closed(&mut admin, &proxies[1]);
    for name in cluster.all_names() {
        cluster.restart(&name).expect("restarts");
    }
    for addr in &proxies {
        let mut connection =
            wait::until("the user is known again", WITHIN, || log_in(addr)).expect("logs in");
        assert!(is_denied(&call(&mut connection, "SET a 2")));
    }
    cluster.wait_until_serving(WITHIN).expect("serves");
    let mut admin = Connection::open(&proxies[1], WITHIN).expect("connects");
    assert_eq!(call(&mut admin, "ACL DELUSER alice"), Reply::Integer(1));
    no_password_is_written(&cluster);
}

/// A subscriber at the other proxy is closed when a channel is taken from its user.
fn subscribers_are_closed(admin: &mut Connection, addr: &str) {
    assert_eq!(call(admin, "ACL SETUSER alice &a* &news.* +@pubsub"), ok());
    let subscribe = |line: &str| {
        wait::until("the channels are allowed", AT_ONCE, || {
            let mut connection = log_in(addr)?;
            let reply = call(&mut connection, line);
            ensure!(matches!(reply, Reply::Array(_)), "{reply:?}");
            Ok(connection)
        })
        .expect("subscribes")
    };
    let (mut kept, mut closed) = (subscribe("SUBSCRIBE a1"), subscribe("PSUBSCRIBE news.*"));
    assert_eq!(call(admin, "ACL SETUSER alice resetchannels &a*"), ok());
    assert!(closed.closed_by_server());
    let reply = call(&mut kept, "SUBSCRIBE a2");
    assert!(matches!(reply, Reply::Array(_)), "{reply:?}");
    assert!(is_denied(&call(&mut kept, "SUBSCRIBE news.1")));
}

/// Neither the files of any process nor its log have the password.
fn no_password_is_written(cluster: &Cluster) {
    let mut folders = vec![cluster.folder().to_owned()];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // A file may go away meanwhile.
            let Ok(bytes) = std::fs::read(&path) else {
                continue;
            };
            read += 1;
            let found = bytes.windows(15).any(|window| window == b"s3cret-of-alice");
            assert!(!found, "{} has the password", path.display());
        }
    }
    assert!(read > 10, "only {read} files");
}
