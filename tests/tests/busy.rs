//! An overloaded machine: every command takes longer, and nothing else happens. No client gets an
//! error, no group changes its leader, no node is judged slow.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use coterie_tests::cluster::Cluster;
use coterie_tests::connection::Connection;
use coterie_tests::process::Process;
use coterie_tests::resp::Reply;
use coterie_tests::wait;

const WITHIN: Duration = Duration::from_secs(60);
/// Processes that always want a CPU, besides those of the cluster and the clients.
const BUSY: usize = 40;
const CLIENTS: usize = 16;
/// The number of SETs and GETs of each client, in sequence.
const COMMANDS: usize = 60;

/// Sets and reads its own keys; no reply is an error or late by a minute.
fn client(addr: &str, number: usize) {
    let mut connection = Connection::open(addr, WITHIN).expect("connects");
    for turn in 0..COMMANDS {
        let (key, value) = (format!("{number}:{turn}"), turn.to_string());
        let set = connection.call(&["SET", &key, &value]).expect("answers");
        assert_eq!(set, Reply::Simple("OK".to_owned()), "client {number}");
        let get = connection.call(&["GET", &key]).expect("answers");
        assert_eq!(get, Reply::Bulk(value.into_bytes()), "client {number}");
    }
}

#[test]
fn nothing_but_latency_suffers_on_a_machine_with_too_much_to_do() {
    let cluster = Cluster::builder().start().expect("starts");
    cluster.hold_still(WITHIN).expect("holds still");
    let addr = cluster.proxy();
    let admin = cluster.admin();
    let leaders = || {
        let groups = admin.groups()?.into_iter();
        let leaders = groups.map(|group| (group.id, group.leader, group.term));
        Ok::<Vec<_>, anyhow::Error>(leaders.collect())
    };
    let leaders_before = wait::until("every group has a leader", WITHIN, || {
        let leaders = leaders()?;
        let mut all = leaders.iter();
        ensure!(all.all(|(_, leader, _)| leader.is_some()), "{leaders:?}");
        Ok(leaders)
    });
    let leaders_before = leaders_before.expect("leaders");
    let jobs = || {
        admin
            .jobs()
            .expect("answers")
            .into_iter()
            .map(|job| job.id)
            .collect::<Vec<_>>()
    };
    let jobs_before = jobs();
    // Dropping them ends them.
    let busy: Vec<Process> = (0..BUSY)
        .map(|number| {
            let name = format!("busy-{number}");
            let log = cluster.folder().join(format!("{name}.log"));
            let mut process = Process::new(&name, Path::new("/bin/sh"), log);
            process = process.args(["-c", "while :; do :; done"]);
            process.start().expect("starts");
            process
        })
        .collect();
    // All keys belong to the same group: the other groups only exchange heartbeats meanwhile.
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let addr = &addr;
            scope.spawn(move || client(addr, number));
        }
    });
    assert_eq!(
        leaders().expect("answers"),
        leaders_before,
        "leaders, terms"
    );
    let new = |id: &u64| !jobs_before.contains(id);
    let begun: Vec<_> = jobs().into_iter().filter(new).collect();
    assert!(begun.is_empty(), "jobs {begun:?} were begun");
    drop(busy);
}
