//! Scripts whose replies must be those of a real Redis, byte for byte, in RESP2 and RESP3.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::real::{Connection, Forward, Server};
use coterie_lua::{Call, Engine, Limits, Resp, Script, sha1_hex};

/// A real Redis and our engine, over the same data.
struct Pair {
    _server: Server,
    engine: Engine,
    host: Forward,
    /// Clients of Redis: RESP2, RESP3.
    clients: [Connection; 2],
}

impl Pair {
    fn start() -> Option<Self> {
        let mut server = Server::start()?;
        let mut connect = |resp| server.connect(resp);
        let host = Forward {
            two: connect(Resp::V2),
            three: connect(Resp::V3),
        };
        let clients = [connect(Resp::V2), connect(Resp::V3)];
        let engine = Engine::new(Limits::default());
        Some(Self {
            _server: server,
            engine,
            host,
            clients,
        })
    }

    /// Redis' reply and ours.
    fn replies(&mut self, text: &[u8], args: &[Bytes], resp: Resp) -> (String, String) {
        let body = Bytes::copy_from_slice(text);
        let client = &mut self.clients[usize::from(resp == Resp::V3)];
        client.run(&["FLUSHALL".into()]);
        let mut command = vec!["EVAL".into(), body.clone(), "0".into()];
        command.extend_from_slice(args);
        let theirs = client.run(&command);
        client.run(&["FLUSHALL".into()]);
        let call = Call {
            keys: &[],
            args,
            resp,
        };
        let ours = match self.engine.run(&Script::new(body), call, &mut self.host) {
            Ok(reply) => reply,
            Err(error) => Bytes::from(format!("-{}\r\n", error.line())),
        };
        let show = |reply: &[u8]| reply.escape_ascii().to_string();
        (show(&theirs), show(&ours))
    }

    /// Compares in both protocols; the differences as text.
    fn compare(&mut self, text: &[u8], args: &[Bytes]) -> String {
        let mut differences = String::new();
        for resp in [Resp::V2, Resp::V3] {
            let (theirs, ours) = self.replies(text, args, resp);
            if theirs != ours {
                let text = text.escape_ascii();
                differences +=
                    &format!("{text}  {args:?} {resp:?}\n  redis: {theirs}\n  ours:  {ours}\n");
            }
        }
        differences
    }
}

#[test]
fn scripts_of_a_file_are_answered_as_by_redis() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let mut differences = String::new();
    for line in include_str!("scripts.txt")
        .lines()
        .filter(|line| !line.starts_with("--"))
    {
        differences += &pair.compare(line.as_bytes(), &["one".into(), "2".into()]);
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn a_sha1_is_that_of_redis() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    for text in ["return 1", "", "return {1,2,3}"] {
        let loaded = pair.clients[0].run(&["SCRIPT".into(), "LOAD".into(), text.into()]);
        assert_eq!(loaded, format!("$40\r\n{}\r\n", sha1_hex(text.as_bytes())));
    }
}
