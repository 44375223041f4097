//! `MONITOR`: the clients that see the commands of all others.
//!
//! A command costs nothing but a look at a counter while nobody watches. Else its line is written
//! once and given to each watcher: clients of this proxy take it as a push, and are closed at their
//! output limit like every slow client; other proxies, whose clients watch all proxies, fetch it.
//!
//! Lines have Redis' form (`replication.c`, `replicationFeedMonitors`): the time, the database and
//! the address of the client, the quoted words. Passwords are replaced by `(redacted)`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use coterie_protocol::encode;
use coterie_protocol::proxies::PeerAnswer;
use coterie_redis_compat::{Command, Flags};
use coterie_rpc::Responder;
use parking_lot::{Mutex, MutexGuard};

use crate::clients::{Client, Clients};
use crate::pushes::{Forms, Turn};

/// How long a question of another proxy is held while there is no line.
const HELD: Duration = Duration::from_millis(500);
/// A watcher of another proxy that asks no more for so long is forgotten.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// Bytes of lines that are kept for a watcher of another proxy; further lines are lost.
const KEPT_BYTES_MAX: usize = 4 << 20;
/// Watchers of other proxies, at most.
const WATCHERS_MAX: usize = 64;
/// The bytes of a word that a line shows; Redis shows all, but here one client's value would
/// become many clients' memory.
const WORD_BYTES_MAX: usize = 64 << 10;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Monitors {
    /// How many watch; read before every command.
    count: AtomicUsize,
    watchers: Mutex<Watchers>,
}

#[derive(Debug, Default)]
struct Watchers {
    clients: Vec<Arc<Client>>,
    /// Watchers of other proxies, by their numbers.
    remote: BTreeMap<u64, Watcher>,
}

#[derive(Debug)]
struct Watcher {
    lines: BytesMut,
    lost: u64,
    /// The question that is held.
    question: Option<Responder>,
    /// How many questions came.
    asked: u64,
    asked_at: Instant,
}

impl Monitors {
    /// Whether anybody watches.
    pub(crate) fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Lets a client watch; `false` if it watches already.
    pub(crate) fn add(&self, client: &Arc<Client>) -> bool {
        if self.has(client.id) {
            return false;
        }
        let mut watchers = self.lock();
        watchers.clients.push(Arc::clone(client));
        self.recount(&watchers);
        true
    }

    /// Whether a client watches.
    pub(crate) fn has(&self, id: u64) -> bool {
        self.lock().clients.iter().any(|client| client.id == id)
    }

    /// A client watches no more.
    pub(crate) fn remove(&self, id: u64) {
        if self.any() {
            let mut watchers = self.lock();
            watchers.clients.retain(|client| client.id != id);
            self.recount(&watchers);
        }
    }

    /// Shows a command that runs now to all who watch.
    pub(crate) fn feed(
        &self,
        clients: &Clients,
        row: &Command,
        table: u32,
        client: &Client,
        args: &[Bytes],
    ) {
        if row.flags.contains(Flags::ADMIN) || row.flags.contains(Flags::SKIP_MONITOR) {
            return;
        }
        let line = Bytes::from(line(SystemTime::now(), row, table, client, args));
        let mut watchers = self.lock();
        if !watchers.clients.is_empty() {
            let push = clients.push_of(Forms::of_lines(line.clone()), Turn::Next);
            for watcher in &watchers.clients {
                watcher.push(&push);
            }
        }
        watchers.remote.retain(|_, watcher| watcher.take(&line));
        self.recount(&watchers);
    }

