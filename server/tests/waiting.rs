//! Frames that wait for data at a node: served, withdrawn, given back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    unreachable_pub,
    reason = "the common module is shared by several tests"
)]

mod common;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::{DESTINATION, SOURCE, World};
use coterie_protocol::waits::{WaitAnswer, WaitNews, WaitPoll};
use coterie_protocol::{
    Frame, FrameCommand, FrameFlags, FrameReply, Refusal, Stage, Wait, decode, encode, method,
};
use coterie_types::{FrameSeq, GroupId, SessionId, TableId};

const WAITS: SessionId = SessionId(99);
const LINK: u64 = 5;

fn frame(seq: u64, line: &str, stage: Stage, link: u64, waited_ms: u64) -> Bytes {
    let words = line.split(' ');
    let frame = Frame {
        flags: FrameFlags::default(),
        session: WAITS,
        seq: FrameSeq(seq),
        acknowledged_below: FrameSeq(1),
        reply_room: None,
        tracker: None,
        wait: Some(Wait {
            stage,
            link,
            waited_ms,
        }),
        watches: vec![],
        commands: vec![FrameCommand {
            table: TableId(0),
            args: words
                .map(|word| Bytes::copy_from_slice(word.as_bytes()))
                .collect(),
        }],
    };
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    bytes.freeze()
}

impl World {
    /// Sends a frame that may wait, until a leader takes it.
    async fn wait(&self, group: GroupId, seq: u64, line: &str, stage: Stage) -> FrameReply {
        let frame = frame(seq, line, stage, LINK, 0);
        for _ in 0..1000 {
            match self.send_bytes(group, &frame).await {
                FrameReply::Refused(Refusal::Moving | Refusal::NotLeader { .. }) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                reply => return reply,
            }
        }
        panic!("{line} is not answered");
    }

    async fn waits(&self, seq: u64, line: &str) -> u64 {
        match self.wait(SOURCE, seq, line, Stage::First).await {
            FrameReply::Waits { epoch } => epoch,
            reply => panic!("{line}: {reply:?}"),
        }
    }

    async fn question(&self, link: u64) -> WaitNews {
        let body = encode(&WaitPoll { link });
        decode(&self.call(method::WAIT_NEWS, body).await).unwrap()
    }

    /// Asks until there are answers.
    async fn news(&self) -> Vec<WaitAnswer> {
        for _ in 0..200 {
            let news = self.question(LINK).await;
            if !news.answers.is_empty() {
                return news.answers;
            }
        }
        panic!("no answer came");
    }

    /// Asks until `count` answers have come.
    async fn answers(&self, count: usize) -> Vec<(u64, String)> {
        let mut answers = Vec::new();
        while answers.len() < count {
            answers.extend(self.news().await.into_iter().map(text));
        }
        answers
    }
}

