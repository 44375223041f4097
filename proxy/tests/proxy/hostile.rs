//! Input from strangers and broken clients.

use std::time::Duration;

use crate::support::client::command;
use crate::support::{Client, Cluster, until};

#[tokio::test]
async fn what_is_no_request_is_answered_in_order_and_closed() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let cases = [
        (
            "*1\r\n$x\r\n",
            "-ERR Protocol error: invalid bulk length\r\n",
        ),
        (
            "*1\r\n:1\r\n",
            "-ERR Protocol error: expected '$', got ':'\r\n",
        ),
        (
            "*9999999999\r\n",
            "-ERR Protocol error: invalid multibulk length\r\n",
        ),
        (
            "SET \"a\r\n",
            "-ERR Protocol error: unbalanced quotes in request\r\n",
        ),
    ];
    for (bytes, expected) in cases {
        let mut client = Client::connect(proxy.addr).await;
        client
            .send(format!("SET a 1\r\nGET a\r\n{bytes}SET a 2\r\n"))
            .await;
        let rest = client.rest().await;
        assert_eq!(rest, format!("+OK\r\n$1\r\n1\r\n{expected}"));
    }
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(
        client.run("GET a").await,
        "$1\r\n1\r\n",
        "nothing behind the error was done"
    );
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_million_arguments_are_taken_and_one_more_is_not() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let mut words: Vec<&[u8]> = vec![b"EXISTS"];
    words.resize(1 << 20, b"a");
    client.send(command(&words)).await;
    assert_eq!(client.reply().await, ":0\r\n");
    client.send("*1048577\r\n").await;
    assert_eq!(
        client.rest().await,
        "-ERR Protocol error: invalid multibulk length\r\n"
    );
    proxy.shutdown().await;
}

#[tokio::test]
async fn large_values_arrive_whole_and_too_large_ones_are_refused() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--max-value-bytes 3MiB").await;
    let mut client = Client::connect(proxy.addr).await;
    let value = vec![b'v'; 3 << 20];
    client.send(command(&[b"SET", b"a", &value])).await;
    assert_eq!(client.reply().await, "+OK\r\n");
    assert_eq!(client.run("STRLEN a").await, format!(":{}\r\n", 3 << 20));
    assert_eq!(
        client.run("GET a").await.len(),
        value.len() + "$3145728\r\n\r\n".len()
    );
    let value = vec![b'v'; (3 << 20) + 1];
    client.send(command(&[b"SET", b"a", &value])).await;
    assert_eq!(
        client.reply().await,
        "-ERR value exceeds maximum allowed size (3145728 bytes)\r\n"
    );
    let value = vec![b'v'; 1 << 20];
    let mut words: Vec<&[u8]> = vec![b"MSET"];
    (0..65).for_each(|_| words.extend([b"a".as_slice(), &value]));
    client.send(command(&words)).await;
    assert_eq!(
        client.reply().await,
        "-ERR request exceeds maximum allowed size (67108864 bytes)\r\n"
    );
    let key = vec![b'k'; (1 << 20) + 1];
    client.send(command(&[b"GET", &key])).await;
    assert_eq!(
        client.reply().await,
        "-ERR key exceeds maximum allowed size (1048576 bytes)\r\n"
    );
    proxy.shutdown().await;
}

