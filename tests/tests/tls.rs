//! A cluster whose processes talk by mutual TLS, with clients that connect by TLS.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use coterie_certificates::{Authority, Signed};
use coterie_tests::cluster::{Builder, Cluster, Role};
use coterie_tests::ports::Port;
use coterie_tests::workload::ledger::{self, Plan};
use coterie_tests::{binary, foreign, wait};

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The flags of a process of the cluster.
fn of_cluster(authority: &Authority, signed: &Signed) -> Vec<String> {
    let flag = |name: &str, path: &Path| [format!("--cluster-tls-{name}-file"), text(path).into()];
    let (cert, key) = (flag("cert", &signed.cert), flag("key", &signed.key));
    [cert, key, flag("ca", &authority.ca())].concat()
}

/// A cluster of this authority, each role with a certificate of its own.
fn builder(authority: &Authority) -> (Builder, Vec<Signed>) {
    let mut builder = Cluster::builder().split_at(&["80"]);
    let mut signed = Vec::new();
    for role in Role::ALL {
        let own = authority.sign(&["coterie"]);
        let flags = of_cluster(authority, &own);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        builder = builder.flags(role, &flags);
        signed.push(own);
    }
    (builder, signed)
}

/// Runs the binary to its end; its output, and whether it succeeded.
fn run(args: &[&str]) -> (String, bool) {
    let ended = Command::new(binary::coterie().expect("a binary"))
        .args(args)
        .output()
        .expect("it runs");
    let said = [ended.stdout, ended.stderr].concat();
    (
        String::from_utf8_lossy(&said).into_owned(),
        ended.status.success(),
    )
}

#[test]
fn clients_of_other_languages_connect_by_tls() {
    let authority = Authority::new("clients");
    let (own, client) = (authority.sign(&["127.0.0.1"]), authority.sign(&["me"]));
    let port = Port::reserve().expect("a port");
    let (listen, ca) = (port.addr(), authority.ca());
    let flags = [
        ["--tls-listen", &listen],
        ["--tls-cert-file", text(&own.cert)],
        ["--tls-key-file", text(&own.key)],
        ["--tls-ca-cert-file", text(&ca)],
    ];
    let cluster = Cluster::builder()
        .flags(Role::Proxy, flags.as_flattened())
        .start()
        .expect("starts");
    let (_, port) = listen.rsplit_once(':').expect("a port");
    let files = [text(&ca), text(&client.cert), text(&client.key)];

    let tls = [
        "--tls", "--cacert", files[0], "--cert", files[1], "--key", files[2],
    ];
    let cli = |flags: &[&str], command: &[&str]| {
        let args = [&["-p", port], flags, command].concat();
        foreign::run_program("redis-cli", &args, b"")
    };
    if let Some(said) = cli(&tls, &["SET", "tls:cli", "x"]).expect("redis-cli works") {
        assert_eq!(said, "OK\n");
        let said = cli(&tls, &["CONFIG", "GET", "tls-port"]).expect("works");
        assert_eq!(said.as_deref(), Some(&*format!("tls-port\n{port}\n")));
        let without = cli(&["--tls", "--cacert", files[0]], &["PING"]);
        assert!(!without.is_ok_and(|said| said.is_some_and(|s| s.contains("PONG"))));
        let plain = cli(&[], &["PING"]);
        assert!(!plain.is_ok_and(|said| said.is_some_and(|s| s.contains("PONG"))));
        wait::until("the handshakes are counted", WITHIN, || {
            let failed =
                cluster.metric(Role::Proxy, "coterie_proxy_tls_handshake_failures_total")?;
            ensure!(failed >= 2.0, "{failed}");
            Ok(())
        })
        .expect("they are");
    }
    let script = |name: &str| -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("clients")
            .join(name)
    };
    let args = [&[port], &files[..]].concat();
    if let Some(said) = foreign::run_redis_py(&script("tls.py"), &args).expect("redis-py works") {
        assert_eq!(said.trim(), "ok");
    }
    if let Some(said) = foreign::run_ioredis(&script("tls.js"), &args).expect("ioredis works") {
        assert_eq!(said.lines().last(), Some("ok"), "{said}");
    }
    let left = cluster.metrics("proxy-1").expect("metrics");
    let expires_at = left.sum("coterie_tls_clients_certificate_expires_at_seconds");
    assert!(expires_at.expect("it is there") > 1e9);
}

