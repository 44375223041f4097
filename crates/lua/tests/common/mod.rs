//! Shared by the tests: hosts, and a real Redis to compare with.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod real;

use std::collections::VecDeque;

use bytes::Bytes;
use coterie_lua::{
    Call, Engine, Host, Level, Limits, Resp, Script, ScriptError, Stop, UnknownCommand,
};

/// A host that answers each command with the next of some replies, and remembers what it was asked.
#[derive(Default)]
pub(crate) struct Scripted {
    /// The replies still to give; without any, `+OK`.
    pub(crate) replies: VecDeque<Bytes>,
    /// The commands asked, their arguments joined by blanks.
    pub(crate) commands: Vec<String>,
    /// The lines logged.
    pub(crate) lines: Vec<(Level, String)>,
    /// The questions after which the script is stopped.
    pub(crate) stop: Option<(usize, Stop)>,
    /// The questions asked so far.
    pub(crate) questions: usize,
}

impl Scripted {
    pub(crate) fn with(replies: &[&str]) -> Self {
        let replies = replies
            .iter()
            .map(|reply| Bytes::copy_from_slice(reply.as_bytes()));
        Self {
            replies: replies.collect(),
            ..Self::default()
        }
    }
}

impl Host for Scripted {
    fn call(&mut self, args: Vec<Bytes>, _resp: Resp) -> Bytes {
        let words: Vec<_> = args
            .iter()
            .map(|arg| String::from_utf8_lossy(arg))
            .collect();
        self.commands.push(words.join(" "));
        self.replies
            .pop_front()
            .unwrap_or_else(|| Bytes::from_static(b"+OK\r\n"))
    }

    fn log(&mut self, level: Level, text: &[u8]) {
        self.lines
            .push((level, String::from_utf8_lossy(text).into_owned()));
    }

    fn acl_check(&mut self, args: &[Bytes]) -> Result<bool, UnknownCommand> {
        match args[0].as_ref() {
            b"get" => Ok(true),
            b"set" => Ok(false),
            _ => Err(UnknownCommand),
        }
    }

    fn may_go_on(&mut self) -> Result<(), Stop> {
        self.questions += 1;
        match &self.stop {
            Some((after, stop)) if self.questions > *after => Err(stop.clone()),
            _ => Ok(()),
        }
    }
}

/// An engine with small limits.
pub(crate) fn engine() -> Engine {
    Engine::new(Limits {
        memory: 16 << 20,
        instructions: 1_000,
        ..Limits::default()
    })
}

/// Runs a text without keys and arguments.
pub(crate) fn run(engine: &mut Engine, text: &str) -> Result<String, ScriptError> {
    run_with(engine, text, &mut Scripted::default())
}

/// Runs a text with a host.
pub(crate) fn run_with(
    engine: &mut Engine,
    text: &str,
    host: &mut dyn Host,
) -> Result<String, ScriptError> {
    let script = Script::new(Bytes::copy_from_slice(text.as_bytes()));
    let reply = engine.run(&script, call(&[], Resp::V2), host)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

/// The error line of a text that fails, without the place.
pub(crate) fn fails(engine: &mut Engine, text: &str) -> String {
    let line = match run(engine, text) {
        Ok(reply) => panic!("{text}: no error but {reply:?}"),
        Err(error) => error.line(),
    };
    line.split(" script: ").next().unwrap().to_owned()
}

/// A call with arguments only.
pub(crate) fn call(args: &[Bytes], resp: Resp) -> Call<'_> {
    Call {
        keys: &[],
        args,
        resp,
    }
}

/// The reply of a text that succeeds in RESP2, as one line: line ends are shown as `|`.
pub(crate) fn shows(engine: &mut Engine, text: &str) -> String {
    let reply = run(engine, text).unwrap_or_else(|error| panic!("{text}: {error}"));
    reply.trim_end().replace("\r\n", "|")
}
