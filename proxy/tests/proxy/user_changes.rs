//! Changes of users: the same on every proxy, and at once.

use crate::support::{Client, Cluster, NO_KEY, expect};

#[tokio::test]
async fn changes_hold_on_every_proxy_at_once() {
    let cluster = Cluster::of_two();
    let (one, two) = (cluster.proxy("").await, cluster.proxy("").await);
    let mut admin = Client::connect(one.addr).await;
    admin.run("ACL SETUSER alice on >pw ~* +@all").await;
    let mut here = Client::log_in(one.addr, "alice").await;
    let mut there = Client::connect(two.addr).await;
    wait_for(&mut there, "AUTH alice pw", "+OK\r\n").await;
    admin.run("ACL SETUSER alice -get").await;
    let denied = "-NOPERM this user has no permissions to run the 'get' command\r\n";
    assert_eq!(
        here.run("GET k").await,
        denied,
        "the reply comes once it holds"
    );
    wait_for(&mut there, "GET k", denied).await;
    // Users that are removed are thrown out, also while they wait.
    there.put("BLPOP none 0").await;
    here.put("BLPOP none 0").await;
    assert_eq!(admin.run("ACL DELUSER alice").await, ":1\r\n");
    assert_eq!(here.rest().await, "");
    assert_eq!(there.rest().await, "");
    // The password of the default user is everybody's.
    assert_eq!(admin.run("CONFIG SET requirepass new").await, "+OK\r\n");
    assert_eq!(
        admin.run("CONFIG GET requirepass").await,
        "*2\r\n$11\r\nrequirepass\r\n$3\r\nnew\r\n"
    );
    let mut stranger = Client::connect(two.addr).await;
    wait_for(
        &mut stranger,
        "GET k",
        "-NOAUTH Authentication required.\r\n",
    )
    .await;
    assert_eq!(stranger.run("AUTH new").await, "+OK\r\n");
    assert_eq!(stranger.run("ACL SETUSER default nopass").await, "+OK\r\n");
    assert_eq!(
        stranger.run("CONFIG GET requirepass").await,
        "*2\r\n$11\r\nrequirepass\r\n$0\r\n\r\n"
    );
    one.shutdown().await;
    two.shutdown().await;
}

/// Repeats a command until its reply is this.
async fn wait_for(client: &mut Client, line: &str, expected: &str) {
    for _ in 0..10_000 {
        if client.run(line).await == expected {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{line} is never {expected}");
}

#[tokio::test]
async fn a_client_that_removes_its_own_user_gets_the_reply_first() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut admin = Client::connect(proxy.addr).await;
    admin.run("ACL SETUSER alice on >pw ~* +@all").await;
    let mut alice = Client::log_in(proxy.addr, "alice").await;
    alice.send("ACL DELUSER alice\r\nPING\r\n").await;
    assert_eq!(alice.rest().await, ":1\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_command_that_waits_ends_when_it_is_forbidden() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut admin = Client::connect(proxy.addr).await;
    admin.run("ACL SETUSER alice on >pw ~a* +@all").await;
    let mut alice = Client::log_in(proxy.addr, "alice").await;
    alice.put("BLPOP a1 0").await;
    while !admin.run("CLIENT LIST").await.contains("cmd=blpop") {}
    admin.run("ACL SETUSER alice +ping").await;
    admin.run("ACL SETUSER alice resetkeys ~b*").await;
    assert_eq!(alice.reply().await, NO_KEY);
    assert_eq!(alice.run("SET b1 1").await, "+OK\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_file_gives_a_new_cluster_its_users() {
    let dir = std::env::temp_dir().join(format!("coterie-users-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("users.acl");
    std::fs::write(
        &file,
        "user default on >pw ~* &* +@all\nuser alice on >pw ~a* +@all\n",
    )
    .unwrap();
    let flags = format!("--aclfile {}", file.display());
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy(&flags).await;
    let mut alice = Client::log_in(proxy.addr, "alice").await;
    assert_eq!(alice.run("GET b").await, NO_KEY);
    let mut admin = Client::connect(proxy.addr).await;
    expect(
        &mut admin,
        &[
            ("GET k", "-NOAUTH Authentication required.\r\n"),
            ("AUTH pw", "+OK\r\n"),
            ("ACL SETUSER bob on >pw", "+OK\r\n"),
            ("ACL SAVE", "+OK\r\n"),
            ("ACL DELUSER bob", ":1\r\n"),
            ("ACL LOAD", "+OK\r\n"),
            (
                "ACL USERS",
                "*3\r\n$5\r\nalice\r\n$3\r\nbob\r\n$7\r\ndefault\r\n",
            ),
        ],
    )
    .await;
    std::fs::write(&file, "user alice on nonsense\n").unwrap();
    let refused = admin.run("ACL LOAD").await;
    assert!(
        refused.contains("users.acl:1: Syntax error.") && refused.contains("no change"),
        "{refused}"
    );
    // The cluster has users: a further start only reads the file, which must make sense.
    std::fs::write(&file, "user carol on >pw\n").unwrap();
    let other = cluster.proxy(&flags).await;
    let mut client = Client::connect(other.addr).await;
    wait_for(
        &mut client,
        "AUTH carol pw",
        "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
    )
    .await;
    proxy.shutdown().await;
    other.shutdown().await;
    std::fs::remove_dir_all(&dir).unwrap();
}
