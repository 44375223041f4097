//! A real Redis beside our engine.

use bytes::Bytes;
use coterie_lua::{Call, Engine, Limits, Resp, Script};

use super::real::{Connection, Forward, Server};

/// A real Redis and our engine, over the same data.
pub(crate) struct Pair {
    _server: Server,
    pub(crate) engine: Engine,
    pub(crate) host: Forward,
    /// Clients of Redis: RESP2, RESP3.
    pub(crate) clients: [Connection; 2],
}

impl Pair {
    pub(crate) fn start() -> Option<Self> {
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
    pub(crate) fn compare(&mut self, text: &[u8], args: &[Bytes]) -> String {
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
