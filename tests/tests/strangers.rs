//! Intruders: strangers at internal ports, processes with another token, directories of another
//! cluster, of a newer format, or in use. Each is refused, and the cluster serves on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use coterie_tests::cluster::Cluster;
use coterie_tests::connection::Connection;
use coterie_tests::process::Process;
use coterie_tests::wait;

const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn strangers_and_foreign_directories_are_refused() {
    let mut cluster = Cluster::builder().start().expect("starts");
    for name in ["meta-1", "server-1"] {
        a_stranger_at_an_internal_port(&cluster.addr(name));
    }
    a_server_with_another_token(&mut cluster);
    two_processes_on_one_directory(&mut cluster);
    cluster.wait_until_serving(WITHIN).expect("serves");
    a_directory_of_a_newer_format(&mut cluster);
    // Kept as a foreign directory for the next cluster.
    let foreign = tempfile::tempdir().expect("a folder");
    cluster.process("server-2").terminate(WITHIN).expect("ends");
    std::fs::rename(cluster.dir("server-2"), foreign.path().join("server")).expect("moves");
    drop(cluster);
    a_directory_of_another_cluster(&foreign.path().join("server"));
}

/// Whatever a stranger sends to an internal port, it receives at most a greeting, and the
/// connection is closed in time.
fn a_stranger_at_an_internal_port(addr: &str) {
    const GREETING_MAX: usize = 64;
    let mut greeting = b"COTERIE\n\x01\x00".to_vec();
    greeting.extend([7; 32]);
    let wrong_proof = [&greeting[..], &[9; 32], &[0; 4096]].concat();
    let cases: [&[u8]; 5] = [
        b"PING\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        &[0; 4096],
        &[0xff; 4096],
        &wrong_proof,
    ];
    for case in cases {
        let mut stream = TcpStream::connect(addr).expect("connects");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("sets");
        let _ = stream.write_all(case);
        let mut said = Vec::new();
        let end = stream.read_to_end(&mut said);
        let timed_out = end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!timed_out, "the connection stays open");
        assert!(
            said.len() <= GREETING_MAX,
            "a stranger was told {}",
            said.escape_ascii()
        );
    }
    // A silent connection is closed as well.
    assert!(
        Connection::open(addr, Duration::from_secs(20))
            .expect("connects")
            .closed_by_server()
    );
}

/// A process with another token cannot join.
fn a_server_with_another_token(cluster: &mut Cluster) {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path().join("stranger").display().to_string();
    let changes = [
        ("--cluster-token", "another"),
        ("--listen", "127.0.0.1:0"),
        ("--http", "127.0.0.1:0"),
        ("--dir", &dir),
    ];
    let mut stranger = cluster.process("server-1").variant("stranger", &changes);
    let before = nodes(cluster);
    stranger.start().expect("starts");
    let said = wait::until("it says or shows that it is refused", WITHIN, || {
        let said = stranger.output();
        let refused = said.contains("token") || stranger.exit_status().is_some();
        ensure!(refused, "it said: {said}");
        Ok(said)
    });
    println!("a server with another token: {}", said.expect("a word"));
    stranger.kill();
    assert_eq!(nodes(cluster), before, "the stranger has joined");
}

fn nodes(cluster: &Cluster) -> usize {
    let mut connection = cluster.connect().expect("connects");
    connection
        .call(&["COTERIE", "NODES"])
        .expect("answers")
        .elements()
        .len()
}

fn two_processes_on_one_directory(cluster: &mut Cluster) {
    for name in ["server-1", "meta-1"] {
        let changes = [("--listen", "127.0.0.1:0"), ("--http", "127.0.0.1:0")];
        let second = cluster
            .process(name)
            .variant(&format!("second-{name}"), &changes);
        ends_in_refusal(second, &["lock", "in use", "another process"]);
        assert!(cluster.process(name).is_running());
    }
}

/// The format version is in a text file at the top of each directory.
fn a_directory_of_a_newer_format(cluster: &mut Cluster) {
    for (name, role) in [("server-1", "server"), ("meta-1", "meta")] {
        cluster.process(name).terminate(WITHIN).expect("ends");
        let identity = cluster.dir(name).join("IDENTITY");
        let text = std::fs::read_to_string(&identity).expect("an identity");
        let (now, newer) = (
            format!("coterie {role} 1\n"),
            format!("coterie {role} 999\n"),
        );
        assert!(text.starts_with(&now), "{text}");
        std::fs::write(&identity, text.replacen(&now, &newer, 1)).expect("writes");
        let upgraded = cluster
            .process(name)
            .variant(&format!("upgraded-{name}"), &[]);
        ends_in_refusal(upgraded, &["999", "newer", "version"]);
        std::fs::write(&identity, text).expect("writes");
        cluster.process(name).start().expect("starts again");
    }
    cluster.wait_until_serving(WITHIN).expect("serves");
}

fn a_directory_of_another_cluster(foreign: &Path) {
    let mut cluster = Cluster::builder().start().expect("starts");
    let changes = [
        ("--dir", foreign.to_str().expect("UTF-8")),
        ("--listen", "127.0.0.1:0"),
        ("--http", "127.0.0.1:0"),
    ];
    let lost = cluster
        .process("server-1")
        .variant("of-another-cluster", &changes);
    ends_in_refusal(lost, &["cluster"]);
    cluster.wait_until_serving(WITHIN).expect("serves");
}

/// The process must end by itself with a status other than 0, and print a word of `words`.
fn ends_in_refusal(mut process: Process, words: &[&str]) {
    process.start().expect("starts");
    let status = process.wait_for_end(WITHIN).expect("ends");
    let said = process.output();
    assert!(!status.success(), "{} ended well: {said}", process.name());
    let lower = said.to_lowercase();
    assert!(
        words.iter().any(|word| lower.contains(word)),
        "{}: {said}",
        process.name()
    );
}
