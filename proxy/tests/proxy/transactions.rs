//! MULTI, EXEC, WATCH.

use crate::support::{Client, Cluster, Fault};

#[tokio::test]
async fn a_transaction_is_one_frame() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    client
        .send("MULTI\r\nSET a 1\r\nINCR a\r\nPING\r\nGET a\r\nEXEC\r\n")
        .await;
    for expected in [
        "+OK\r\n",
        "+QUEUED\r\n",
        "+QUEUED\r\n",
        "+QUEUED\r\n",
        "+QUEUED\r\n",
    ] {
        assert_eq!(client.reply().await, expected);
    }
    assert_eq!(
        client.reply().await,
        "*4\r\n+OK\r\n:2\r\n+PONG\r\n$1\r\n2\r\n"
    );
    assert_eq!(cluster.group(1, |group| group.executed.len()), 1);
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_touched_key_stops_the_transaction() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let (mut one, mut two) = (
        Client::connect(proxy.addr).await,
        Client::connect(proxy.addr).await,
    );
    one.run("SET a 1").await;
    assert_eq!(one.run("WATCH a b").await, "+OK\r\n");
    two.run("SET b 1").await;
    one.run("MULTI").await;
    one.run("SET a 2").await;
    assert_eq!(one.run("EXEC").await, "*-1\r\n");
    // No watch is left. Sent together, so that EXEC has to wait for the tokens.
    one.send("WATCH a\r\nMULTI\r\nINCR a\r\nEXEC\r\n").await;
    for expected in ["+OK\r\n", "+OK\r\n", "+QUEUED\r\n", "*1\r\n:2\r\n"] {
        assert_eq!(one.reply().await, expected);
    }
    // The client's own change counts; an empty transaction depends on its watches, too.
    one.send("WATCH a\r\nSET a 5\r\nMULTI\r\nEXEC\r\nWATCH a\r\nUNWATCH\r\nSET a 6\r\nMULTI\r\nPING\r\nEXEC\r\n").await;
    let expected = [
        "+OK\r\n",
        "+OK\r\n",
        "+OK\r\n",
        "*-1\r\n",
        "+OK\r\n",
        "+OK\r\n",
        "+OK\r\n",
        "+OK\r\n",
        "+QUEUED\r\n",
        "*1\r\n+PONG\r\n",
    ];
    for expected in expected {
        assert_eq!(one.reply().await, expected);
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn errors_while_queueing_abort_and_others_do_not() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let exchange = [
        ("EXEC", "-ERR EXEC without MULTI\r\n"),
        ("DISCARD", "-ERR DISCARD without MULTI\r\n"),
        ("MULTI", "+OK\r\n"),
        ("MULTI", "-ERR MULTI calls can not be nested\r\n"),
        ("WATCH a", "-ERR WATCH inside MULTI is not allowed\r\n"),
        ("SET a 1", "+QUEUED\r\n"),
        ("EXEC", "*1\r\n+OK\r\n"),
        ("MULTI", "+OK\r\n"),
        (
            "GET",
            "-ERR wrong number of arguments for 'get' command\r\n",
        ),
        (
            "EXEC",
            "-EXECABORT Transaction discarded because of previous errors.\r\n",
        ),
        ("MULTI", "+OK\r\n"),
        (
            "DBSIZE",
            "-ERR Command not allowed inside a transaction\r\n",
        ),
        (
            "EXEC",
            "-EXECABORT Transaction discarded because of previous errors.\r\n",
        ),
        ("MULTI", "+OK\r\n"),
        ("INCR a", "+QUEUED\r\n"),
        ("DISCARD", "+OK\r\n"),
        ("GET a", "$1\r\n1\r\n"),
        ("MULTI", "+OK\r\n"),
        ("EXEC", "*0\r\n"),
    ];
    for (line, expected) in exchange {
        assert_eq!(client.run(line).await, expected, "{line}");
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn an_exec_that_does_not_begin_discards_the_transaction() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let refused = "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n";
    let exchange = [
        ("EXEC extra", refused),
        ("WATCH a", "+OK\r\n"),
        ("MULTI", "+OK\r\n"),
        ("SET a 1", "+QUEUED\r\n"),
        ("EXEC extra", refused),
        ("EXEC", "-ERR EXEC without MULTI\r\n"),
        // The watch is dropped, too.
        ("SET a 2", "+OK\r\n"),
        ("MULTI", "+OK\r\n"),
        ("GET a", "+QUEUED\r\n"),
        ("EXEC", "*1\r\n$1\r\n2\r\n"),
        // The wrong arity of any other command does not discard the transaction.
        ("MULTI", "+OK\r\n"),
        (
            "DISCARD extra",
            "-ERR wrong number of arguments for 'discard' command\r\n",
        ),
        ("GET a", "+QUEUED\r\n"),
        (
            "EXEC",
            "-EXECABORT Transaction discarded because of previous errors.\r\n",
        ),
    ];
    for (line, expected) in exchange {
        assert_eq!(client.run(line).await, expected, "{line}");
    }
    proxy.shutdown().await;
    let proxy = cluster.proxy("--requirepass s3cret").await;
    let mut stranger = Client::connect(proxy.addr).await;
    assert_eq!(
        stranger.run("EXEC").await,
        "-EXECABORT Transaction discarded because of: NOAUTH Authentication required.\r\n"
    );
    proxy.shutdown().await;
}

#[tokio::test]
async fn several_groups_are_refused_and_nothing_is_done() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    for line in ["MULTI", "SET a 1", "SET z 1"] {
        client.run(line).await;
    }
    let reply = client.run("EXEC").await;
    assert!(reply.starts_with("-CROSSGROUP"), "{reply}");
    assert_eq!(client.run("EXISTS a z").await, ":0\r\n");
    let reply = client.run("RENAME a z").await;
    assert!(reply.starts_with("-CROSSGROUP"), "{reply}");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_selected_table_counts_from_where_it_stands_and_only_if_the_transaction_ran() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("SET a 1").await;
    client.run("WATCH a").await;
    client.run("INCR a").await;
    client
        .send("MULTI\r\nGET a\r\nSELECT 99\r\nSELECT 0\r\nEXEC\r\nGET a\r\n")
        .await;
    for expected in [
        "+OK\r\n",
        "+QUEUED\r\n",
        "+QUEUED\r\n",
        "+QUEUED\r\n",
        "*-1\r\n",
        "$1\r\n2\r\n",
    ] {
        assert_eq!(client.reply().await, expected);
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_transaction_is_retried_as_a_whole() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    cluster.faults(1, &[Fault::LoseAnswer, Fault::FateUnknown]);
    client.send("MULTI\r\nINCR a\r\nINCR a\r\nEXEC\r\n").await;
    for expected in [
        "+OK\r\n",
        "+QUEUED\r\n",
        "+QUEUED\r\n",
        "*2\r\n:1\r\n:2\r\n",
    ] {
        assert_eq!(client.reply().await, expected);
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn what_the_proxy_answers_is_done_only_if_the_transaction_ran() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let id = client.run("CLIENT ID").await;
    let id = id.trim_matches([':', '\r', '\n']);
    let transaction = "MULTI\r\nCLIENT SETNAME x\r\nGET k\r\nCONFIG SET maxclients 77\r\nEXEC\r\n";
    client.send("WATCH k\r\nSET k 1\r\n").await;
    client.send(transaction).await;
    client
        .send("CLIENT GETNAME\r\nCONFIG GET maxclients\r\n")
        .await;
    client.send(transaction).await;
    client.send("CLIENT GETNAME\r\n").await;
    let queued = ["+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "+QUEUED\r\n"];
    let first = ["+OK\r\n", "+OK\r\n"].into_iter().chain(queued);
    for expected in first.chain(["*-1\r\n", "$-1\r\n"]) {
        assert_eq!(client.reply().await, expected);
    }
    assert!(!client.reply().await.contains("77"));
    let done = ["*3\r\n+OK\r\n$1\r\n1\r\n+OK\r\n", "$1\r\nx\r\n"];
    for expected in queued.into_iter().chain(done) {
        assert_eq!(client.reply().await, expected);
    }
    // A failed transaction changes nothing; a transaction that kills its client closes the
    // connection.
    cluster.faults(1, &[Fault::DiskFull]);
    let failing = "MULTI\r\nSET k 2\r\nCLIENT SETNAME y\r\nEXEC\r\nCLIENT GETNAME\r\n";
    client.send(failing).await;
    let replies = [
        "+OK\r\n",
        "+QUEUED\r\n",
        "+QUEUED\r\n",
        "-OOM command not allowed when the disk is full\r\n",
        "$1\r\nx\r\n",
    ];
    for expected in replies {
        assert_eq!(client.reply().await, expected);
    }
    let killing = format!("MULTI\r\nGET k\r\nCLIENT KILL ID {id} SKIPME no\r\nEXEC\r\nPING\r\n");
    client.send(killing).await;
    let all = "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\n1\r\n:1\r\n";
    assert_eq!(client.rest().await, all);
    proxy.shutdown().await;
}

#[tokio::test]
async fn what_failed_before_does_not_undo_a_select() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    cluster.faults(2, &[Fault::DiskFull]);
    // Table 1 has no range here: if a SELECT took effect, GET would wait in vain.
    client
        .send("MSET a 1 z 1\r\nMULTI\r\nGET a\r\nSELECT 1\r\nSELECT 0\r\nEXEC\r\nGET a\r\n")
        .await;
    let replies = [
        "-UNKNOWN ",
        "+OK\r\n",
        "+QUEUED\r\n",
        "+QUEUED\r\n",
        "+QUEUED\r\n",
        "*3\r\n$1\r\n1\r\n+OK\r\n+OK\r\n",
        "$1\r\n1\r\n",
    ];
    for expected in replies {
        let reply = client.reply().await;
        assert!(reply.starts_with(expected), "{reply}");
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn an_exec_whose_keys_nobody_owns_ends_the_transaction() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--request-timeout 200ms").await;
    let mut client = Client::connect(proxy.addr).await;
    // Table 1 has no range.
    for line in ["SELECT 1", "MULTI", "SET k v"] {
        client.run(line).await;
    }
    let reply = client.run("EXEC").await;
    let expected = "-EXECABORT Transaction discarded because of: TRYAGAIN ";
    assert!(reply.starts_with(expected), "{reply}");
    assert_eq!(client.run("SELECT 0").await, "+OK\r\n");
    assert_eq!(client.run("GET k").await, "$-1\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn what_has_no_keys_goes_where_the_others_go() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    for line in ["MULTI", "SET z 1", "OBJECT HELP"] {
        client.run(line).await;
    }
    let reply = client.run("EXEC").await;
    assert!(reply.starts_with("*2\r\n+OK\r\n*"), "{reply}");
    client.run("MULTI").await;
    client.run("OBJECT HELP").await;
    let reply = client.run("EXEC").await;
    assert!(reply.starts_with("*1\r\n*"), "{reply}");
    proxy.shutdown().await;
}

#[tokio::test]
async fn watches_are_within_the_limits_of_a_request() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let long = "k".repeat((1 << 20) + 1);
    let reply = client.run(&format!("WATCH {long}")).await;
    assert!(reply.starts_with("-ERR key exceeds"), "{reply}");
    // 60 keys of 1 MiB are accepted, and no more; afterwards their memory is free again.
    for _twice in 0..2 {
        for round in 0..3 {
            let keys: Vec<_> = (0..20)
                .map(|n| format!("{round}{n}{}", &long[9..]))
                .collect();
            let reply = client.run(&format!("WATCH {}", keys.join(" "))).await;
            assert_eq!(reply, "+OK\r\n");
        }
        let reply = client
            .run(&format!("WATCH {0}a {0}b {0}c {0}d {0}e", &long[9..]))
            .await;
        assert!(reply.starts_with("-ERR request exceeds"), "{reply}");
        client.run("UNWATCH").await;
    }
    proxy.shutdown().await;
}