/// The bytes after an excessive length are dropped as they come, and the connection goes on behind
/// them.
#[tokio::test]
async fn what_is_too_long_is_refused_without_being_kept() {
    const CLIENTS: usize = 50;
    const LEN: usize = 400_000_000;
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let heads = [
        format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${LEN}\r\n"),
        format!("*2\r\n$3\r\nGET\r\n${LEN}\r\n"),
        format!("*2\r\n$6\r\nNOSUCH\r\n${LEN}\r\n"),
        format!("*9\r\n$4\r\nECHO\r\n${LEN}\r\n"),
        format!("*3\r\n${LEN}\r\n"),
        format!("*4\r\n$7\r\nRESTORE\r\n$1\r\na\r\n$1\r\n0\r\n${LEN}\r\n"),
    ];
    let mut clients = Vec::new();
    let chunk = vec![b'x'; 4 << 20];
    for head in heads.iter().cycle().take(CLIENTS) {
        let mut client = Client::connect(proxy.addr).await;
        client.send(head).await;
        client.send(&chunk).await;
        clients.push(client);
    }
    let mut observer = Client::connect(proxy.addr).await;
    until(async || {
        // Everything was read, and next to nothing is held.
        let listed = observer.run("CLIENT LIST").await;
        let memory = listed.split("tot-mem=").skip(1);
        let memory = memory.filter_map(|rest| rest.split(' ').next()?.parse::<usize>().ok());
        let stats = observer.run("INFO stats").await;
        let read = stats
            .lines()
            .find_map(|line| line.strip_prefix("total_net_input_bytes:"));
        let read: usize = read.and_then(|read| read.parse().ok()).expect("a number");
        read > CLIENTS * chunk.len() && memory.max().is_some_and(|most| most < 200 << 10)
    })
    .await;
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_connection_goes_on_behind_what_was_too_long() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--max-value-bytes 2MiB").await;
    let mut client = Client::connect(proxy.addr).await;
    let long = vec![b'x'; (2 << 20) + 1];
    let value_too_long = "-ERR value exceeds maximum allowed size (2097152 bytes)\r\n";
    let key_too_long = "-ERR key exceeds maximum allowed size (1048576 bytes)\r\n";
    let quoted = |len: usize| "x".repeat(len);
    let cases: [(&[&[u8]], String); 9] = [
        (&[b"SET", b"a", &long], value_too_long.to_owned()),
        (&[b"SET", &long, b"v"], key_too_long.to_owned()),
        (&[b"MGET", b"a", &long, b"b"], key_too_long.to_owned()),
        (
            &[b"MSET", b"a", b"1", b"b", &long],
            value_too_long.to_owned(),
        ),
        (&[b"RESTORE", b"a", b"0", &long], value_too_long.to_owned()),
        (
            &[b"GET", b"a", &long],
            "-ERR wrong number of arguments for 'get' command\r\n".to_owned(),
        ),
        (
            &[b"nosuch", b"a", &long],
            format!(
                "-ERR unknown command 'nosuch', with args beginning with: 'a' '{}' \r\n",
                quoted(124)
            ),
        ),
        (
            &[&long, b"a"],
            format!(
                "-ERR unknown command '{}', with args beginning with: 'a' \r\n",
                quoted(128)
            ),
        ),
        (
            &[b"CLIENT", &long],
            format!(
                "-ERR unknown subcommand '{}'. Try CLIENT HELP.\r\n",
                quoted(128)
            ),
        ),
    ];
    let answered = cases.iter().map(|(words, expected)| {
        let mut bytes = command(words);
        bytes.extend(b"ECHO next\r\n");
        (bytes, format!("{expected}$4\r\nnext\r\n"))
    });
    for (bytes, expected) in answered {
        client.send(bytes).await;
        let replies = [client.reply().await, client.reply().await].concat();
        assert_eq!(replies, expected);
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn what_is_too_long_spoils_a_transaction_and_not_the_connection() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let long = vec![b'x'; (1 << 20) + 1];
    let value_too_long = "-ERR value exceeds maximum allowed size (1048576 bytes)\r\n";
    client.run("MULTI").await;
    client.send(command(&[b"SET", b"a", &long])).await;
    assert_eq!(client.reply().await, value_too_long);
    assert_eq!(client.run("SET a 1").await, "+QUEUED\r\n");
    let discarded = "-EXECABORT Transaction discarded because of previous errors.\r\n";
    assert_eq!(client.run("EXEC").await, discarded);
    // A hundred thousand arguments, each of them small enough: their sum is not, and no word is
    // kept.
    let mut words: Vec<&[u8]> = vec![b"MGET"];
    let key = vec![b'k'; 1 << 10];
    words.resize(100_000, &key);
    client.send(command(&words)).await;
    let too_long = "-ERR request exceeds maximum allowed size (67108864 bytes)\r\n";
    assert_eq!(client.reply().await, too_long);
    assert_eq!(client.run("EXISTS a").await, ":0\r\n");
    // Beyond the protocol's own limit the connection ends, as in Redis.
    client.send("*2\r\n$3\r\nGET\r\n$536870913\r\n").await;
    assert_eq!(
        client.rest().await,
        "-ERR Protocol error: invalid bulk length\r\n"
    );
    proxy.shutdown().await;
}

#[tokio::test]
async fn garbage_harms_nobody_else() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut chance = 0x2545_f491_4f6c_dd1du64;
    for _ in 0..50 {
        let mut client = Client::connect(proxy.addr).await;
        let mut garbage = Vec::new();
        for _ in 0..500 {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            garbage.push(b"*$:\r\n0123456789\0\xffaSET"[chance as usize % 21]);
        }
        client.send(&garbage).await;
        drop(client);
    }
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(client.run("PING").await, "+PONG\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn strangers_get_little_and_not_for_long() {
    let cluster = Cluster::of_two();
    let proxy = cluster
        .proxy("--requirepass s3cret --auth-timeout 1s")
        .await;
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(
        client.run("GET a").await,
        "-NOAUTH Authentication required.\r\n"
    );
    let reply = client.run("HELLO 3").await;
    assert!(reply.starts_with("-NOAUTH HELLO must be called"), "{reply}");
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    assert_eq!(client.run("AUTH wrong").await, wrong);
    assert_eq!(client.run("AUTH nobody s3cret").await, wrong);
    client.send("*11\r\n").await;
    let rest = client.rest().await;
    assert_eq!(
        rest,
        "-ERR Protocol error: unauthenticated multibulk length\r\n"
    );

    let mut silent = Client::connect(proxy.addr).await;
    let mut good = Client::connect(proxy.addr).await;
    // Commands sent together with the password are trusted.
    let mut words: Vec<&[u8]> = vec![b"EXISTS"];
    words.resize(100, b"a");
    good.send([command(&[b"AUTH", b"s3cret"]), command(&words)].concat())
        .await;
    assert_eq!(good.reply().await, "+OK\r\n");
    assert_eq!(good.reply().await, ":0\r\n");
    assert_eq!(silent.rest().await, "");
    assert_eq!(good.run("PING").await, "+PONG\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn an_http_request_is_cut_off_without_a_word() {
    let cluster = Cluster::of_two();
    let open = cluster.proxy("").await;
    let locked = cluster.proxy("--requirepass s3cret").await;
    let requests = [
        "POST / HTTP/1.1\r\n\r\nSET a 1\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nSET a 1\r\n",
        "*1\r\n$4\r\npost\r\nSET a 1\r\n",
        "MULTI\r\nHOST:\r\nSET a 1\r\nEXEC\r\n",
    ];
    for request in requests {
        for addr in [open.addr, locked.addr] {
            let mut client = Client::connect(addr).await;
            client.send(request).await;
            assert_eq!(client.rest().await, "", "{request}");
        }
    }
    let mut client = Client::connect(open.addr).await;
    assert_eq!(client.run("GET a").await, "$-1\r\n");
    // Not a line of HTTP, whose header has a colon.
    let reply = client.run("Host").await;
    assert!(reply.starts_with("-ERR unknown command 'Host'"), "{reply}");
    open.shutdown().await;
    locked.shutdown().await;
}

#[tokio::test]
async fn too_many_clients_are_told_so() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--maxclients 2").await;
    let mut clients = [
        Client::connect(proxy.addr).await,
        Client::connect(proxy.addr).await,
    ];
    for client in &mut clients {
        client.run("PING").await;
    }
    let mut third = Client::connect(proxy.addr).await;
    assert_eq!(third.rest().await, "-ERR max number of clients reached\r\n");
    drop(clients);
    let again = async {
        loop {
            let mut client = Client::connect(proxy.addr).await;
            client.send("PING\r\n").await;
            if client.reply().await == "+PONG\r\n" {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again)
        .await
        .expect("room again");
    proxy.shutdown().await;
}
