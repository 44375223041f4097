//! Scripts at a node: run by its leader, busy, ended from outside, and read-only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    unreachable_pub,
    reason = "the common module is shared by several tests"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::{SOURCE, World};
use coterie_meta_client::MetaClient;
use coterie_protocol::meta::Command;
use coterie_protocol::objects::{ObjectChange, ObjectKind, ObjectName};
use coterie_protocol::scripts::KilledScripts;
use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_protocol::{
    Frame, FrameCommand, FrameFlags, FrameReply, Refusal, decode, encode, method,
};
use coterie_types::{FrameSeq, SessionId, TableId};

const FOREVER: &str = "while true do end";

fn frame(seq: u64, commands: &[&[&str]], flags: FrameFlags) -> Bytes {
    plain_frame(seq, commands, flags.with(FrameFlags::SCRIPTS))
}

/// A frame whose proxy knows that no command of it runs a script.
fn plain_frame(seq: u64, commands: &[&[&str]], flags: FrameFlags) -> Bytes {
    let command = |words: &&[&str]| FrameCommand {
        table: TableId(0),
        args: words
            .iter()
            .map(|word| Bytes::copy_from_slice(word.as_bytes()))
            .collect(),
    };
    let frame = Frame {
        flags,
        session: SessionId(70 + u64::from(flags.has(FrameFlags::READ_ONLY))),
        seq: FrameSeq(seq),
        acknowledged_below: FrameSeq(1),
        reply_room: None,
        wait: None,
        tracker: None,
        watches: vec![],
        commands: commands.iter().map(command).collect(),
    };
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    bytes.freeze()
}

impl World {
    async fn sends(&self, frame: &Bytes) -> FrameReply {
        for _ in 0..1000 {
            match self.send_bytes(SOURCE, frame).await {
                FrameReply::Refused(
                    Refusal::Moving | Refusal::NotLeader { .. } | Refusal::Overloaded,
                ) => tokio::time::sleep(Duration::from_millis(10)).await,
                reply => return reply,
            }
        }
        panic!("a frame is not answered");
    }

    async fn script(&self, seq: u64, commands: &[&[&str]]) -> String {
        text(
            &self
                .sends(&frame(seq, commands, FrameFlags::default()))
                .await,
        )
    }

    async fn admin(&self, request: ServerRequest) -> ServerAnswer {
        let body = encode(&request);
        decode(&self.call(method::SERVER_ADMIN, body).await).unwrap()
    }

    /// Sets how long scripts may run until they are busy, and waits until the node knows it.
    async fn set_threshold(&self, millis: u64) {
        let meta = MetaClient::new(self.rpc.clone(), vec![self.meta_addr.clone()]);
        let name = ObjectName::new(ObjectKind::Config, &b"busy-reply-threshold"[..]);
        let put = ObjectChange::Put(name, Bytes::from(millis.to_string()));
        let command = Command::PutObjects {
            expected: vec![],
            changes: vec![put],
        };
        meta.propose(command, common::LONG).await.unwrap();
    }

    /// Ends what is busy, as soon as it is.
    async fn kill(&self, functions: bool) {
        for _ in 0..1000 {
            let answer = self.admin(ServerRequest::KillScripts { functions }).await;
            match answer {
                ServerAnswer::KilledScripts(KilledScripts { killed: 1.., .. }) => return,
                ServerAnswer::KilledScripts(_) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                other => panic!("{other:?}"),
            }
        }
        panic!("nothing was busy");
    }
}