fn text(answer: WaitAnswer) -> (u64, String) {
    let text = match answer
        .answer
        .map(|bytes| FrameReply::decode(bytes).unwrap())
    {
        None => "again".to_owned(),
        Some(FrameReply::Done(replies)) => {
            String::from_utf8_lossy(&replies[0]).replace("\r\n", " ")
        }
        Some(other) => panic!("{other:?}"),
    };
    (answer.seq.0, text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_wait_are_served_over_their_link() {
    let world = World::start(&[]).await;
    let epoch = world.waits(1, "blpop k 0").await;
    assert_eq!(world.waits(2, "blpop k l 0").await, epoch);
    assert_eq!(
        world.question(LINK).await,
        WaitNews {
            epoch,
            answers: vec![]
        }
    );
    assert_eq!(world.run(SOURCE, "rpush k x y").await, ":2 ");
    let mut served = world.answers(2).await;
    served.sort();
    let expected = [(1, "*2 $1 k $1 x "), (2, "*2 $1 k $1 y ")];
    assert_eq!(served, expected.map(|(seq, text)| (seq, text.to_owned())));
    // The group's log remembers the answer.
    let again = world.wait(SOURCE, 1, "blpop k 0", Stage::Waited).await;
    let remembered = Bytes::from_static(b"*2\r\n$1\r\nk\r\n$1\r\nx\r\n");
    assert_eq!(again, FrameReply::Done(vec![remembered]));
    // With data there is nothing to wait for.
    world.run(SOURCE, "rpush k z").await;
    let at_once = world.wait(SOURCE, 3, "blpop k 0", Stage::First).await;
    assert!(matches!(at_once, FrameReply::Done(_)), "{at_once:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waited_longest_is_served_first_whenever_it_came() {
    let world = World::start(&[]).await;
    world.waits(1, "blpop k 0").await;
    let earlier = frame(2, "blpop k 0", Stage::Waited, LINK, 3_600_000);
    let reply = world.send_bytes(SOURCE, &earlier).await;
    assert!(matches!(reply, FrameReply::Waits { .. }), "{reply:?}");
    assert_eq!(world.run(SOURCE, "rpush k x").await, ":1 ");
    assert_eq!(world.answers(1).await, [(2, "*2 $1 k $1 x ".to_owned())]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_frame_is_not_served() {
    let world = World::start(&[]).await;
    world.waits(1, "blpop k 0").await;
    let withdrawn = world.wait(SOURCE, 1, "blpop k 0", Stage::Withdrawn).await;
    assert_eq!(withdrawn, FrameReply::Done(vec![]));
    assert_eq!(world.run(SOURCE, "rpush k x").await, ":1 ");
    assert_eq!(world.run(SOURCE, "llen k").await, ":1 ");
    let late = world.wait(SOURCE, 1, "blpop k 0", Stage::Waited).await;
    assert_eq!(late, FrameReply::Done(vec![]), "its number is answered");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_a_link_that_asks_no_more_are_forgotten() {
    let world = World::start(&[]).await;
    let epoch = world.waits(1, "blpop k 0").await;
    // No question comes for some seconds. Nothing is taken for a proxy that is gone.
    let mut news = None;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let other = frame(2, "blpop other 0", Stage::First, LINK, 0);
        let FrameReply::Waits { epoch: now } = world.send_bytes(SOURCE, &other).await else {
            panic!("it waits");
        };
        if now != epoch {
            news = Some(now);
            break;
        }
    }
    assert!(news.is_some(), "the link has begun anew");
    assert_eq!(world.run(SOURCE, "rpush k x").await, ":1 ");
    assert_eq!(world.run(SOURCE, "llen k").await, ":1 ");
    assert_ne!(world.question(LINK).await.epoch, epoch);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_are_given_back_when_their_range_leaves() {
    let world = World::start(&[]).await;
    world.waits(1, "blpop k 0").await;
    world.begin().await;
    world.hand_off().await;
    assert_eq!(world.answers(1).await, [(1, "again".to_owned())]);
    let refused = world.wait(SOURCE, 1, "blpop k 0", Stage::Waited).await;
    assert!(
        matches!(refused, FrameReply::Refused(Refusal::Moved { .. })),
        "{refused:?}"
    );
    // At the new owner it waits, and is served, while the range arrives and after it.
    let waits = world.wait(DESTINATION, 1, "blpop k 0", Stage::Waited).await;
    assert!(matches!(waits, FrameReply::Waits { .. }), "{waits:?}");
    world.wait_finished().await;
    assert_eq!(world.run(DESTINATION, "rpush k x").await, ":1 ");
    assert_eq!(world.answers(1).await, [(1, "*2 $1 k $1 x ".to_owned())]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_restarts_knows_no_link() {
    let mut world = World::start(&[]).await;
    let epoch = world.waits(1, "blpop k 0").await;
    world.stop_node().await;
    world.start_node(&[]).await;
    world.wait_leaders().await;
    assert_ne!(world.question(LINK).await.epoch, epoch);
    world.waits(1, "blpop k 0").await;
    assert_eq!(world.run(SOURCE, "rpush k x").await, ":1 ");
    assert_eq!(world.answers(1).await, [(1, "*2 $1 k $1 x ".to_owned())]);
    world.stop().await;
}
