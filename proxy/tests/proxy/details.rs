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
