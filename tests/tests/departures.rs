//! Clients that leave while their commands wait, and clients that announce and send values that are
//! too long, take no memory and no connections of the proxy. The commands of clients that left are
//! not run.

use std::time::{Duration, Instant};

use anyhow::ensure;
use coterie_tests::cluster::{Cluster, Role};
use coterie_tests::connection::Connection;
use coterie_tests::resp::Reply;
use coterie_tests::wait;

const WITHIN: Duration = Duration::from_secs(60);
const MIB: usize = 1 << 20;

fn ok() -> Reply {
    Reply::Simple("OK".to_owned())
}

fn connect(addr: &str) -> Connection {
    Connection::open(addr, WITHIN).expect("connects")
}

#[test]
fn clients_that_leave_or_send_too_much_take_nothing() {
    let cluster = Cluster::builder().flags(Role::Proxy, &["--enable-debug-command", "yes"]);
    let mut cluster = cluster.start().expect("starts");
    let addr = cluster.proxy();
    let mut normal = connect(&addr);
    assert_eq!(normal.call(&["SET", "gone", "0"]).expect("answers"), ok());
    clients_that_leave(&mut cluster, &addr, &mut normal);
    values_that_are_too_long(&mut cluster, &addr, &mut normal);
}

fn clients_that_leave(cluster: &mut Cluster, addr: &str, normal: &mut Connection) {
    const CLIENTS: usize = 100;
    let mut files = || cluster.process("proxy-1").open_files().expect("runs");
    let before = files();
    let pause = ["CLIENT", "PAUSE", "1000000", "WRITE"];
    assert_eq!(normal.call(&pause).expect("answers"), ok());
    for number in 0..CLIENTS {
        let mut leaver = connect(addr);
        let commands: &[&[&str]] = match number % 4 {
            0 => &[&["INCR", "gone"]],
            1 => &[&["MULTI"], &["INCR", "gone"], &["EXEC"]],
            2 => &[&["DEBUG", "SLEEP", "1000"], &["INCR", "gone"]],
            _ => &[&["WAIT", "9", "0"], &["INCR", "gone"]],
        };
        for command in commands {
            leaver.send(command).expect("sends");
        }
    }
    let left = Instant::now();
    wait::until("their connections end", WITHIN, || {
        let listed = normal.call(&["CLIENT", "LIST"])?;
        let Reply::Bulk(listed) = listed else {
            anyhow::bail!("{listed:?}");
        };
        let clients = listed.iter().filter(|byte| **byte == b'\n').count();
        ensure!(clients == 1, "{clients} clients");
        let files = files();
        // A few may be links to servers that were not needed before.
        ensure!(files <= before + 10, "{files} files, {before} before");
        Ok(())
    })
    .expect("they end");
    println!(
        "{CLIENTS} clients that left: gone after {:?}",
        left.elapsed()
    );
    assert!(
        left.elapsed() < Duration::from_secs(10),
        "{:?}",
        left.elapsed()
    );
    let resume = normal.call(&["CLIENT", "UNPAUSE"]);
    assert_eq!(resume.expect("answers"), ok());
    let value = normal.call(&["INCR", "gone"]).expect("answers");
    assert_eq!(
        value,
        Reply::Integer(1),
        "what those that left had sent was run"
    );
}

fn values_that_are_too_long(cluster: &mut Cluster, addr: &str, normal: &mut Connection) {
    const CLIENTS: usize = 40;
    const SENT: usize = 20 * MIB;
    let mut memory = || cluster.process("proxy-1").memory().expect("runs");
    let before = memory();
    let chunk = vec![b'x'; MIB];
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = connect(addr);
        let command = ["SET", "GETSET", "NOSUCH", "RESTORE"][number % 4];
        let head = format!(
            "*3\r\n${}\r\n{command}\r\n$4\r\nlong\r\n${SENT}\r\n",
            command.len()
        );
        client.send_raw(head.as_bytes()).expect("sends");
        for _ in 1..SENT / MIB {
            client.send_raw(&chunk).expect("sends");
        }
        clients.push(client);
    }
    let grown = memory().saturating_sub(before) / MIB as u64;
    println!("{CLIENTS} clients with {SENT} bytes each: the proxy takes {grown} MiB more");
    assert!(grown < 100, "the proxy takes {grown} MiB more");
    for client in &mut clients {
        client.send_raw(&chunk).expect("sends");
        client.send_raw(b"\r\n").expect("sends");
        let reply = client.receive().expect("answers");
        let Reply::Error(text) = &reply else {
            panic!("not refused: {reply:?}");
        };
        assert!(text.starts_with("ERR "), "{text}");
        let reply = client.call(&["EXISTS", "long"]).expect("answers");
        assert_eq!(reply, Reply::Integer(0), "on the same connection");
    }
    let fits = vec![b'x'; MIB];
    let reply = normal.call(&[b"SET", &b"long"[..], &fits]);
    assert_eq!(reply.expect("answers"), ok());
}