    /// Answers a proxy that watches, when there are lines.
    pub(crate) fn answer(self: &Arc<Self>, number: u64, responder: Responder) {
        let mut watchers = self.lock();
        let is_known = watchers.remote.contains_key(&number);
        if !is_known && watchers.remote.len() >= WATCHERS_MAX {
            return responder.fail("too many proxies watch");
        }
        let watcher = watchers.remote.entry(number).or_insert_with(Watcher::new);
        let asked = watcher.ask(responder);
        self.recount(&watchers);
        drop(watchers);
        let monitors = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(HELD).await;
            monitors.release(number, asked);
            // It asks again at once, or is gone.
            tokio::time::sleep(SILENCE_MAX).await;
            monitors.forget_silent();
        });
    }

    /// Answers a question that was held long enough.
    fn release(&self, number: u64, asked: u64) {
        let mut watchers = self.lock();
        if let Some(watcher) = watchers.remote.get_mut(&number)
            && watcher.asked == asked
        {
            watcher.send();
        }
    }

    fn forget_silent(&self) {
        let mut watchers = self.lock();
        watchers.remote.retain(|_, watcher| !watcher.is_gone());
        self.recount(&watchers);
    }

    fn recount(&self, watchers: &Watchers) {
        let count = watchers.clients.len() + watchers.remote.len();
        self.count.store(count, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Watchers> {
        // Nothing panics while holding it.
        self.watchers.lock()
    }
}

impl Watcher {
    fn new() -> Self {
        Self {
            lines: BytesMut::new(),
            lost: 0,
            question: None,
            asked: 0,
            asked_at: Instant::now(),
        }
    }

    /// Takes a question; returns its number.
    fn ask(&mut self, responder: Responder) -> u64 {
        // An earlier question is answered, too: its asker waits no more, or there are two.
        self.send();
        self.question = Some(responder);
        self.asked += 1;
        self.asked_at = Instant::now();
        if !self.lines.is_empty() || self.lost > 0 {
            self.send();
        }
        self.asked
    }

    /// Keeps or sends a line. `false` if the watcher is gone.
    fn take(&mut self, line: &[u8]) -> bool {
        if self.is_gone() {
            return false;
        }
        if self.lines.len() + line.len() > KEPT_BYTES_MAX {
            self.lost += 1;
        } else {
            self.lines.extend_from_slice(line);
        }
        self.send();
        true
    }

    fn send(&mut self) {
        if let Some(question) = self.question.take() {
            let lines = self.lines.split().freeze();
            let lost = std::mem::take(&mut self.lost);
            question.send(encode(&PeerAnswer::Lines { lines, lost }));
        }
    }

    fn is_gone(&self) -> bool {
        self.question.is_none() && self.asked_at.elapsed() > SILENCE_MAX
    }
}

/// The line of a command.
fn line(now: SystemTime, row: &Command, table: u32, client: &Client, args: &[Bytes]) -> String {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut line = format!(
        "+{}.{:06} [{table} {}]",
        now.as_secs(),
        now.subsec_micros(),
        client.addr
    );
    for (at, word) in args.iter().enumerate() {
        line.push(' ');
        if is_secret(row, args, at) {
            line.push_str("\"(redacted)\"");
        } else {
            quote(word, &mut line);
        }
    }
    line.push_str("\r\n");
    line
}

/// Whether a word is a user name or a password. Redis hides them in `AUTH` and `HELLO`; all other
/// commands with passwords are for administrators and not shown.
fn is_secret(row: &Command, args: &[Bytes], at: usize) -> bool {
    match row.name {
        "auth" => at > 0,
        "hello" => {
            let is_auth = |at: usize| {
                at > 1
                    && args
                        .get(at)
                        .is_some_and(|word| word.eq_ignore_ascii_case(b"auth"))
            };
            at > 2 && (is_auth(at - 1) || is_auth(at - 2))
        }
        _ => false,
    }
}

/// A word in quotes, as Redis writes it (`sds.c`, `sdscatrepr`).
fn quote(word: &[u8], line: &mut String) {
    line.push('"');
    for byte in &word[..word.len().min(WORD_BYTES_MAX)] {
        match byte {
            b'\\' => line.push_str("\\\\"),
            b'"' => line.push_str("\\\""),
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            0x07 => line.push_str("\\a"),
            0x08 => line.push_str("\\b"),
            b' '..=b'~' => line.push(char::from(*byte)),
            // Writing to a string does not fail.
            _ => {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
    if word.len() > WORD_BYTES_MAX {
        let _ = write!(line, "... ({} bytes)", word.len());
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use coterie_redis_compat::lookup;

    use super::*;
    use crate::pushes::PushRules;

    fn shown(words: &[&'static [u8]]) -> String {
        let addr = "127.0.0.1:60866".parse().unwrap();
        let client = Clients::new(PushRules::for_tests(1 << 20)).add(addr, addr, 0, 0);
        let args: Vec<_> = words.iter().map(|word| Bytes::from_static(word)).collect();
        let row = lookup(&args[0]).expect("a command");
        let now = UNIX_EPOCH + Duration::from_micros(1_339_518_083_107_412);
        line(now, row, 3, &client, &args)
    }

    #[test]
    fn lines_are_those_of_redis() {
        assert_eq!(
            shown(&[b"keys", b"*"]),
            "+1339518083.107412 [3 127.0.0.1:60866] \"keys\" \"*\"\r\n"
        );
        assert!(
            shown(&[b"GET", b"a\"\\\n\r\t\x07\x08\x00\xff"])
                .ends_with(" \"GET\" \"a\\\"\\\\\\n\\r\\t\\a\\b\\x00\\xff\"\r\n")
        );
    }

    #[test]
    fn passwords_are_hidden() {
        let hidden = |words: &[&'static [u8]]| {
            let line = shown(words);
            line.split_once("] ")
                .map(|(_, words)| words.trim().to_owned())
        };
        let auth = hidden(&[b"auth", b"me", b"secret"]);
        let expected = "\"auth\" \"(redacted)\" \"(redacted)\"";
        assert_eq!(auth.as_deref(), Some(expected));
        let hello = hidden(&[b"HELLO", b"3", b"AUTH", b"me", b"secret", b"SETNAME", b"x"]);
        let expected = "\"HELLO\" \"3\" \"AUTH\" \"(redacted)\" \"(redacted)\" \"SETNAME\" \"x\"";
        assert_eq!(hello.as_deref(), Some(expected));
    }

    #[test]
    fn lines_for_a_silent_proxy_are_bounded() {
        let mut watcher = Watcher::new();
        let line = vec![b'x'; KEPT_BYTES_MAX / 2];
        for _ in 0..4 {
            assert!(watcher.take(&line));
        }
        assert_eq!((watcher.lines.len(), watcher.lost), (KEPT_BYTES_MAX, 2));
        watcher.asked_at = Instant::now().checked_sub(2 * SILENCE_MAX).unwrap();
        assert!(!watcher.take(&line));
    }
}
