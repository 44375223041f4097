//! The clients of the loads. They keep no reply and write from a shared buffer: a thousand clients
//! take a few megabytes and a single thread.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use coterie_tests::resp::encode;
use coterie_tests::rng::Rng;
use coterie_tests::skim::{Came, Skim};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Bytes a client takes from its socket at once.
const PIECE: usize = 32 << 10;

/// A client that receives nothing for this time gives up. No server takes longer to answer.
const SILENCE: Duration = Duration::from_secs(120);

/// The replies that clients received.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Seen {
    /// Replies with a value.
    pub(crate) good: u64,
    /// Bytes of the strings in them.
    pub(crate) bytes: u64,
    /// Elements of arrays in them.
    pub(crate) elements: u64,
    /// Nulls, where there was a value.
    pub(crate) nulls: u64,
    /// Error replies by their first word.
    pub(crate) errors: BTreeMap<String, u64>,
    /// An error line for each first word.
    pub(crate) examples: BTreeMap<String, String>,
    /// Clients whose connection ended, or was silent, before their last reply.
    pub(crate) broken: u64,
}

impl Seen {
    fn take(&mut self, came: Came) {
        match came {
            Came::Value { bytes, elements } => {
                self.good += 1;
                self.bytes += bytes;
                self.elements += elements;
            }
            Came::Null => self.nulls += 1,
            Came::Error(line) => {
                let word = line
                    .split_whitespace()
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                *self.errors.entry(word.clone()).or_default() += 1;
                self.examples.entry(word).or_insert(line);
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.good += other.good;
        self.bytes += other.bytes;
        self.elements += other.elements;
        self.nulls += other.nulls;
        self.broken += other.broken;
        for (word, times) in other.errors {
            *self.errors.entry(word).or_default() += times;
        }
        self.examples.extend(other.examples);
    }

    /// Errors, nulls and broken connections.
    pub(crate) fn bad(&self) -> u64 {
        self.errors.values().sum::<u64>() + self.nulls + self.broken
    }
}

/// The key of the `n`-th of the large values.
pub(super) fn large_key(n: usize, values: usize) -> String {
    format!("large:{}", n % values)
}

struct Client {
    stream: TcpStream,
    skim: Skim,
    piece: Vec<u8>,
    seen: Seen,
}

impl Client {
    async fn open(addr: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(addr).await;
        let stream = stream.with_context(|| format!("connect to {addr}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            skim: Skim::default(),
            piece: vec![0; PIECE],
            seen: Seen::default(),
        })
    }

    /// Sends commands, given in parts, and reads `replies`; false if not all of them came.
    async fn exchange(&mut self, parts: &[&[u8]], replies: u64) -> anyhow::Result<bool> {
        for part in parts {
            if self.stream.write_all(part).await.is_err() {
                self.seen.broken += 1;
                return Ok(false);
            }
        }
        let mut left = replies;
        while left > 0 {
            let read = tokio::time::timeout(SILENCE, self.stream.read(&mut self.piece)).await;
            let Ok(Ok(read @ 1..)) = read else {
                self.seen.broken += 1;
                return Ok(false);
            };
            let seen = &mut self.seen;
            self.skim.feed(&self.piece[..read], |came| {
                left = left.saturating_sub(1);
                seen.take(came);
            })?;
        }
        Ok(true)
    }
}

/// Runs the clients on this thread; each begins when all are connected.
fn all<F>(addr: &str, clients: usize, client: impl Fn(usize, Client) -> F) -> anyhow::Result<Seen>
where
    F: Future<Output = anyhow::Result<Seen>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut connected = Vec::new();
        for _ in 0..clients {
            connected.push(Client::open(addr).await?);
        }
        let mut tasks = JoinSet::new();
        for (number, connection) in connected.into_iter().enumerate() {
            tasks.spawn(client(number, connection));
        }
        let mut all = Seen::default();
        while let Some(ended) = tasks.join_next().await {
            all.add(ended.map_err(|_| anyhow!("a client panicked"))??);
        }
        Ok(all)
    })
}

/// Each client sends all its GETs at once and reads the replies as they come.
pub(super) fn pipelines(
    addr: &str,
    clients: usize,
    gets: usize,
    values: usize,
) -> anyhow::Result<Seen> {
    all(addr, clients, |number, mut client| async move {
        let mut bytes = Vec::new();
        for n in 0..gets {
            encode(&mut bytes, &["GET", &large_key(number + n, values)]);
        }
        client.exchange(&[&bytes], gets as u64).await?;
        Ok(client.seen)
    })
}

/// Each client repeats an MGET of all values for `time`.
pub(super) fn mgets(
    addr: &str,
    clients: usize,
    keys: usize,
    time: Duration,
) -> anyhow::Result<Seen> {
    let mut words = vec!["MGET".to_owned()];
    words.extend((0..keys).map(|n| large_key(n, keys)));
    let mut bytes = Vec::new();
    encode(&mut bytes, &words);
    let bytes = Bytes::from(bytes);
    all(addr, clients, |_, mut client| {
        let bytes = bytes.clone();
        async move {
            let began = Instant::now();
            while client.exchange(&[&bytes], 1).await? && began.elapsed() < time {}
            Ok(client.seen)
        }
    })
}

/// A client sends a single command and waits for the reply, for `within` at most.
pub(super) fn walk(addr: &str, words: &[&str], within: Duration) -> anyhow::Result<Seen> {
    let mut bytes = Vec::new();
    encode(&mut bytes, words);
    let bytes = Bytes::from(bytes);
    all(addr, 1, |_, mut client| {
        let bytes = bytes.clone();
        async move {
            let answered = tokio::time::timeout(within, client.exchange(&[&bytes], 1)).await;
            if let Ok(answered) = answered {
                answered?;
            } else {
                client.seen.broken += 1;
            }
            Ok(client.seen)
        }
    })
}

/// Each client writes a value and reads it, `rounds` times.
pub(super) fn crowd(
    addr: &str,
    clients: usize,
    rounds: usize,
    values: usize,
    bytes: usize,
) -> anyhow::Result<Seen> {
    allow_many_files();
    // A buffer shared by all clients; random, so that compression gains nothing.
    let value = Bytes::from(Rng::new(5).bytes(bytes));
    all(addr, clients, |number, mut client| {
        let value = value.clone();
        async move {
            for round in 0..rounds {
                let key = large_key(number + round, values);
                let mut head = Vec::new();
                encode(&mut head, &["SET", &key, ""]);
                // Replaces the empty value's length and end by those of the large value.
                head.truncate(head.len() - b"$0\r\n\r\n".len());
                head.extend_from_slice(format!("${}\r\n", value.len()).as_bytes());
                if !client.exchange(&[&head, &value, b"\r\n"], 1).await? {
                    break;
                }
                let mut read = Vec::new();
                encode(&mut read, &["GET", &key]);
                if !client.exchange(&[&read], 1).await? {
                    break;
                }
            }
            Ok(client.seen)
        }
    })
}

/// A thousand connections need as many file descriptors.
fn allow_many_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If the limit may not be raised, connecting fails with the reason.
    let _ = setrlimit(Resource::Nofile, limit);
}
