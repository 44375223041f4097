//! Client-side caching at a node: proxies are told of changes of the keys that were read for them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    unreachable_pub,
    reason = "the common module is shared by several tests"
)]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::{DESTINATION, SOURCE, World};
use coterie_protocol::news::{News, NewsAnswer, NewsPoll};
use coterie_protocol::tracking::{Invalidation, TrackAnswer, TrackPrefixes};
use coterie_protocol::{
    Frame, FrameCommand, FrameFlags, FrameReply, Refusal, Tracker, decode, encode, method,
};
use coterie_types::{FrameSeq, GroupId, SessionId, TableId};

const LINK: u64 = 5;
const CLIENT: u64 = 7;
const READS: Tracker = Tracker {
    link: LINK,
    client: CLIENT,
    reads: true,
    writes: false,
};
const WRITES: Tracker = Tracker {
    reads: false,
    writes: true,
    ..READS
};

/// A proxy's link to the node.
struct Proxy<'w> {
    world: &'w World,
    epoch: u64,
}

static SEQ: AtomicU64 = AtomicU64::new(1);

fn frame(tracker: Option<Tracker>, lines: &[&str], is_read: bool) -> Bytes {
    let command = |line: &&str| FrameCommand {
        table: TableId(0),
        args: line
            .split(' ')
            .map(|word| Bytes::copy_from_slice(word.as_bytes()))
            .collect(),
    };
    let (flags, seq) = if is_read {
        (FrameFlags::READ_ONLY, 0)
    } else {
        (FrameFlags::default(), SEQ.fetch_add(1, Ordering::Relaxed))
    };
    let frame = Frame {
        flags,
        session: SessionId(77),
        seq: FrameSeq(seq),
        acknowledged_below: FrameSeq(1),
        reply_room: None,
        wait: None,
        tracker,
        watches: vec![],
        commands: lines.iter().map(command).collect(),
    };
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    bytes.freeze()
}

impl<'w> Proxy<'w> {
    async fn begin(world: &'w World) -> Self {
        let mut proxy = Self { world, epoch: 0 };
        proxy.epoch = proxy.ask().await.epoch;
        proxy
    }

    async fn ask(&self) -> NewsAnswer {
        let poll = NewsPoll {
            link: LINK,
            epoch: self.epoch,
        };
        decode(&self.world.call(method::NEWS, encode(&poll)).await).unwrap()
    }

    /// Asks until there is news; keys by name, with the client that changed them alone.
    async fn news(&self) -> Vec<String> {
        for _ in 0..50 {
            let answer = self.ask().await;
            assert_eq!(answer.epoch, self.epoch);
            if !answer.news.is_empty() {
                return answer.news.iter().map(text).collect();
            }
        }
        panic!("no news came");
    }

    /// All news up to those of the key `end`, which is read and then written.
    async fn news_until_end(&self) -> Vec<String> {
        self.read("get end").await;
        self.write("set end x").await;
        let mut all: Vec<String> = Vec::new();
        while all.last().is_none_or(|last| last != "changed end") {
            all.extend(self.news().await);
        }
        all.pop();
        all
    }

    async fn send(&self, group: GroupId, frame: Bytes) -> FrameReply {
        for _ in 0..1000 {
            match self.world.send_bytes(group, &frame).await {
                FrameReply::Refused(Refusal::Moving | Refusal::NotLeader { .. }) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                reply => return reply,
            }
        }
        panic!("not answered");
    }

    async fn run(&self, frame: Bytes) -> String {
        match self.send(SOURCE, frame).await {
            FrameReply::Done(replies) => {
                String::from_utf8_lossy(&replies.concat()).replace("\r\n", " ")
            }
            other => panic!("{other:?}"),
        }
    }

    async fn read(&self, line: &str) -> String {
        self.run(frame(Some(READS), &[line], true)).await
    }

    async fn write(&self, line: &str) {
        self.run(frame(None, &[line], false)).await;
    }

