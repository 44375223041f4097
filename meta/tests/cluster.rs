//! Meta as its users see it: members in a single process over loopback, stopped and started again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use coterie_config::ClusterToken;
use coterie_files::FileError;
use coterie_meta::{Config, Handle, Peer, RunError, restore, run, start};
use coterie_meta_client::MetaClient;
use coterie_protocol::meta::{
    Birth, Command, Heartbeat, MetaAnswer, MetaRequest, Outcome, Standing,
};
use coterie_protocol::{decode, encode, method};
use coterie_rpc::{Client, Token};
use coterie_types::{NodeId, Revision};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(30);

fn free_addr() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn config(id: u64, dir: &Path, peers: &[Peer]) -> Config {
    let listen = peers
        .iter()
        .find(|peer| peer.id == id)
        .map_or("127.0.0.1:0", |peer| &peer.addr);
    let mut config = Config::alone(listen, dir.join(format!("m{id}")), ClusterToken::given("t"));
    config.id = id;
    config.peers = peers.to_vec();
    config.backup_dir = Some(dir.join("backup"));
    config
}

fn peers() -> Vec<Peer> {
    (1..=3)
        .map(|id| Peer {
            id,
            addr: free_addr(),
        })
        .collect()
}

fn client(addrs: impl IntoIterator<Item = String>) -> MetaClient {
    MetaClient::new(Client::new(Token::new("t")), addrs.into_iter().collect())
}

fn setting(name: &str) -> Command {
    Command::PutSetting {
        name: name.into(),
        value: Some("v".into()),
    }
}

async fn register(client: &MetaClient, token: u128) -> (NodeId, u128) {
    let command = Command::RegisterNode {
        token,
        addr: format!("127.0.0.1:{token}"),
        zone: String::new(),
        host: String::new(),
        capacity_bytes: 0,
    };
    match client.propose(command, LONG).await.unwrap() {
        Outcome::Registered {
            node_id,
            cluster_id,
        } => (node_id, cluster_id),
        other => panic!("{other:?}"),
    }
}

/// Proposes until it is done.
async fn put(client: &MetaClient, name: &str) {
    while client.propose(setting(name), LONG).await.is_err() {}
}

/// The standing that a member reports.
async fn standing(peer: &Peer) -> Option<Standing> {
    let client = Client::new(Token::new("t"));
    // For no member: so the peer expects nothing of a member.
    let request = encode(&MetaRequest::Standing { member: 0 });
    let answer = client.call(&peer.addr, method::META, request, LONG).await;
    match decode(&answer.ok()?).ok()? {
        MetaAnswer::Standing(standing) => Some(standing),
        other => panic!("{other:?}"),
    }
}

