//! Users and their rights, from clients' sockets.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::support::{Client, Cluster};

async fn admin(addr: SocketAddr) -> Client {
    Client::connect(addr).await
}

async fn connected_as(addr: SocketAddr, user: &str) -> Client {
    let mut client = Client::connect(addr).await;
    let reply = client.run(&format!("AUTH {user} pw")).await;
    assert_eq!(reply, "+OK\r\n", "{user}");
    client
}

async fn expect(client: &mut Client, exchange: &[(&str, &str)]) {
    for (line, expected) in exchange {
        assert_eq!(client.run(line).await, *expected, "{line}");
    }
}

/// The bulk strings of a reply.
fn bulks(reply: &str) -> Vec<String> {
    let lines = reply.split("\r\n");
    let texts = lines.filter(|line| !line.starts_with(['$', '*', '%', '~', ':']));
    texts
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

const NO_KEY: &str =
    "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n";
const NO_CHANNEL: &str =
    "-NOPERM this user has no permissions to access one of the channels used as arguments\r\n";

#[tokio::test]
async fn users_are_made_shown_and_removed() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut admin = admin(proxy.addr).await;
    expect(
        &mut admin,
        &[
            ("ACL WHOAMI", "$7\r\ndefault\r\n"),
            ("ACL USERS", "*1\r\n$7\r\ndefault\r\n"),
            ("ACL SETUSER alice on >pw ~a* +@read -get", "+OK\r\n"),
            ("ACL SETUSER alice +nonsense", "-ERR Error in ACL SETUSER modifier '+nonsense': Unknown command or category name in ACL\r\n"),
            ("ACL SETUSER bob", "+OK\r\n"),
            ("ACL USERS", "*3\r\n$5\r\nalice\r\n$3\r\nbob\r\n$7\r\ndefault\r\n"),
            ("ACL DRYRUN alice MGET a1 b1", "$52\r\nThis user has no permissions to access the 'b1' key\r\n"),
            ("ACL DRYRUN alice GET a1", "$57\r\nThis user has no permissions to run the 'get' command\r\n"),
            ("ACL DRYRUN alice MGET a1", "+OK\r\n"),
            ("ACL DRYRUN nobody PING", "-ERR User 'nobody' not found\r\n"),
            ("ACL DRYRUN alice NOTHING", "-ERR Command 'NOTHING' not found\r\n"),
            ("ACL DRYRUN alice GET", "-ERR wrong number of arguments for 'get' command\r\n"),
            ("ACL GETUSER nobody", "$-1\r\n"),
            ("ACL DELUSER default", "-ERR The 'default' user cannot be removed\r\n"),
            ("ACL DELUSER bob nobody bob", ":1\r\n"),
            ("ACL USERS", "*2\r\n$5\r\nalice\r\n$7\r\ndefault\r\n"),
            ("ACL CAT nothing", "-ERR Unknown category 'nothing'\r\n"),
            ("ACL GENPASS 0", "-ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096\r\n"),
            ("ACL SAVE", "+OK\r\n"),
            ("ACL NOTHING", "-ERR unknown subcommand 'NOTHING'. Try ACL HELP.\r\n"),
        ],
    )
    .await;
    assert!(
        admin
            .run("ACL LOAD")
            .await
            .contains("not configured to use an ACL file")
    );
    assert_eq!(
        admin.run("ACL GENPASS").await.len(),
        "$64\r\n".len() + 64 + 2
    );
    assert_eq!(admin.run("ACL GENPASS 5").await.len(), "$2\r\nxx\r\n".len());
    let listed = admin.run("ACL LIST").await;
    let digest = "30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4";
    let alice = format!("user alice on #{digest} ~a* resetchannels -@all +@read -get");
    assert!(bulks(&listed).contains(&alice), "{listed}");
    assert!(!listed.contains("pw"), "no password is shown: {listed}");
    let shown = admin.run("ACL GETUSER alice").await;
    let shown = bulks(&shown);
    let fields = [
        "flags",
        "passwords",
        "commands",
        "keys",
        "channels",
        "selectors",
    ];
    assert!(
        fields
            .iter()
            .all(|field| shown.iter().any(|word| word == field)),
        "{shown:?}"
    );
    assert!(shown.contains(&"-@all +@read -get".to_owned()), "{shown:?}");
    proxy.shutdown().await;
}