fn text(reply: &FrameReply) -> String {
    match reply {
        FrameReply::Done(replies) => {
            String::from_utf8_lossy(&replies.concat()).replace("\r\n", " ")
        }
        other => format!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn scripts_run_once_at_the_leader_and_many_at_a_time() {
    let world = Arc::new(World::start(&[]).await);
    let script = "local n = redis.call('incr', KEYS[1]) \
                  redis.call('rpush', KEYS[2], ARGV[1]) return n";
    let clients: Vec<_> = (0..20)
        .map(|client| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                for at in 0..10 {
                    let seq = 1 + client * 10 + at;
                    let element = seq.to_string();
                    let line: &[&str] = &["eval", script, "2", "n", "l", &element];
                    let reply = world.script(seq, &[line]).await;
                    assert!(reply.starts_with(':'), "{reply}");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let reply = world.script(
        500,
        &[&["get", "n"], &["llen", "l"], &["eval", "return 1", "0"]],
    );
    assert_eq!(reply.await, "$3 200 :200 :1 ");
    // A copy of an early frame gets its answer, and runs nothing.
    let line: &[&str] = &["eval", script, "2", "n", "l", "1"];
    assert!(world.script(1, &[line]).await.starts_with(':'));
    assert_eq!(
        world
            .script(501, &[&["eval", "return redis.call('get', 'n')", "0"]])
            .await,
        "$3 200 "
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_busy_script_is_told_to_others_and_is_ended_without_a_trace() {
    let world = Arc::new(World::start(&[]).await);
    assert_eq!(world.script(1, &[&["eval", "return 1", "0"]]).await, ":1 ");
    world.set_threshold(50).await;
    let script = format!("redis.call('set', 'k', 'x') {FOREVER}");
    let busy = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.script(2, &[&["eval", &script, "0"]]).await }
    });
    // Others are refused, once it is busy.
    let mut seq = 10;
    loop {
        seq += 1;
        let other = plain_frame(seq, &[&["set", "other", "1"]], FrameFlags::default());
        match world.sends(&other).await {
            FrameReply::Refused(Refusal::Busy { function: false }) => break,
            FrameReply::Done(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            other => panic!("{other:?}"),
        }
    }
    // Reads see the state before it.
    let read = frame(0, &[&["get", "k"]], FrameFlags::READ_ONLY);
    assert_eq!(text(&world.sends(&read).await), "$-1 ");
    let functions = world
        .admin(ServerRequest::KillScripts { functions: true })
        .await;
    let others = KilledScripts {
        killed: 0,
        others: 1,
    };
    assert_eq!(functions, ServerAnswer::KilledScripts(others));
    let ServerAnswer::BusyScripts(running) = world.admin(ServerRequest::BusyScripts).await else {
        panic!("another answer")
    };
    assert_eq!((running.len(), running[0].is_function), (1, false));
    world.kill(false).await;
    let reply = busy.await.unwrap();
    assert!(reply.contains("killed by user with SCRIPT KILL"), "{reply}");
    assert_eq!(
        world
            .script(3, &[&["eval", "return redis.call('exists', 'k')", "0"]])
            .await,
        ":0 "
    );
    let none = ServerAnswer::KilledScripts(KilledScripts::default());
    assert_eq!(
        world
            .admin(ServerRequest::KillScripts { functions: false })
            .await,
        none
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reads_run_scripts_that_only_read_and_they_can_be_ended() {
    let world = Arc::new(World::start(&[]).await);
    world
        .script(1, &[&["set", "k", "v"], &["eval", "return 1", "0"]])
        .await;
    let read = |line: &[&str]| frame(0, &[line], FrameFlags::READ_ONLY);
    let get = read(&["eval_ro", "return redis.call('get', KEYS[1])", "1", "k"]);
    assert_eq!(text(&world.sends(&get).await), "$1 v ");
    let set = read(&["eval_ro", "return redis.call('set', KEYS[1], 1)", "1", "k"]);
    let reply = text(&world.sends(&set).await);
    assert!(
        reply.contains("Write commands are not allowed from read-only"),
        "{reply}"
    );
    world.set_threshold(50).await;
    let busy = tokio::spawn({
        let (world, forever) = (Arc::clone(&world), read(&["eval_ro", FOREVER, "0"]));
        async move { text(&world.sends(&forever).await) }
    });
    world.kill(false).await;
    let reply = busy.await.unwrap();
    assert!(reply.contains("killed by user with SCRIPT KILL"), "{reply}");
    assert_eq!(world.script(2, &[&["eval", "return 2", "0"]]).await, ":2 ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn functions_come_with_their_libraries_and_newer_code_replaces_older() {
    let world = World::start(&[]).await;
    let library = |name: &str, function: &str, value: u64| {
        format!(
            "#!lua name={name}\n\
             redis.register_function('{function}', function(keys, args) return {value} end)"
        )
    };
    let call = |function: &'static str, code: String| {
        vec![
            "_fcall".to_owned(),
            function.to_owned(),
            "0".to_owned(),
            code,
        ]
    };
    for (seq, (words, reply)) in (1..).zip([
        (call("f", library("a", "f", 1)), ":1 "),
        (call("f", library("a", "f", 2)), ":2 "),
        (call("F", library("a", "f", 2)), ":2 "),
        (call("g", library("b", "g", 3)), ":3 "),
        // The function has moved to another library.
        (call("f", library("b", "f", 4)), ":4 "),
        (
            call("nope", library("b", "f", 4)),
            "-ERR Function not found ",
        ),
    ]) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(world.script(seq, &[&words]).await, reply, "{words:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_script_whose_caller_has_left_is_ended() {
    let world = Arc::new(World::start(&[]).await);
    assert_eq!(world.script(1, &[&["eval", "return 1", "0"]]).await, ":1 ");
    let forever = frame(2, &[&["eval", FOREVER, "0"]], FrameFlags::default());
    let caller = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.sends(&forever).await }
    });
    world.set_threshold(20).await;
    // It runs.
    for at in 0.. {
        assert!(at < 1000, "it does not run");
        match world.admin(ServerRequest::BusyScripts).await {
            ServerAnswer::BusyScripts(running) if running.len() == 1 => break,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    caller.abort();
    // The group goes on.
    let mut seq = 10;
    loop {
        seq += 1;
        match world
            .script(seq, &[&["eval", "return 3", "0"]])
            .await
            .as_str()
        {
            ":3 " => break,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        assert!(seq < 3000, "the script runs on");
    }
}
