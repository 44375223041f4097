//! A store of ours and a real Redis: the same commands to both.
//!
//! A run is a seed: `DIFFERENTIAL_SEED=n` repeats a run, `DIFFERENTIAL_RUNS=n` makes n other runs.

#![allow(
    clippy::disallowed_methods,
    reason = "the real server reads the real clock"
)]

use std::ops::Range;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use coterie_redis_compat::Resp;

use super::real::{Connection, Server};
use super::{Store, words};

/// How many commands a failure shows.
const SHOWN: usize = 60;

/// A number of the environment.
pub(crate) fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// The seeds of this call: `runs` of them unless the environment says otherwise.
fn seeds(runs: u64) -> Range<u64> {
    match (setting("DIFFERENTIAL_SEED"), setting("DIFFERENTIAL_RUNS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, None) => 0..runs,
        (None, Some(runs)) => {
            let first = UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
            first..first + runs
        }
    }
}

/// Makes a run of each seed, and prints how many commands were compared. Returns whether there was
/// a server to compare with.
pub(crate) fn each_seed(runs: u64, mut run: impl FnMut(u64, &mut Connection)) -> bool {
    let Some(mut server) = Server::start() else {
        return false;
    };
    let mut real = server.connect();
    for seed in seeds(runs) {
        run(seed, &mut real);
    }
    eprintln!("{} commands to redis-server", real.commands);
    true
}

/// The milliseconds of the wall clock.
pub(crate) fn now() -> u64 {
    UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

/// The servers of a run, both empty, and the commands that they got.
pub(crate) struct Both<'a> {
    pub(crate) real: &'a mut Connection,
    pub(crate) ours: Store,
    pub(crate) resp: Resp,
    seed: u64,
    pub(crate) log: Vec<String>,
}

impl<'a> Both<'a> {
    /// Half of the seeds speak RESP3.
    pub(crate) fn new(real: &'a mut Connection, seed: u64) -> Self {
        let (resp, hello) = match seed % 2 {
            0 => (Resp::V2, "hello 2"),
            _ => (Resp::V3, "hello 3"),
        };
        real.run(&words(hello));
        real.run(&words("flushall"));
        Self {
            real,
            ours: Store::default(),
            resp,
            seed,
            log: Vec::new(),
        }
    }

    /// Runs a command on both, and returns our reply and theirs.
    pub(crate) fn run(&mut self, args: &[Bytes]) -> [Bytes; 2] {
        self.run_all(&[args.to_vec()]).remove(0)
    }

    /// Runs commands on both, on ours as a log entry.
    pub(crate) fn run_all(&mut self, entry: &[Vec<Bytes>]) -> Vec<[Bytes; 2]> {
        let theirs: Vec<_> = entry.iter().map(|args| self.real.run(args)).collect();
        let ours = self.run_ours(entry);
        ours.into_iter().zip(theirs).map(Into::into).collect()
    }

    /// Runs commands as an entry of our log.
    pub(crate) fn run_ours(&mut self, entry: &[Vec<Bytes>]) -> Vec<Bytes> {
        self.ours.now = now();
        let entry: Vec<_> = entry.iter().map(|args| (0, args.clone())).collect();
        let replies = self.ours.run_all(&entry, self.resp);
        self.log.extend(entry.iter().map(|(_, args)| shown(args)));
        replies
    }

    /// Fails unless both replies to the command of this line agree; returns ours.
    pub(crate) fn agree(&mut self, line: &str, agree: impl Fn(&[u8], &[u8]) -> bool) -> Bytes {
        let [ours, theirs] = self.run(&words(line));
        self.expect(agree(&ours, &theirs), &ours, &theirs);
        ours
    }

    /// Fails unless both replies to the command of this line have the same bytes; returns ours.
    pub(crate) fn same(&mut self, line: &str) -> Bytes {
        self.same_words(&words(line))
    }

    /// The same with the words of a command.
    pub(crate) fn same_words(&mut self, args: &[Bytes]) -> Bytes {
        let [ours, theirs] = self.run(args);
        self.expect(ours == theirs, &ours, &theirs);
        ours
    }

    /// Fails, with the last commands, unless the replies agree.
    pub(crate) fn expect(&self, agree: bool, ours: &[u8], theirs: &[u8]) {
        assert!(
            agree,
            "DIFFERENTIAL_SEED={}\n  ours: {}\ntheirs: {}\nafter\n{}",
            self.seed,
            start_of(ours),
            start_of(theirs),
            self.log[self.log.len().saturating_sub(SHOWN)..].join("\n")
        );
    }

    /// Each side restores the other's dump of the key as `restored`. Returns whether there was
    /// something to dump.
    pub(crate) fn exchange(&mut self, key: &str) -> bool {
        let replies = self.run(&words(&format!("dump {key}")));
        self.exchange_replies(&replies)
    }

    /// The same with replies to `DUMP`, ours and theirs.
    pub(crate) fn exchange_replies(&mut self, [ours, theirs]: &[Bytes; 2]) -> bool {
        let payloads = [ours, theirs].map(bulk);
        let [Some(our_payload), Some(their_payload)] = payloads else {
            self.expect(ours == theirs, ours, theirs);
            return false;
        };
        let restore =
            |payload| [words("restore restored 0"), vec![payload], words("replace")].concat();
        let theirs = self.real.run(&restore(our_payload));
        let ours = self.run_ours(&[restore(their_payload)]).remove(0);
        self.expect(ours == "+OK\r\n" && theirs == ours, &ours, &theirs);
        true
    }
}

/// The bytes of a bulk reply that has some.
pub(crate) fn bulk(reply: &Bytes) -> Option<Bytes> {
    let start = reply.iter().position(|byte| *byte == b'\n')? + 1;
    (reply.starts_with(b"$") && reply.len() > start + 2)
        .then(|| reply.slice(start..reply.len() - 2))
}

/// A command for a person to read.
pub(crate) fn shown(args: &[Bytes]) -> String {
    let words = args
        .iter()
        .take(40)
        .map(|arg| format!("\"{}\"", start_of(arg)));
    words.collect::<Vec<_>>().join(" ")
}

fn start_of(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(400)].escape_ascii().to_string()
}