/// Waits until a member takes part in everything.
async fn takes_part(peer: &Peer) {
    while standing(peer).await.is_none_or(|s| s.term.is_none()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn start_all(dir: &Path, peers: &[Peer]) -> Vec<Handle> {
    let mut handles = Vec::new();
    for peer in peers {
        handles.push(start(config(peer.id, dir, peers)).await.unwrap());
    }
    handles
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_is_a_meta_and_remembers() {
    let dir = tempfile::tempdir().unwrap();
    let member = start(config(1, dir.path(), &[])).await.unwrap();
    let meta = client([member.addr.to_string()]);
    let (node_id, cluster_id) = register(&meta, 5).await;
    assert_eq!(node_id, NodeId(1));
    let in_use = start(config(1, dir.path(), &[])).await.err().unwrap();
    assert!(
        matches!(in_use, RunError::Files(FileError::Directory { .. })),
        "{in_use}"
    );
    member.shutdown().await;
    let member = start(config(1, dir.path(), &[])).await.unwrap();
    let meta = client([member.addr.to_string()]);
    assert_eq!(register(&meta, 5).await, (node_id, cluster_id));
    let catalog = meta.read(LONG).await.unwrap();
    assert_eq!((catalog.tables.len(), catalog.nodes.len()), (16, 1));
    member.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_death_of_a_leader_loses_nothing_and_watchers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let peers = peers();
    let mut members = start_all(dir.path(), &peers).await;
    let meta = client(peers.iter().map(|peer| peer.addr.clone()));
    let mut copy = meta.follow(None);
    register(&meta, 5).await;
    let leader = members.iter().position(Handle::is_leader).unwrap();
    let dead = members.remove(leader);
    let dead_id = peers[leader].id;
    dead.shutdown().await;

    let mut outcome = meta.propose(setting("after"), LONG).await;
    while outcome.is_err() {
        outcome = meta.propose(setting("after"), LONG).await;
    }
    let catalog = meta.read(LONG).await.unwrap();
    assert!(catalog.nodes.contains_key(&NodeId(1)) && catalog.settings.contains_key("after"));
    let followed = copy
        .wait_for(|copy| copy.revision >= catalog.revision)
        .await;
    assert_eq!(**followed.unwrap(), catalog);

    // The stopped member catches up.
    let back = start(config(dead_id, dir.path(), &peers)).await.unwrap();
    while back.catalog().revision < catalog.revision {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(back.catalog(), catalog);
    for member in members.into_iter().chain([back]) {
        member.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_are_the_leaders_memory() {
    let dir = tempfile::tempdir().unwrap();
    let member = start(config(1, dir.path(), &[])).await.unwrap();
    let meta = client([member.addr.to_string()]);
    let (node_id, _) = register(&meta, 5).await;
    let heartbeat = |node_id| Heartbeat {
        node_id,
        addr: "127.0.0.1:5".into(),
        disk_used_bytes: 1,
        disk_free_bytes: 2,
        replicas: vec![],
        stopping: false,
        log_write_micros: 0,
        apply_micros: 0,
        answer_micros: vec![],
    };
    let taken = meta.heartbeat(heartbeat(node_id)).await.unwrap();
    assert!(!taken.removed && taken.revision > Revision(0));
    meta.heartbeat(heartbeat(NodeId(99))).await.unwrap();
    let liveness = meta.liveness().await.unwrap();
    assert_eq!(liveness.nodes.len(), 1, "strangers are not kept");
    assert_eq!(liveness.nodes[0].heartbeat, heartbeat(node_id));
    member.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_brings_everything_back_to_new_members() {
    let dir = tempfile::tempdir().unwrap();
    let peers = peers();
    let members = start_all(dir.path(), &peers).await;
    let meta = client(peers.iter().map(|peer| peer.addr.clone()));
    let (node_id, cluster_id) = register(&meta, 5).await;
    for number in 0..20 {
        meta.propose(setting(&format!("s{number}")), LONG)
            .await
            .unwrap();
    }
    let before = meta.read(LONG).await.unwrap();
    // Wait until the last change is in the backup; then everything else is lost.
    let probe = dir.path().join("probe");
    loop {
        let _ = std::fs::remove_dir_all(&probe);
        let restored = restore(&dir.path().join("backup"), &probe, 1);
        if restored.is_ok_and(|restored| restored.revision == before.revision) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for member in members {
        member.shutdown().await;
    }
    let new_dir = tempfile::tempdir().unwrap();
    for id in 1..=3 {
        let member_dir = new_dir.path().join(format!("m{id}"));
        restore(&dir.path().join("backup"), &member_dir, id).unwrap();
    }
    let peers = self::peers();
    let members = start_all(new_dir.path(), &peers).await;
    let meta = client(peers.iter().map(|peer| peer.addr.clone()));
    let after = meta.read(LONG).await.unwrap();
    assert!(
        after.revision > before.revision,
        "watchers of the old one notice"
    );
    assert_eq!(after.settings, before.settings);
    assert_eq!((after.cluster_id, after.nodes), (cluster_id, before.nodes));
    assert_eq!(register(&meta, 5).await, (node_id, cluster_id));
    assert!(
        register(&meta, 6).await.0 > NodeId(1000),
        "ids that may have been given are not"
    );
    for member in members {
        member.shutdown().await;
    }
}

/// A member that serves and receives writes; its log fails when the fault file says so.
struct Running {
    fault: PathBuf,
    member: JoinHandle<Result<(), RunError>>,
    writer: JoinHandle<()>,
}

impl Running {
    async fn start(dir: &Path) -> Self {
        let fault = dir.join("fault");
        let addr = free_addr();
        let mut config = Config::alone(&addr, dir.join("m1"), ClusterToken::given("t"));
        config.raft.fault_log_delay_file = Some(fault.clone());
        config.raft.flush_interval = Duration::from_millis(100);
        let member = tokio::spawn(run(config, CancellationToken::new()));
        let meta = client([addr]);
        while meta.propose(setting("served"), LONG).await.is_err() {}
        let writer = tokio::spawn(async move {
            for number in 0.. {
                let command = setting(&format!("more {number}"));
                // It fails when the member ends.
                let _ = meta.propose(command, Duration::from_secs(1)).await;
            }
        });
        Self {
            fault,
            member,
            writer,
        }
    }

    /// Waits until it ends; returns the reason.
    async fn ended(self) -> String {
        let ended = tokio::time::timeout(LONG, self.member).await.unwrap();
        self.writer.abort();
        ended.unwrap().unwrap_err().to_string()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_log_cannot_be_written_ends_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    std::fs::write(&running.fault, "fail").unwrap();
    let reason = running.ended().await;
    let log = dir.path().join("m1/raft/log").display().to_string();
    assert!(reason.contains(&log), "{reason}");
    assert!(reason.contains("told to fail"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_group_has_stopped_ends_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    // A snapshot file cannot replace a directory that is not empty.
    let state = dir.path().join("m1/state");
    while !state.is_dir() {
        let _ = std::fs::remove_file(&state);
        let _ = std::fs::create_dir(&state);
    }
    std::fs::write(state.join("in the way"), b"").unwrap();
    let reason = running.ended().await;
    assert!(
        reason.contains("m1: the member cannot go on: flush"),
        "{reason}"
    );
}

/// Member 1, which is down, has the log of the last entry. Member 2 had it, too, and its disk is
/// replaced; 3 was away. If 2 voted as if nothing had happened, 3 would lead without the entry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lost_its_disk_elects_nobody_before_it_has_caught_up() {
    let dir = tempfile::tempdir().unwrap();
    let peers = peers();
    let start_one = async |id: u64| start(config(id, dir.path(), &peers)).await.unwrap();
    let wipe = |id: u64| std::fs::remove_dir_all(dir.path().join(format!("m{id}"))).unwrap();
    let mut members = start_all(dir.path(), &peers).await;
    let meta = client(peers.iter().map(|peer| peer.addr.clone()));
    put(&meta, "everywhere").await;
    members.pop().unwrap().shutdown().await;
    put(&meta, "not on 3").await;
    members.pop().unwrap().shutdown().await;
    members.pop().unwrap().shutdown().await;
    wipe(2);

    let third = start_one(3).await;
    let wiped = start_one(2).await;
    // Even if it restarts meanwhile.
    tokio::time::sleep(Duration::from_millis(500)).await;
    wiped.shutdown().await;
    let wiped = start_one(2).await;
    let until = std::time::Instant::now() + Duration::from_secs(5);
    while std::time::Instant::now() < until {
        assert!(!third.is_leader() && !wiped.is_leader());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let nothing = Standing {
        birth: Birth::Unborn,
        term: None,
        leads: None,
    };
    assert_eq!(standing(&peers[1]).await, Some(nothing));

    let first = start_one(1).await;
    let catalog = meta.read(LONG).await.unwrap();
    assert!(catalog.settings.contains_key("not on 3"));
    takes_part(&peers[1]).await;
    assert!(wiped.catalog().settings.contains_key("not on 3"));
    // It is a member like any other, also after a restart: with 1 gone its vote is needed.
    wiped.shutdown().await;
    let wiped = start_one(2).await;
    first.shutdown().await;
    put(&meta, "without 1").await;
    let catalog = meta.read(LONG).await.unwrap();
    assert!(catalog.settings.contains_key("not on 3"));
    third.shutdown().await;
    wiped.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lost_its_disk_comes_back_under_the_same_leader() {
    let dir = tempfile::tempdir().unwrap();
    let peers = peers();
    let mut members = start_all(dir.path(), &peers).await;
    let meta = client(peers.iter().map(|peer| peer.addr.clone()));
    for number in 0..20 {
        put(&meta, &format!("s{number}")).await;
    }
    let leader = members.iter().position(Handle::is_leader).unwrap();
    let term = standing(&peers[leader]).await.unwrap().term;
    let lost = (leader + 1) % 3;
    // Twice: the first time it had acknowledged everything that it lacks, the second time more than
    // that.
    for round in 0..2 {
        members.remove(lost).shutdown().await;
        std::fs::remove_dir_all(dir.path().join(format!("m{}", lost + 1))).unwrap();
        put(&meta, &format!("while {lost} is away, {round}")).await;
        let back = start(config(peers[lost].id, dir.path(), &peers)).await;
        members.insert(lost, back.unwrap());
        takes_part(&peers[lost]).await;
        assert!(members[leader].is_leader());
        assert_eq!(standing(&peers[leader]).await.unwrap().term, term);
        let catalog = meta.read(LONG).await.unwrap();
        while members[lost].catalog().revision < catalog.revision {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(members[lost].catalog(), catalog);
    }
    for member in members {
        member.shutdown().await;
    }
}

/// Two of three begin. The third is like a member that lost its disk, and joins in the same way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_not_there_at_the_birth_comes_late() {
    let dir = tempfile::tempdir().unwrap();
    let peers = peers();
    let mut members = Vec::new();
    for id in [1, 2] {
        members.push(start(config(id, dir.path(), &peers)).await.unwrap());
    }
    let meta = client(peers.iter().map(|peer| peer.addr.clone()));
    put(&meta, "without 3").await;
    members.push(start(config(3, dir.path(), &peers)).await.unwrap());
    takes_part(&peers[2]).await;
    members.remove(0).shutdown().await;
    put(&meta, "without 1").await;
    for member in members {
        assert!(member.catalog().settings.contains_key("without 3"));
        member.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_lost_its_log_alone_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let peers = peers();
    let mut config = config(1, dir.path(), &peers);
    config.raft.flush_interval = Duration::from_millis(100);
    let mut members = vec![start(config.clone()).await.unwrap()];
    members.push(start(self::config(2, dir.path(), &peers)).await.unwrap());
    while !config.dir.join("state").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for member in members {
        member.shutdown().await;
    }
    std::fs::remove_dir_all(config.dir.join("raft")).unwrap();
    let error = start(config).await.err().unwrap().to_string();
    assert!(error.contains("its log is gone"), "{error}");
}