    async fn name(&self, prefixes: &[&'static str]) -> TrackAnswer {
        let request = TrackPrefixes {
            link: LINK,
            epoch: self.epoch,
            prefixes: prefixes.iter().map(|prefix| Bytes::from(*prefix)).collect(),
        };
        let answer = self.world.call(method::TRACK_PREFIXES, encode(&request));
        decode(&answer.await).unwrap()
    }
}

fn text(news: &Bytes) -> String {
    let name = |key: &Bytes| String::from_utf8_lossy(key).into_owned();
    match decode::<News>(news).unwrap() {
        News::Invalidation(Invalidation::All) => "all".to_owned(),
        News::Invalidation(Invalidation::Forgotten(keys)) => {
            let keys: Vec<String> = keys.iter().map(|(_, key)| name(key)).collect();
            format!("forgotten {}", keys.join(" "))
        }
        News::Invalidation(Invalidation::Changed(keys)) => {
            let keys = keys.iter().map(|changed| match changed.by {
                Some(by) => format!("{} by {by}", name(&changed.key)),
                None => name(&changed.key),
            });
            format!("changed {}", keys.collect::<Vec<_>>().join(" "))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_a_key_that_was_read_is_told_once() {
    let world = World::start(&[]).await;
    let proxy = Proxy::begin(&world).await;
    proxy.write("mset a 1 b 2 c 3").await;
    assert_eq!(proxy.read("mget a absent").await, "*2 $1 1 $-1 ");
    world.run(SOURCE, "get b").await;
    for line in ["set b x", "set a x", "set a y", "set absent x", "del c"] {
        proxy.write(line).await;
    }
    assert_eq!(
        proxy.news_until_end().await,
        ["changed a", "changed absent"]
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_change_a_key_is_told() {
    let world = World::start(&[]).await;
    let proxy = Proxy::begin(&world).await;
    for (before, reads, changes, told) in [
        ("set k v", "get k", "del k", "k"),
        ("set k v", "get k", "expire k 100", "k"),
        ("set k v", "get k", "rename k other", "k"),
        ("set src v", "get dst", "copy src dst", "dst"),
        ("rpush list a b", "lrange list 0 -1", "lpop list", "list"),
        ("hset hash f v", "hget hash f", "hdel hash f", "hash"),
        ("set k v", "get k", "getdel k", "k"),
        ("sadd set a", "scard set", "sadd set b", "set"),
        ("set k v", "get k", "set k v", "k"),
    ] {
        proxy.write(before).await;
        proxy.read(reads).await;
        proxy.write(changes).await;
        assert_eq!(proxy.news().await, [format!("changed {told}")], "{changes}");
    }
    // These change nothing.
    proxy.write("set k v").await;
    proxy.read("get k").await;
    for line in ["setnx k x", "getex k", "del none", "persist k"] {
        proxy.write(line).await;
    }
    assert_eq!(proxy.news_until_end().await, [""; 0]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_goes_through_the_log_is_tracked_from_its_entry_on() {
    let world = World::start(&[]).await;
    let proxy = Proxy::begin(&world).await;
    let both = frame(Some(READS), &["set other x", "get k"], false);
    assert_eq!(proxy.run(both).await, "+OK $-1 ");
    proxy.write("set other y").await;
    proxy.write("set k x").await;
    assert_eq!(proxy.news_until_end().await, ["changed k"]);
    // Whatever the order in the frame, the client hears of the change behind the value.
    let both = frame(Some(READS), &["set k z", "get k"], false);
    proxy.run(both).await;
    assert_eq!(proxy.news_until_end().await, ["changed k"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_alone_has_changed_a_key_is_told() {
    let world = World::start(&[]).await;
    let proxy = Proxy::begin(&world).await;
    proxy.read("mget a b").await;
    proxy.run(frame(Some(WRITES), &["set a x"], false)).await;
    proxy.write("set b x").await;
    let told = proxy.news_until_end().await;
    assert_eq!(told, ["changed a by 7", "changed b"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_expire_or_are_flushed_are_told() {
    let world = World::start(&[]).await;
    let proxy = Proxy::begin(&world).await;
    proxy.write("set k v px 1").await;
    proxy.read("get k").await;
    assert_eq!(proxy.news().await, ["changed k"]);
    proxy.read("mget a b").await;
    let flush = [&b"_flush"[..], b"", b""];
    let mut bytes = BytesMut::new();
    Frame {
        flags: FrameFlags::default(),
        session: SessionId(77),
        seq: FrameSeq(SEQ.fetch_add(1, Ordering::Relaxed)),
        acknowledged_below: FrameSeq(1),
        reply_room: None,
        wait: None,
        tracker: None,
        watches: vec![],
        commands: vec![FrameCommand {
            table: TableId(0),
            args: flush.map(Bytes::from_static).to_vec(),
        }],
    }
    .encode(&mut bytes);
    proxy.run(bytes.freeze()).await;
    proxy.write("mset a 1 b 1").await;
    assert_eq!(proxy.news_until_end().await, ["all"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_a_range_that_leaves_are_forgotten() {
    let world = World::start(&[]).await;
    let proxy = Proxy::begin(&world).await;
    for n in 0..20 {
        proxy.write(&format!("set key{n} v")).await;
    }
    proxy.read("mget key0 absent").await;
    assert_eq!(proxy.name(&[""]).await, TrackAnswer::Done);
    world.begin().await;
    world.hand_off().await;
    assert_eq!(proxy.news().await, ["forgotten absent key0"]);
    world.wait_finished().await;
    // Records that arrive are not changes. Those that come behind are, once the destination, which
    // had nothing to tell before, has said so.
    let mut told: Vec<String> = Vec::new();
    while told.iter().all(|news| news == "all") {
        let set = frame(None, &["set key1 x"], false);
        let set = proxy.send(DESTINATION, set).await;
        assert!(matches!(set, FrameReply::Done(_)));
        told.extend(proxy.news().await);
    }
    told.retain(|news| news != "all");
    assert_eq!(told, ["changed key1"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_with_a_prefix_are_told_without_being_read() {
    let world = World::start(&[]).await;
    let mut proxy = Proxy::begin(&world).await;
    let epoch = std::mem::replace(&mut proxy.epoch, 1);
    assert_eq!(proxy.name(&["a"]).await, TrackAnswer::OtherEpoch);
    proxy.epoch = epoch;
    assert_eq!(proxy.name(&["user:", "x"]).await, TrackAnswer::Done);
    let written = "mset user:1 v user v x v y v user:2 v";
    proxy.write(written).await;
    let mut told = proxy.news().await;
    while told.iter().all(|news| news == "all") {
        // The table of this term has begun.
        proxy.write(written).await;
        told = proxy.news().await;
    }
    told.retain(|news| news != "all");
    assert_eq!(told, ["changed user:1 user:2 x"]);
    assert_eq!(proxy.name(&[]).await, TrackAnswer::Done);
    proxy.write(written).await;
    assert_eq!(proxy.news_until_end().await, [""; 0]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_the_node_does_not_know_reads_nothing() {
    let mut world = World::start(&[]).await;
    let read = || frame(Some(READS), &["get k"], true);
    let refused = FrameReply::Refused(Refusal::Overloaded);
    {
        let proxy = Proxy {
            world: &world,
            epoch: 0,
        };
        assert_eq!(proxy.send(SOURCE, read()).await, refused);
    }
    let epoch = {
        let proxy = Proxy::begin(&world).await;
        proxy.read("get k").await;
        proxy.epoch
    };
    world.stop_node().await;
    world.start_node(&[]).await;
    world.wait_leaders().await;
    let proxy = Proxy {
        world: &world,
        epoch,
    };
    assert_eq!(proxy.send(SOURCE, read()).await, refused);
    assert_ne!(proxy.ask().await.epoch, epoch);
    world.stop().await;
}
