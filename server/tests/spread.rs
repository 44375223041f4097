//! A spread collection arrives from a source that the test plays: in pieces, and whole when it is
//! first shown.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    unreachable_pub,
    reason = "the common module is shared by several tests"
)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::{AFTER, DESTINATION, FENCE, LONG, SOURCE, World, put};
use coterie_group::{Tally, add_element};
use coterie_meta_client::MetaClient;
use coterie_protocol::frozen::{FrozenAnswer, FrozenRead, FrozenRequest};
use coterie_protocol::meta::{Command, ControllerOp, Outcome};
use coterie_protocol::server::{ImportState, ServerAnswer, ServerRequest};
use coterie_protocol::{FrameReply, decode, encode};
use coterie_redis_compat::{Kind, Record};
use coterie_rpc::{Handler, Request, Responder, Server, Token};
use coterie_types::{
    GroupId, KeyRange, NodeId, RangeDescriptor, RangeId, TableId, UnixMillis, Version, varint,
};

/// The group that the test plays.
const ELSEWHERE: GroupId = GroupId(3);
/// A range of another table, which comes from `ELSEWHERE`.
const OTHER: RangeId = RangeId(7);
const TABLE: TableId = TableId(1);

fn version(change: u64) -> Version {
    let group = ELSEWHERE;
    Version { group, change }
}

fn raw(is_spread: bool, value: Vec<u8>) -> Bytes {
    let record = Record {
        kind: if is_spread { Kind::Set } else { Kind::String },
        version: version(9),
        expires_at: None,
        kept: None,
        is_spread,
        value: Bytes::from(value),
    };
    let mut raw = Vec::new();
    record.encode(&mut raw);
    Bytes::from(raw)
}

