//! Writes that exceed a log entry wait for the next entry; no command that fits into an entry alone
//! is refused.

use std::time::Duration;

use coterie_tests::cluster::{Cluster, Role};
use coterie_tests::connection::Connection;
use coterie_tests::resp::Reply;

const WITHIN: Duration = Duration::from_secs(60);
/// The last bit of the longest value.
const LAST_BIT: usize = (8 << 20) - 1;
/// The bytes of the longest value.
const BYTES: i64 = 1 << 20;

fn ok() -> Reply {
    Reply::Simple("OK".to_owned())
}

fn connect(addr: &str) -> Connection {
    Connection::open(addr, WITHIN).expect("connects")
}

/// Each client sends a command at the same time as all others; returns the replies.
fn all_at_once(clients: &mut [Connection], command: impl Fn(usize) -> Vec<String>) -> Vec<Reply> {
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(&command(n)).expect("sends");
    }
    let replies = clients.iter_mut().map(Connection::receive);
    replies.map(|reply| reply.expect("answers")).collect()
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn small_commands_that_change_large_values_are_refused_to_nobody() {
    let cluster = Cluster::builder().start().expect("starts");
    let addr = cluster.proxy();
    let mut clients: Vec<_> = (0..128).map(|_| connect(&addr)).collect();
    // A command that copies a string stores the whole of it; SETBIT stores a piece.
    let made = clients[0].call(&["SETBIT", "source", &LAST_BIT.to_string(), "1"]);
    assert_eq!(made.expect("answers"), Reply::Integer(0));
    // Of eight clients, the first sets a few bytes, the second changes a string that all such
    // clients share, and the other six each make a large string: together far more than the room of
    // a log entry.
    for round in 0..2 {
        let replies = all_at_once(&mut clients, |n| match n % 8 {
            0 => words(&format!("SET small:{n} {round}")),
            1 => words(&format!("SETBIT shared {} 1", LAST_BIT - n)),
            _ => words(&format!("BITOP OR large:{n} source")),
        });
        for (n, reply) in replies.into_iter().enumerate() {
            let expected = match n % 8 {
                0 => ok(),
                1 => Reply::Integer(round),
                _ => Reply::Integer(BYTES),
            };
            assert_eq!(reply, expected, "client {n} in round {round}");
        }
    }
    let set = clients[0].call(&["BITCOUNT", "shared"]).expect("answers");
    assert_eq!(set, Reply::Integer(16));
    let put_off = cluster.metric(Role::Server, "coterie_server_frames_put_off_total");
    assert!(
        put_off.expect("is counted") > 0.0,
        "one entry had room for everything"
    );
    transactions_that_change_much(&mut clients);
}

/// A transaction that exceeds an entry is executed as a whole, and no other client is refused. A
/// transaction above the limit for the longest is not executed at all.
fn transactions_that_change_much(clients: &mut [Connection]) {
    let begin = |client: &mut Connection, name: &str, count: usize| {
        client.send(&["MULTI"]).expect("sends");
        for n in 0..count {
            let key = format!("{name}:{n}");
            client
                .send(&["BITOP", "OR", &key, "source"])
                .expect("sends");
        }
        client.send(&["EXEC"]).expect("sends");
    };
    let end = |client: &mut Connection, count: usize| {
        let replies: Vec<_> = (0..count + 2).map(|_| client.receive()).collect();
        let exec = replies.into_iter().next_back().expect("EXEC was sent");
        exec.expect("answers")
    };
    let (large, small) = clients.split_at_mut(4);
    let (over, large) = large.split_first_mut().expect("there are four");
    for (n, client) in large.iter_mut().enumerate() {
        begin(client, &format!("exec-{n}"), 40);
    }
    begin(over, "over", 260);
    let replies = all_at_once(small, |n| words(&format!("SET small:{n} 9")));
    assert!(replies.iter().all(|reply| *reply == ok()), "{replies:?}");
    for client in large {
        assert_eq!(
            end(client, 40),
            Reply::Array(vec![Reply::Integer(BYTES); 40])
        );
    }
    let reply = end(over, 260);
    let Reply::Error(text) = reply else {
        panic!("not refused: {reply:?}")
    };
    let expected = "EXECABORT Transaction discarded because of: OOM a transaction may change";
    assert!(text.starts_with(expected), "{text}");
    let left = over
        .call(&["EXISTS", "over:0", "over:259"])
        .expect("answers");
    assert_eq!(left, Reply::Integer(0));
}
