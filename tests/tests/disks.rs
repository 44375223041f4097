//! Failing disks: all disks full at once, and failing fsyncs.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use anyhow::ensure;
use coterie_tests::cluster::{Cluster, Role};
use coterie_tests::failing_disk::FailingDisk;
use coterie_tests::resp::Reply;
use coterie_tests::small_disk::SmallDisk;
use coterie_tests::wait;

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);

const SIGABRT: i32 = 6;

fn ok() -> Reply {
    Reply::Simple("OK".to_owned())
}

/// The disk that all servers share is full when their stores are flushed, so replicas stop. When
/// there is room again they serve, without any restart of a process.
#[test]
fn replicas_that_a_full_disk_stopped_serve_again_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(768).expect("mounts or skips") else {
        return;
    };
    let flags = ["--disk-reserve", "64MiB", "--flush-interval", "2s"];
    let builder = Cluster::builder().server_dir(disk.path().to_owned());
    let builder = builder.flags(Role::Server, &flags).split_at(&["55", "aa"]);
    let mut cluster = builder.start().expect("starts");
    // Health, the store and its replica each log the failure in their own words.
    for expected in [
        "disk full: data from leaders is refused",
        "the replica stops",
        "the store has stopped",
        "store not flushed",
        "not kept",
        "openraft",
        "No space left on device",
    ] {
        cluster.announce(expected);
    }
    let keys = ["00:", "60:", "b0:"];
    let mut client = cluster.connect().expect("connects");
    let servers = cluster.names(Role::Server);
    let said = |cluster: &mut Cluster, words: &str| -> usize {
        let outputs = servers.iter().map(|name| cluster.process(name).output());
        outputs.map(|said| said.matches(words).count()).sum()
    };
    let mut value = 0;
    wait::until("most replicas have stopped", WITHIN, || {
        // If a flush was faster than the filling, the test tries again.
        value += 1;
        for key in keys {
            let reply = client.call(&["SET", key, &value.to_string()])?;
            ensure!(reply == ok(), "{reply:?}");
        }
        let filler = disk.fill(0)?;
        let stopped = wait::until("they stop", Duration::from_secs(15), || {
            let stopped = said(&mut cluster, "the replica stops");
            ensure!(stopped > 6, "{stopped} of 9 have stopped");
            Ok(())
        });
        std::fs::remove_file(filler)?;
        stopped
    })
    .expect("they stop");
    wait::until("every range serves again", WITHIN, || {
        for key in keys {
            let reply = client.call(&["SET", key, "after"])?;
            ensure!(reply == ok(), "{reply:?}");
        }
        Ok(())
    })
    .expect("by themselves");
    cluster
        .wait_until_caught_up(3, WITHIN)
        .expect("all of them");
    assert!(said(&mut cluster, "the replica is opened again") > 6);
    for name in &servers {
        assert!(cluster.process(name).is_running(), "{name} ended");
    }
    cluster.check().expect("replicas agree");
}

/// An fsync of the log fails: the process ends before it can answer anyone. So it does with
/// `RUST_BACKTRACE=1`, which every process of these tests has, although a backtrace takes seconds.
#[test]
fn a_failed_fsync_of_the_log_ends_the_process_at_once() {
    const BROKEN: &str = "server-1";
    let Some(disk) = FailingDisk::new().expect("compiles or skips") else {
        return;
    };
    let builder = Cluster::builder().env_of(BROKEN, &disk.env());
    let mut cluster = builder.start().expect("starts");
    cluster.announce("the log cannot be written: the process ends at once");
    let mut client = cluster.connect().expect("connects");
    disk.fail(".raftlog").expect("told");
    assert_eq!(client.call(&["SET", "k", "v"]).expect("answers"), ok());
    let ended = cluster.process(BROKEN).wait_for_end(WITHIN);
    let ended = ended.expect("it ends");
    println!("it ended {:?} after the failure", disk.failed_for());
    assert_eq!(ended.signal(), Some(SIGABRT), "{ended}");
    let said = cluster.process(BROKEN).output();
    assert!(said.contains("the process ends at once"), "{said}");
    assert!(!said.contains("stack backtrace"), "{said}");
}

/// The state of a member of meta cannot be synced, and from then on no file on its disk can: it
/// ends with 1 and a reason, without a panic while it closes its log.
#[test]
fn a_member_of_meta_whose_disk_fails_ends_with_1() {
    const BROKEN: &str = "meta-2";
    let Some(disk) = FailingDisk::new().expect("compiles or skips") else {
        return;
    };
    let builder = Cluster::builder().env_of(BROKEN, &disk.env());
    let mut cluster = builder
        .flags(Role::Meta, &["--flush-interval", "500ms"])
        .start()
        .expect("starts");
    for expected in [
        "flush failed: the replica stops",
        "meta member broken",
        "meta member cannot go on",
        "the log is not closed",
        "the end of the log is not noted",
        "openraft",
    ] {
        cluster.announce(expected);
    }
    disk.fail("/state").expect("told");
    let began = Instant::now();
    wait::until("it ends", WITHIN, || {
        // A change to be flushed.
        let name = format!("table-{}", began.elapsed().as_millis());
        cluster.admin().ask(&["TABLE", "CREATE", &name])?;
        let is_running = cluster.process(BROKEN).is_running();
        ensure!(!is_running, "it runs");
        Ok(())
    })
    .expect("it ends");
    let ended = cluster.process(BROKEN).exit_status().expect("it ended");
    let said = cluster.process(BROKEN).output();
    assert_eq!(ended.code(), Some(1), "{ended}: {said}");
    assert!(!said.contains("panicked at"), "{said}");
}
