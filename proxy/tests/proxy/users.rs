//! Users and their rights, from clients' sockets.

use std::collections::BTreeSet;

use crate::support::{Client, Cluster, NO_KEY, bulks, expect};

const NO_CHANNEL: &str =
    "-NOPERM this user has no permissions to access one of the channels used as arguments\r\n";

#[tokio::test]
async fn users_are_made_shown_and_removed() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut admin = Client::connect(proxy.addr).await;
    expect(
        &mut admin,
        &[
            ("ACL WHOAMI", "$7\r\ndefault\r\n"),
            ("ACL USERS", "*1\r\n$7\r\ndefault\r\n"),
            ("ACL SETUSER alice on >pw ~a* +@read -get", "+OK\r\n"),
            ("ACL SETUSER alice +nonsense", "-ERR Error in ACL SETUSER modifier '+nonsense': Unknown command or category name in ACL\r\n"),
            ("ACL SETUSER bob", "+OK\r\n"),
            ("ACL USERS", "*3\r\n$5\r\nalice\r\n$3\r\nbob\r\n$7\r\ndefault\r\n"),
            ("ACL DRYRUN alice MGET a1 b1", "$51\r\nThis user has no permissions to access the 'b1' key\r\n"),
            ("ACL DRYRUN alice GET a1", "$53\r\nThis user has no permissions to run the 'get' command\r\n"),
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
    let mut admin = Client::connect(proxy.addr).await;
    admin
        .run("ACL SETUSER alice on >pw ~a* &news.* +@all -del -config|set")
        .await;
    let mut alice = Client::log_in(proxy.addr, "alice").await;
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
            (
                "COTERIE ALL CONFIG SET slowlog-max-len 5",
                "-NOPERM this user has no permissions to run the 'config|set' command\r\n",
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
    proxy.shutdown().await;
}

#[tokio::test]
async fn clients_are_listed_and_closed_by_their_user() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut admin = Client::connect(proxy.addr).await;
    admin.run("ACL SETUSER alice on >pw +@all").await;
    let mut alice = Client::connect(proxy.addr).await;
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
    let mut admin = Client::connect(proxy.addr).await;
    admin.run("ACL SETUSER alice on >pw ~a* +@all").await;
    let mut alice = Client::log_in(proxy.addr, "alice").await;
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
async fn names_of_other_keys_are_not_shown() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut admin = Client::connect(proxy.addr).await;
    for at in 0..50 {
        admin.run(&format!("SET a{at} 1")).await;
        admin.run(&format!("SET z{at} 1")).await;
        admin.run(&format!("SET mine:{at} 1")).await;
    }
    admin
        .run("ACL SETUSER alice on >pw %W~mine:1* (%R~z7 +get) +@all")
        .await;
    let mut alice = Client::log_in(proxy.addr, "alice").await;
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
    let mut bob = Client::log_in(proxy.addr, "bob").await;
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
    let mut admin = Client::connect(proxy.addr).await;
    admin.run("ACL SETUSER alice on >pw ~a* +@all -incr").await;
    let mut alice = Client::log_in(proxy.addr, "alice").await;
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
    let mut admin = Client::connect(proxy.addr).await;
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