#[tokio::test]
async fn every_command_is_checked_before_it_begins() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut admin = admin(proxy.addr).await;
    admin
        .run("ACL SETUSER alice on >pw ~a* &news.* +@all -del")
        .await;
    let mut alice = connected_as(proxy.addr, "alice").await;
    expect(
        &mut alice,
        &[
            ("ACL WHOAMI", "$5\r\nalice\r\n"),
            ("SET a1 1", "+OK\r\n"),
            ("SET b1 1", NO_KEY),
            ("MSET a1 2 b1 2", NO_KEY),
            (
                "DEL a1",
                "-NOPERM this user has no permissions to run the 'del' command\r\n",
            ),
            ("GET a1", "$1\r\n1\r\n"),
            ("WATCH b1", NO_KEY),
            ("BLPOP b1 0", NO_KEY),
            ("OBJECT ENCODING b1", NO_KEY),
            ("PUBLISH other x", NO_CHANNEL),
            ("SUBSCRIBE other", NO_CHANNEL),
            ("PSUBSCRIBE news.1", NO_CHANNEL),
            ("SLOWLOG GET", NO_KEY),
            ("COTERIE HOTKEYS", NO_KEY),
            ("COTERIE BALANCE", "$2\r\non\r\n"),
            ("RPUSH al 2 1", ":2\r\n"),
            ("SORT al", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n"),
            (
                "SORT al BY w*",
                "-ERR BY option of SORT denied due to insufficient ACL permissions.\r\n",
            ),
            (
                "SORT al GET w*",
                "-ERR GET option of SORT denied due to insufficient ACL permissions.\r\n",
            ),
            (
                "AUTH alice wrong",
                "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
            ),
            (
                "AUTH nobody x",
                "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
            ),
            ("RESET", "+RESET\r\n"),
            ("ACL WHOAMI", "$7\r\ndefault\r\n"),
        ],
    )
    .await;
    let info = admin.run("INFO stats").await;
    for line in [
        "acl_access_denied_auth:2",
        "acl_access_denied_cmd:1",
        "acl_access_denied_channel:3",
    ] {
        assert!(info.contains(line), "{line} in {info}");
    }
    let hello = alice.run("HELLO 3 AUTH alice pw").await;
    assert!(hello.starts_with("%7\r\n"), "{hello}");
    assert_eq!(alice.run("ACL WHOAMI").await, "$5\r\nalice\r\n");
    let listed = admin.run("CLIENT LIST").await;
    assert!(
        listed.contains("user=alice") && listed.contains("user=default"),
        "{listed}"
    );
    assert_eq!(admin.run("CLIENT KILL USER alice").await, ":1\r\n");
    assert_eq!(
        admin.run("CLIENT KILL USER nobody").await,
        "-ERR No such user 'nobody'\r\n"
    );
    assert_eq!(alice.rest().await, "");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_transaction_is_checked_as_it_is_queued_and_as_it_begins() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut admin = admin(proxy.addr).await;
    admin.run("ACL SETUSER alice on >pw ~a* +@all").await;
    let mut alice = connected_as(proxy.addr, "alice").await;
    expect(
        &mut alice,
        &[
            ("MULTI", "+OK\r\n"),
            ("SET b1 1", NO_KEY),
            (
                "EXEC",
                "-EXECABORT Transaction discarded because of previous errors.\r\n",
            ),
            ("MULTI", "+OK\r\n"),
            ("SET a1 1", "+QUEUED\r\n"),
            ("INCR a1", "+QUEUED\r\n"),
            ("PING", "+QUEUED\r\n"),
            ("GET a1", "+QUEUED\r\n"),
        ],
    )
    .await;
    admin.run("ACL SETUSER alice -incr -ping").await;
    let denied = "-NOPERM ACLs rules changed between the moment the transaction was accumulated and \
        the EXEC call. This command is no longer allowed for the following reason: no permission to \
        execute the command or subcommand\r\n";
    let reply = alice.run("EXEC").await;
    assert_eq!(reply, format!("*4\r\n+OK\r\n{denied}{denied}$1\r\n1\r\n"));
    let log = admin.run("ACL LOG").await;
    let log = bulks(&log);
    assert!(
        log.contains(&"multi".to_owned()) && log.contains(&"incr".to_owned()),
        "{log:?}"
    );
    proxy.shutdown().await;
}

