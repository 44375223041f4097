//! Replies of the proxy's own commands that were compared with those of a redis-server 7.2: odd
//! words, the order of checks, and what is quoted.

use crate::support::{Client, Cluster};

async fn expect(lines: &[(&str, &str)]) {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    for (line, expected) in lines {
        assert_eq!(client.run(line).await, *expected, "{line}");
    }
    proxy.shutdown().await;
}

/// The words of an error are the client's own, up to the first NUL.
#[tokio::test]
async fn words_are_quoted_as_they_came() {
    expect(&[
        ("CLIENT KILL USER a\0b", "-ERR No such user 'a'\r\n"),
        ("CLIENT KILL TYPE a\0b", "-ERR Unknown client type 'a'\r\n"),
        ("CLIENT SETINFO a\0b c", "-ERR Unrecognized option 'a'\r\n"),
        (
            "CLIENT SETINFO LIB-Name a\tb",
            "-ERR LIB-Name cannot contain spaces, newlines or special characters.\r\n",
        ),
        (
            "CLIENT SETINFO lib-ver \u{e9}",
            "-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n",
        ),
        (
            "LATENCY GRAPH a\0b",
            "-ERR No samples available for event 'a'\r\n",
        ),
        ("CLUSTER REPLICAS a\0b", "-ERR Unknown node a\r\n"),
        (
            "DEBUG a\0b",
            "-ERR unknown subcommand or wrong number of arguments for 'a'. Try DEBUG HELP.\r\n",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_timeout_ends_before_time_does() {
    expect(&[
        (
            "WAIT 0 9223372036854775807",
            "-ERR timeout is out of range\r\n",
        ),
        (
            "WAIT 0 9223372036854775808",
            "-ERR timeout is not an integer or out of range\r\n",
        ),
        ("WAIT 0 -1", "-ERR timeout is negative\r\n"),
        (
            "WAIT x x",
            "-ERR value is not an integer or out of range\r\n",
        ),
        (
            "CLIENT PAUSE 9223372036854775807",
            "-ERR timeout is out of range\r\n",
        ),
        (
            "CLIENT PAUSE 9223372036854775808 WRITE",
            "-ERR timeout is not an integer or out of range\r\n",
        ),
        ("CLIENT PAUSE -1", "-ERR timeout is negative\r\n"),
        (
            "CLIENT PAUSE x foo",
            "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n",
        ),
        // Nothing of that holds anybody back.
        ("SET a 1", "+OK\r\n"),
        ("CLIENT PAUSE 9000000000000000000 WRITE", "+OK\r\n"),
        ("CLIENT UNPAUSE", "+OK\r\n"),
        ("SET a 1", "+OK\r\n"),
    ])
    .await;
}

#[tokio::test]
async fn odd_words_after_client_are_refused_as_redis_refuses_them() {
    expect(&[
        ("CLIENT LIST ID 0", "$0\r\n\r\n"),
        ("CLIENT LIST ID -1", "$0\r\n\r\n"),
        ("CLIENT LIST ID 0 x", "-ERR Invalid client ID\r\n"),
        ("CLIENT PAUSE 1 ALL x", "-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.\r\n"),
        ("CLIENT Unblock 1 ERROR x", "-ERR unknown subcommand or wrong number of arguments for 'Unblock'. Try CLIENT HELP.\r\n"),
        ("CLIENT UNBLOCK x foo", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n"),
        ("CLIENT TRACKING OFF", "+OK\r\n"),
        ("CLIENT TRACKING OFF BCAST OPTIN OPTOUT NOLOOP PREFIX a REDIRECT 1", "+OK\r\n"),
        ("CLIENT TRACKING OFF foo", "-ERR syntax error\r\n"),
        ("CLIENT TRACKING OFF PREFIX", "-ERR syntax error\r\n"),
        ("CLIENT TRACKING OFF REDIRECT x", "-ERR value is not an integer or out of range\r\n"),
        ("CLIENT TRACKING OFF REDIRECT 99999", "-ERR The client ID you want redirect to does not exist\r\n"),
        ("CLIENT TRACKING OFF REDIRECT 1 REDIRECT 1", "-ERR A client can only redirect to a single other client\r\n"),
        ("CLIENT TRACKING foo BCAST", "-ERR syntax error\r\n"),
        ("CLIENT TRACKING ON", "-ERR client-side caching is not offered\r\n"),
        ("CLIENT KILL ID 0 ADDR", "-ERR client-id should be greater than 0\r\n"),
        ("CLIENT KILL ID 1 ADDR", "-ERR syntax error\r\n"),
        ("CLIENT KILL MAXAGE 5", "-ERR syntax error\r\n"),
    ])
    .await;
}