/// Certificates of all processes are replaced under load, and a leader is killed: no command fails.
#[test]
fn a_cluster_with_mutual_tls_serves_through_kills_and_new_certificates() {
    let authority = Authority::new("cluster");
    let (builder, signed) = builder(&authority);
    let mut cluster = builder.start().expect("starts");
    let plan = Plan {
        addrs: cluster.proxies(),
        clients: 4,
        name: "tls".to_owned(),
        keys_per_client: 100,
        padding: 100,
        think: Duration::from_millis(1),
        operations_max: usize::MAX,
    };
    let load = plan.start().expect("starts");
    load.wait_for(200, WITHIN).expect("writes go on");
    for own in &signed {
        authority.sign(&["coterie"]).replace(own);
    }
    wait::until("every process has its new certificate", WITHIN, || {
        for name in cluster.all_names() {
            let reloads = cluster
                .metrics(&name)?
                .sum("coterie_tls_cluster_reloads_total")?;
            ensure!(reloads >= 1.0, "{name}: {reloads}");
        }
        Ok(())
    })
    .expect("they have");
    load.wait_for(200, WITHIN).expect("writes go on");
    // A new process, and with it new connections of everybody.
    let leaders = cluster.leaders().expect("groups have leaders");
    let leader = leaders.values().next().expect("a leader").clone();
    cluster.process(&leader).kill();
    load.wait_for(200, WITHIN).expect("writes go on without it");
    cluster.process(&leader).start().expect("starts again");
    cluster.wait_until_serving(WITHIN).expect("serves");
    load.wait_for(200, WITHIN).expect("writes go on");
    let (ledger, troubles) = ledger::finish(load, WITHIN).expect("the clients end");
    troubles.expect_none();
    ledger
        .verify(&cluster.proxy())
        .expect("every write is there");

    commands_for_operators_need_a_certificate(&cluster, &authority);
}

fn commands_for_operators_need_a_certificate(cluster: &Cluster, authority: &Authority) {
    let metas: Vec<String> = cluster
        .names(Role::Meta)
        .iter()
        .map(|m| cluster.addr(m))
        .collect();
    let (metas, token) = (metas.join(","), cluster.token().to_owned());
    let check = [
        "check",
        "--quick",
        "--meta",
        &metas,
        "--cluster-token",
        &token,
    ];
    let tls = of_cluster(authority, &authority.sign(&["coterie"]));
    let tls: Vec<&str> = tls.iter().map(String::as_str).collect();
    wait::until("a check by TLS finds nothing", WITHIN, || {
        let (said, is_well) = run(&[&check[..], &tls].concat());
        ensure!(is_well, "{said}");
        Ok(())
    })
    .expect("all is well");
    let (said, is_well) = run(&check);
    assert!(!is_well, "a plain caller was answered: {said}");
    let stranger = Authority::new("stranger");
    let foreign = of_cluster(&stranger, &stranger.sign(&["coterie"]));
    let foreign: Vec<&str> = foreign.iter().map(String::as_str).collect();
    let (said, is_well) = run(&[&check[..], &foreign].concat());
    assert!(!is_well, "a stranger was answered: {said}");
}

#[test]
fn a_role_with_half_of_tls_does_not_start_and_names_the_flag() {
    let authority = Authority::new("cluster");
    let (good, expired) = (
        authority.sign(&["coterie"]),
        authority.sign_expired(&["coterie"]),
    );
    let (cert, ca) = (text(&good.cert), authority.ca());
    let controller = [
        "controller",
        "--meta",
        "127.0.0.1:1",
        "--cluster-token",
        "t",
    ];
    let proxy = ["proxy", "--meta", "127.0.0.1:1", "--cluster-token", "t"];
    let proxy = [&proxy[..], &["--listen", "127.0.0.1:0"]].concat();
    let of_expired = of_cluster(&authority, &expired);
    let of_expired: Vec<&str> = of_expired.iter().map(String::as_str).collect();
    let clients = ["--tls-listen", "127.0.0.1:0", "--tls-cert-file", cert];
    let all = [&clients[..], &["--tls-key-file", text(&good.key)]].concat();
    let other = Authority::new("other");
    let foreign = other.sign(&["coterie"]);
    let mixed = of_cluster(&authority, &foreign);
    let mixed: Vec<&str> = mixed.iter().map(String::as_str).collect();
    let absent = [
        "--cluster-tls-cert-file",
        "absent",
        "--cluster-tls-key-file",
        text(&good.key),
    ];
    let absent = [&absent[..], &["--cluster-tls-ca-file", text(&ca)]].concat();
    for (role, flags, reason) in [
        (
            &controller[..],
            &["--cluster-tls-cert-file", cert][..],
            "no --cluster-tls-key-file",
        ),
        (
            &controller,
            &of_expired,
            "(--cluster-tls-cert-file): it expired at 2001-01-01",
        ),
        (
            &controller,
            &mixed,
            "(--cluster-tls-cert-file): a process that accepts",
        ),
        (
            &controller,
            &absent,
            "read absent (--cluster-tls-cert-file)",
        ),
        (
            &proxy,
            &["--tls-listen", "127.0.0.1:0"],
            "no --tls-cert-file",
        ),
        (&proxy, &clients, "no --tls-key-file"),
        (&proxy, &all, "--tls-ca-cert-file"),
    ] {
        let (said, started) = run(&[role, flags].concat());
        assert!(!started && said.contains(reason), "{flags:?}: {said}");
    }
}