#[tokio::test]
async fn changes_hold_on_every_proxy_at_once() {
    let cluster = Cluster::of_two();
    let (one, two) = (cluster.proxy("").await, cluster.proxy("").await);
    let mut admin = admin(one.addr).await;
    admin.run("ACL SETUSER alice on >pw ~* +@all").await;
    let mut here = connected_as(one.addr, "alice").await;
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
    let mut admin = admin(proxy.addr).await;
    admin.run("ACL SETUSER alice on >pw ~* +@all").await;
    let mut alice = connected_as(proxy.addr, "alice").await;
    alice.send("ACL DELUSER alice\r\nPING\r\n").await;
    assert_eq!(alice.rest().await, ":1\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_command_that_waits_ends_when_it_is_forbidden() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut admin = admin(proxy.addr).await;
    admin.run("ACL SETUSER alice on >pw ~a* +@all").await;
    let mut alice = connected_as(proxy.addr, "alice").await;
    alice.put("BLPOP a1 0").await;
    while !admin.run("CLIENT LIST").await.contains("cmd=blpop") {}
    admin.run("ACL SETUSER alice +ping").await;
    admin.run("ACL SETUSER alice resetkeys ~b*").await;
    assert_eq!(alice.reply().await, NO_KEY);
    assert_eq!(alice.run("SET b1 1").await, "+OK\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn subscribers_are_closed_when_a_channel_is_taken_from_them() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut admin = admin(proxy.addr).await;
    admin
        .run("ACL SETUSER alice on >pw &a* &news.* +@all")
        .await;
    let mut kept = connected_as(proxy.addr, "alice").await;
    let mut closed = connected_as(proxy.addr, "alice").await;
    assert!(kept.run("SUBSCRIBE a1").await.contains("subscribe"));
    assert!(closed.run("PSUBSCRIBE news.*").await.contains("psubscribe"));
    admin.run("ACL SETUSER alice &more").await;
    admin
        .run("ACL SETUSER alice resetchannels &a* &news.1")
        .await;
    assert_eq!(closed.rest().await, "");
    assert!(kept.run("SUBSCRIBE a2").await.contains("subscribe"));
    let mut quiet = connected_as(proxy.addr, "alice").await;
    assert_eq!(
        quiet.run("PUBSUB CHANNELS").await,
        "*2\r\n$2\r\na1\r\n$2\r\na2\r\n"
    );
    admin.run("ACL SETUSER bob on >pw &a2 +@all").await;
    let mut bob = connected_as(proxy.addr, "bob").await;
    assert_eq!(bob.run("PUBSUB CHANNELS").await, "*1\r\n$2\r\na2\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn names_of_other_keys_are_not_shown() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut admin = admin(proxy.addr).await;
    for at in 0..50 {
        admin.run(&format!("SET a{at} 1")).await;
        admin.run(&format!("SET z{at} 1")).await;
        admin.run(&format!("SET mine:{at} 1")).await;
    }
    admin
        .run("ACL SETUSER alice on >pw %W~mine:1* (%R~z7 +get) +@all")
        .await;
    let mut alice = connected_as(proxy.addr, "alice").await;
    let mine = |key: &str| key.starts_with("mine:1") || key == "z7";
    let expected: BTreeSet<String> = (0..50)
        .flat_map(|at| [format!("mine:{at}"), format!("z{at}")])
        .filter(|key| mine(key))
        .collect();
    let set = |keys: Vec<String>| keys.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(set(bulks(&alice.run("KEYS *").await)), expected);
    let mut scanned = BTreeSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let mut page = bulks(&alice.run(&format!("SCAN {cursor} COUNT 7")).await);
        cursor = page.remove(0);
        scanned.extend(page);
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(scanned, expected);
    for _ in 0..20 {
        let drawn = bulks(&alice.run("RANDOMKEY").await);
        assert!(drawn.len() == 1 && mine(&drawn[0]), "{drawn:?}");
    }
    admin.run("ACL SETUSER bob on >pw ~nothing +@all").await;
    let mut bob = connected_as(proxy.addr, "bob").await;
    expect(
        &mut bob,
        &[
            ("KEYS *", "*0\r\n"),
            ("RANDOMKEY", "$-1\r\n"),
            ("SCAN 0 COUNT 1000", "*2\r\n$1\r\n0\r\n*0\r\n"),
        ],
    )
    .await;
    proxy.shutdown().await;
}

#[tokio::test]
async fn denials_are_logged() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut admin = admin(proxy.addr).await;
    admin.run("ACL SETUSER alice on >pw ~a* +@all -incr").await;
    let mut alice = connected_as(proxy.addr, "alice").await;
    for line in [
        "INCR a1",
        "INCR a2",
        "GET b1",
        "PUBLISH c x",
        "AUTH alice wrong",
    ] {
        assert!(alice.run(line).await.starts_with('-'), "{line}");
    }
    let log = bulks(&admin.run("ACL LOG").await);
    for word in [
        "command", "incr", "key", "b1", "channel", "c", "auth", "AUTH", "toplevel", "entry-id",
    ] {
        assert!(log.iter().any(|shown| shown == word), "{word} in {log:?}");
    }
    assert!(
        log.iter().any(|line| line.contains("cmd=incr user=alice")),
        "{log:?}"
    );
    assert!(admin.run("ACL LOG 2").await.starts_with("*2\r\n"));
    assert!(
        admin.run("ACL LOG").await.starts_with("*4\r\n"),
        "two are alike"
    );
    expect(
        &mut admin,
        &[
            ("CONFIG SET acllog-max-len 1", "+OK\r\n"),
            ("ACL LOG RESET", "+OK\r\n"),
            ("ACL LOG", "*0\r\n"),
        ],
    )
    .await;
    alice.run("GET b1").await;
    alice.run("GET b2").await;
    assert!(admin.run("ACL LOG").await.starts_with("*1\r\n"));
    proxy.shutdown().await;
}

#[tokio::test]
async fn no_password_is_in_the_slow_log() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--slowlog-log-slower-than 0ms").await;
    let mut admin = admin(proxy.addr).await;
    admin.run("ACL SETUSER alice on >s3cret").await;
    admin.run("CONFIG SET requirepass s3cret").await;
    admin.run("AUTH default s3cret").await;
    let slow = admin.run("SLOWLOG GET 100").await;
    assert!(
        slow.contains("SETUSER") && slow.contains("requirepass"),
        "{slow}"
    );
    assert!(
        slow.contains("(redacted)") && !slow.contains("s3cret"),
        "{slow}"
    );
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
    let mut alice = connected_as(proxy.addr, "alice").await;
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