/// Any bytes that do not compress well.
fn noise(n: u64) -> Bytes {
    let words = (1..=12).map(|i| (n * 16 + i).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    words
        .flat_map(|word| (word ^ (word >> 29)).wrapping_mul(word | 1).to_le_bytes())
        .collect()
}

type Elements = Vec<((u8, Bytes), Bytes)>;

/// A frozen range.
#[derive(Default)]
struct Source {
    records: BTreeMap<Bytes, Bytes>,
    elements: BTreeMap<Bytes, Elements>,
    /// Pieces are not answered.
    is_shut: AtomicBool,
    pieces: AtomicUsize,
}

impl Source {
    fn with(strings: &[&str], spread: &[(&str, u64)]) -> Self {
        let mut source = Self::default();
        for key in strings {
            let key = Bytes::copy_from_slice(key.as_bytes());
            source.records.insert(key, raw(false, b"value".to_vec()));
        }
        for (key, count) in spread {
            let key = Bytes::copy_from_slice(key.as_bytes());
            let mut header = Vec::new();
            for number in [ELSEWHERE.0, 5, *count] {
                varint::put(&mut header, number);
            }
            source.records.insert(key.clone(), raw(true, header));
            let elements = (0..*count).map(|n| {
                let element = Bytes::copy_from_slice(&n.to_be_bytes());
                ((u8::from(n % 2 == 1), element), noise(n))
            });
            let mut elements: Elements = elements.collect();
            elements.sort();
            source.elements.insert(key, elements);
        }
        source
    }

    fn records(&self, from: &Bytes, is_whole: bool) -> FrozenAnswer {
        let (mut records, mut next) = (Vec::new(), None);
        for (key, raw) in self.records.range(from.clone()..) {
            let is_spread = Record::decode(raw.clone()).unwrap().is_spread;
            if is_whole && is_spread && !records.is_empty() {
                next = Some(key.clone());
                break;
            }
            records.push((key.clone(), raw.clone()));
            if is_whole && is_spread {
                let mut later = self.records.keys().filter(|later| *later > key);
                next = later.next().cloned();
                break;
            }
        }
        FrozenAnswer::Records { records, next }
    }

    fn answer(&self, read: FrozenRead) -> FrozenAnswer {
        match read {
            FrozenRead::Size => FrozenAnswer::Size(1),
            FrozenRead::Keys(keys) => {
                let records = keys.iter().map(|key| self.records.get(key).cloned());
                FrozenAnswer::Keys(records.collect())
            }
            FrozenRead::Chunk { from, .. } => self.records(&from, true),
            FrozenRead::Headers { from, .. } => self.records(&from, false),
            FrozenRead::Digest => {
                let mut all = Tally::default();
                let records = self.records.iter();
                records.for_each(|(key, raw)| all.add(key, raw));
                digest(&all)
            }
            FrozenRead::ElementsDigest(of) => {
                assert_eq!(of.incarnation, version(5));
                let mut all = Tally::default();
                for ((family, element), value) in &self.elements[&of.key] {
                    add_element(&mut all, *family, element, value);
                }
                digest(&all)
            }
            FrozenRead::Elements {
                of,
                from,
                bytes_max,
            } => {
                if self.is_shut.load(Ordering::Relaxed) {
                    return FrozenAnswer::Failed("shut".to_owned());
                }
                self.pieces.fetch_add(1, Ordering::Relaxed);
                assert_eq!(of.incarnation, version(5));
                let all = &self.elements[&of.key];
                let start = from.map_or(0, |from| all.partition_point(|(at, _)| *at < from));
                let count = usize::try_from(bytes_max / 120).unwrap();
                let end = all.len().min(start + count);
                FrozenAnswer::Elements {
                    elements: all[start..end].to_vec(),
                    next: all.get(end).map(|(at, _)| at.clone()),
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

fn digest(tally: &Tally) -> FrozenAnswer {
    FrozenAnswer::Digest {
        records: tally.records,
        bytes: tally.bytes,
        checksum: tally.checksum,
    }
}

impl Handler for Source {
    fn handle(&self, request: Request, responder: Responder) {
        let asked: FrozenRequest = decode(&request.body).unwrap();
        responder.send(encode(&self.answer(asked.read)));
    }
}

/// A world whose destination serves and imports all of table 1 from the source.
async fn world(source: &Arc<Source>, flags: &[&str]) -> (World, Server) {
    let world = World::start(flags).await;
    let handler: Arc<dyn Handler> = Arc::<Source>::clone(source);
    let server = Server::bind("127.0.0.1:0", Token::new("t"), handler);
    let server = server.await.unwrap();
    let meta = MetaClient::new(world.rpc.clone(), vec![world.meta_addr.clone()]);
    let register = Command::RegisterNode {
        token: 2,
        addr: server.local_addr().to_string(),
        zone: String::new(),
        host: String::new(),
        capacity_bytes: 1,
    };
    let Outcome::Registered {
        node_id: NodeId(node_id),
        ..
    } = meta.propose(register, LONG).await.unwrap()
    else {
        panic!("not registered");
    };
    let ids = ControllerOp::AllocateIds {
        groups: 1,
        ranges: 0,
        jobs: 0,
    };
    world.change(vec![ids, put(ELSEWHERE, node_id)]).await;
    let other = RangeDescriptor {
        range_id: OTHER,
        epoch: AFTER,
        bounds: KeyRange::all(TABLE),
        group_id: DESTINATION,
    };
    world.begin_import(other, ELSEWHERE).await;
    let activate = ServerRequest::Activate {
        group_id: DESTINATION,
        range_id: OTHER,
        epoch: AFTER,
        clock: UnixMillis(0),
    };
    assert_eq!(world.ask(activate).await, ServerAnswer::Ok);
    (world, server)
}

async fn run(world: &World, line: &str) -> String {
    let is_read = line.starts_with("exists") || line.starts_with("type");
    let reply = world.send_in(TABLE, DESTINATION, &[line], is_read).await;
    match reply {
        FrameReply::Done(replies) => String::from_utf8_lossy(&replies[0]).replace("\r\n", " "),
        other => panic!("{line}: {other:?}"),
    }
}

async fn wait_finished(world: &World) {
    for _ in 0..3000 {
        if let ImportState::Finished { .. } = world.import_state_of(OTHER).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", world.import_state_of(OTHER).await);
}

/// The number of records in the state of the destination.
async fn count(world: &World, nonce: u64) -> u64 {
    count_of(world, DESTINATION, nonce).await
}

async fn count_of(world: &World, group_id: GroupId, nonce: u64) -> u64 {
    let take = ServerRequest::TakeDigest {
        group_id,
        nonce,
        fence: FENCE,
    };
    assert_eq!(world.ask(take).await, ServerAnswer::Ok);
    loop {
        match world.ask(ServerRequest::Digest { group_id, nonce }).await {
            ServerAnswer::Digest(Some(digest)) => return digest.records,
            ServerAnswer::Digest(None) => tokio::time::sleep(Duration::from_millis(5)).await,
            answer => panic!("{answer:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_is_read_at_its_source_and_written_when_it_is_here() {
    let source = Arc::new(Source::with(&["a", "z"], &[("big", 20_000), ("more", 300)]));
    source.is_shut.store(true, Ordering::Relaxed);
    let (world, server) = world(&source, &[]).await;
    assert_eq!(run(&world, "exists a big more z none").await, ":4 ");
    assert_eq!(run(&world, "type big").await, "+set ");
    // The strings can be written, the collections cannot.
    assert_eq!(run(&world, "persist z").await, ":0 ");
    assert_eq!(run(&world, "set more over").await, "+OK ");
    let mut written = Box::pin(run(&world, "expire big 1000"));
    let waited = tokio::time::timeout(Duration::from_secs(1), &mut written).await;
    assert!(waited.is_err(), "it is not here yet");
    source.is_shut.store(false, Ordering::Relaxed);
    assert_eq!(written.await, ":1 ");
    wait_finished(&world).await;
    assert!(source.pieces.load(Ordering::Relaxed) > 3, "in pieces");
    assert_eq!(count(&world, 1).await, 20_004);
    assert_eq!(run(&world, "type more").await, "+string ");
    world.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_writes_wait_for_arrives_first() {
    let source = Arc::new(Source::with(&["m"], &[("a", 30_000), ("z", 500)]));
    // The first collection alone would take a minute.
    let (world, server) = world(&source, &["--move-rate", "64KiB"]).await;
    assert_eq!(run(&world, "persist m").await, ":0 ");
    let written = tokio::time::timeout(LONG, run(&world, "del z"));
    assert_eq!(written.await.unwrap(), ":1 ");
    assert!(matches!(
        world.import_state_of(OTHER).await,
        ImportState::Copying { .. }
    ));
    assert_eq!(count(&world, 1).await, 1, "the string");
    let written = tokio::time::timeout(LONG, run(&world, "persist a"));
    assert_eq!(written.await.unwrap(), ":0 ");
    assert_eq!(count(&world, 2).await, 30_002);
    world.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_of_a_collection_goes_on_after_a_restart() {
    let source = Arc::new(Source::with(&[], &[("a", 3_000)]));
    let (mut world, server) = world(&source, &["--move-rate", "64KiB"]).await;
    while source.pieces.load(Ordering::Relaxed) < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.stop_node().await;
    world.start_node(&[]).await;
    world.wait_leaders().await;
    wait_finished(&world).await;
    assert_eq!(count(&world, 1).await, 3_001);
    world.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_space_of_a_deleted_collection_comes_back() {
    let source = Arc::new(Source::with(&["m"], &[("a", 20_000)]));
    let (world, server) = world(&source, &[]).await;
    wait_finished(&world).await;
    wait_size(&world, |bytes| bytes > 1 << 20).await;
    assert_eq!(run(&world, "del a").await, ":1 ");
    assert_eq!(count(&world, 1).await, 1, "its elements are not state");
    wait_size(&world, |bytes| bytes < 1 << 18).await;
    assert_eq!(count(&world, 2).await, 1);
    world.stop().await;
    server.shutdown().await;
}

/// Sends a command to table 0 of a group; reads go outside the log.
async fn on(world: &World, group: GroupId, line: &str) -> String {
    let read = ["hget ", "hlen ", "hmget ", "hgetall ", "hrandfield "];
    let is_read = read.iter().any(|name| line.starts_with(name));
    match world.send(group, &[line], is_read).await {
        FrameReply::Done(replies) => String::from_utf8_lossy(&replies[0]).replace("\r\n", " "),
        other => panic!("{line}: {other:?}"),
    }
}

/// Gives a hash of the source so many fields with this value.
async fn fill(world: &World, key: &str, fields: usize, value: &str) {
    for first in (0..fields).step_by(500) {
        let pairs = (first..fields.min(first + 500)).map(|n| format!(" f{n:05} {value}"));
        let line = format!("hset {key}{}", pairs.collect::<String>());
        on(world, SOURCE, &line).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_hash_is_read_and_written_throughout_its_move() {
    let world = World::start(&["--move-rate", "64KiB"]).await;
    fill(&world, "h", 5_000, &"x".repeat(30)).await;
    fill(&world, "i", 1_000, "i").await;
    world.begin().await;
    world.hand_off().await;
    // Both are still at the source.
    assert_eq!(on(&world, DESTINATION, "hlen h").await, ":5000 ");
    assert_eq!(on(&world, DESTINATION, "hget i f00999").await, "$1 i ");
    assert_eq!(on(&world, DESTINATION, "hget i none").await, "$-1 ");
    let all = on(&world, DESTINATION, "hgetall i").await;
    assert_eq!(all.matches(" i ").count(), 1_000);
    assert_eq!(
        on(&world, DESTINATION, "hset i new 1 f00000 2").await,
        ":1 "
    );
    assert_eq!(on(&world, DESTINATION, "hdel i f00001 none").await, ":1 ");
    assert_eq!(
        on(&world, DESTINATION, "hmget i new f00000 f00001").await,
        "*3 $1 1 $1 2 $-1 "
    );
    assert!(matches!(
        world.import_state().await,
        ImportState::Copying { .. }
    ));
    for n in 0..20 {
        let line = format!("hset h f{n:05} 1 g{n} 1");
        assert_eq!(on(&world, DESTINATION, &line).await, ":1 ");
        let line = format!("hget h f{n:05}");
        assert_eq!(on(&world, DESTINATION, &line).await, "$1 1 ");
    }
    world.wait_finished().await;
    world.drop_frozen().await;
    assert_eq!(on(&world, DESTINATION, "hlen h").await, ":5020 ");
    assert_eq!(on(&world, DESTINATION, "hlen i").await, ":1000 ");
    assert_eq!(count(&world, 1).await, 6_022);
    let all = on(&world, DESTINATION, "hgetall h").await;
    assert_eq!(all.matches(&"x".repeat(30)).count(), 4_980);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hash_that_is_rebuilt_shows_nothing_of_its_past() {
    let mut world = World::start(&[]).await;
    for round in 0..4 {
        fill(&world, "h", 2_000, &format!("round{round}")).await;
        let all = on(&world, SOURCE, "hgetall h").await;
        assert_eq!(all.matches(&format!("round{round}")).count(), 2_000);
        assert_eq!(all.matches("round").count(), 2_000, "round {round}");
        if round == 2 {
            world.stop_node().await;
            world.start_node(&[]).await;
            world.wait_leaders().await;
        }
        let gone = if round % 2 == 0 {
            "del h"
        } else {
            "set h over"
        };
        on(&world, SOURCE, gone).await;
        on(&world, SOURCE, "del h").await;
    }
    // Emptied with its interval, and made again.
    fill(&world, "h", 2_000, "old").await;
    on(&world, SOURCE, "_flush a z").await;
    fill(&world, "h", 1_000, "new").await;
    let all = on(&world, SOURCE, "hgetall h").await;
    assert_eq!(
        (all.matches("old").count(), all.matches("new").count()),
        (0, 1_000)
    );
    assert_eq!(count_of(&world, SOURCE, 1).await, 1_001);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_fields_are_swept() {
    let world = World::start(&[]).await;
    fill(&world, "h", 2_000, "value").await;
    assert_eq!(count_of(&world, SOURCE, 1).await, 2_001);
    let fields: String = (0..1_500).map(|n| format!(" f{n:05}")).collect();
    let line = format!("hpexpire h 1 fields 1500{fields}");
    on(&world, SOURCE, &line).await;
    for nonce in 2..600 {
        let left = count_of(&world, SOURCE, nonce).await;
        if left < 1_000 {
            assert_eq!(on(&world, SOURCE, "hlen h").await, ":500 ");
            return world.stop().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not swept");
}

/// Waits until the destination has so much on disk.
async fn wait_size(world: &World, is_so: impl Fn(u64) -> bool) {
    for _ in 0..600 {
        if is_so(world.status(DESTINATION).await.size_bytes) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} bytes", world.status(DESTINATION).await.size_bytes);
}
