//! Clients that keep the values they read (CLIENT TRACKING), over two proxies, while leaders are
//! killed, leadership is handed over and a range moves: when the writes end, no client keeps an old
//! value for long.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use anyhow::{Context, ensure};
use coterie_tests::cluster::{Cluster, Role, To};
use coterie_tests::connection::Connection;
use coterie_tests::resp::Reply;
use coterie_tests::wait;

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);
/// Keys, in all ranges.
const KEYS: usize = 30;
/// Writes of a phase.
const WRITES: usize = 400;

fn key(number: usize) -> String {
    let first = ["a", "h", "t"][number % 3];
    format!("{first}:{number}")
}

fn connect(addr: &str) -> Connection {
    Connection::open(addr, WITHIN).expect("connects")
}

/// A client that keeps the values it reads.
struct Keeper {
    addr: String,
    connection: Connection,
    options: &'static [&'static str],
    kept: BTreeMap<String, Option<String>>,
    pushes: u64,
    reads: u64,
}

impl Keeper {
    fn new(addr: &str, options: &'static [&'static str]) -> anyhow::Result<Self> {
        let mut keeper = Self {
            addr: addr.to_owned(),
            connection: connect(addr),
            options,
            kept: BTreeMap::new(),
            pushes: 0,
            reads: 0,
        };
        keeper.begin()?;
        Ok(keeper)
    }

    fn begin(&mut self) -> anyhow::Result<()> {
        self.kept.clear();
        self.call(&["HELLO", "3"])?;
        let mut words = vec!["CLIENT", "TRACKING", "ON"];
        words.extend(self.options);
        let reply = self.call(&words)?;
        ensure!(reply.text().as_deref() == Some("OK"), "{reply:?}");
        Ok(())
    }

    /// Calls, and takes the pushes before the reply.
    fn call(&mut self, words: &[&str]) -> anyhow::Result<Reply> {
        self.connection.send(words)?;
        loop {
            let bytes = self.connection.receive_raw()?;
            let reply = Reply::parse(&bytes)?.0;
            if bytes.first() != Some(&b'>') {
                return Ok(reply);
            }
            self.pushes += 1;
            let [what, keys] = reply.elements() else {
                anyhow::bail!("{reply:?}");
            };
            ensure!(what.text().as_deref() == Some("invalidate"), "{reply:?}");
            if *keys == Reply::Null {
                self.kept.clear();
            }
            for key in keys.elements() {
                self.kept.remove(&key.text().context("a key")?);
            }
        }
    }

    /// Reads a key, by asking if it is not kept. An error of the cluster is no value.
    fn read(&mut self, key: &str) -> anyhow::Result<()> {
        if self.kept.contains_key(key) {
            // Takes the pushes that have come.
            return self.call(&["PING"]).map(drop);
        }
        self.reads += 1;
        match self.call(&["GET", key])? {
            Reply::Error(_) => {}
            reply => drop(self.kept.insert(key.to_owned(), reply.text())),
        }
        Ok(())
    }

    /// A step; a connection that broke is opened again.
    fn step(&mut self, number: usize) {
        if self.read(&key(number % KEYS)).is_err() {
            std::thread::sleep(Duration::from_millis(50));
            if let Ok(connection) = Connection::open(&self.addr, WITHIN) {
                self.connection = connection;
                let _ = self.begin();
            }
        }
    }
}

/// The values that are there once the writes of a phase have ended.
type Final = Arc<Mutex<Option<BTreeMap<String, String>>>>;

/// Reads until the writes have ended, and then until nothing old is kept.
fn keep(mut keeper: Keeper, expected: Final, over: Arc<AtomicBool>) -> JoinHandle<(u64, u64)> {
    spawn(move || {
        let mut number = 0;
        while !over.load(Ordering::Relaxed) {
            keeper.step(number);
            number += 7;
        }
        let expected = expected.lock().expect("no panic").clone().expect("values");
        let settled = wait::until("nothing old is kept", Duration::from_secs(20), || {
            keeper.call(&["PING"])?;
            for (key, value) in &keeper.kept {
                let now = expected.get(key);
                ensure!(value.as_ref() == now, "{key}: {value:?}, not {now:?}");
            }
            Ok(())
        });
        settled.expect("within the time");
        (keeper.pushes, keeper.reads)
    })
}

/// Writes numbered values; each write is repeated until it is acknowledged.
fn write(addr: &str, phase: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut client = connect(addr);
    let mut values = BTreeMap::new();
    for number in 0..WRITES {
        let (key, value) = (key(number * 13 % KEYS), format!("{phase}:{number}"));
        wait::until("a write is acknowledged", WITHIN, || {
            let reply = client.call(&["SET", &key, &value])?;
            ensure!(!matches!(reply, Reply::Error(_)), "{reply:?}");
            Ok(())
        })?;
        values.insert(key, value);
        std::thread::sleep(Duration::from_millis(3));
    }
    Ok(values)
}

fn phase(
    cluster: &mut Cluster,
    name: &str,
    disturb: impl FnOnce(&mut Cluster) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (expected, over) = (Final::default(), Arc::new(AtomicBool::new(false)));
    let proxies = cluster.proxies();
    let mut keepers = Vec::new();
    for options in [&[][..], &["NOLOOP"], &["BCAST"]] {
        for proxy in &proxies {
            let keeper = Keeper::new(proxy, options)?;
            keepers.push(keep(keeper, Arc::clone(&expected), Arc::clone(&over)));
        }
    }
    let (addr, named) = (cluster.proxy(), name.to_owned());
    let writing = spawn(move || write(&addr, &named));
    disturb(cluster)?;
    let written = writing
        .join()
        .map_err(|_| anyhow::anyhow!("a write panicked"))?;
    let values = written.with_context(|| format!("write in {name}"))?;
    // Every key was written.
    *expected.lock().expect("no panic") = Some(values);
    over.store(true, Ordering::Relaxed);
    for keeper in keepers {
        let kept = keeper.join();
        let (pushes, reads) = kept.map_err(|_| anyhow::anyhow!("{name}: a client panicked"))?;
        println!("{name}: {reads} reads, {pushes} messages");
        ensure!(pushes > 0, "{name}: a client was told nothing");
    }
    Ok(())
}

#[test]
fn no_client_keeps_an_old_value_through_kills_and_moves() -> anyhow::Result<()> {
    let mut cluster = Cluster::builder()
        .count(Role::Proxy, 2)
        .split_at(&["f", "p"])
        .start()?;
    cluster.hold_still(WITHIN)?;
    phase(&mut cluster, "quiet", |_| Ok(()))?;
    phase(&mut cluster, "kill", |cluster| {
        let leader = cluster.leader_of("a:0", WITHIN)?;
        cluster.process(&leader).kill();
        std::thread::sleep(Duration::from_secs(1));
        cluster.restart(&leader)
    })?;
    cluster.wait_until_serving(WITHIN)?;
    phase(&mut cluster, "transfer", |cluster| {
        let admin = cluster.admin();
        let group = admin.range_of("h:1")?.group;
        let leader = cluster.leader_of("h:1", WITHIN)?;
        let leader = cluster.node_of(&leader)?;
        let nodes = admin.nodes()?;
        let to = nodes.iter().find(|node| node.id != leader);
        admin.lead(group, to.context("another node")?.id)
    })?;
    phase(&mut cluster, "move", |cluster| {
        let admin = cluster.admin();
        let job = admin.move_range("t:2", To::Group(admin.other_group("t:2")?))?;
        admin.finish(job, WITHIN).map(drop)
    })
}

#[test]
fn clients_of_another_proxy_are_told_in_the_forms_of_redis() -> anyhow::Result<()> {
    let cluster = Cluster::builder().count(Role::Proxy, 2).start()?;
    cluster.hold_still(WITHIN)?;
    let proxies = cluster.proxies();
    let (mut reader, mut writer) = (connect(&proxies[0]), connect(&proxies[1]));
    reader.call(&["HELLO", "3"])?;
    reader.call(&["CLIENT", "TRACKING", "ON"])?;
    for change in [
        &["SET", "k", "2"][..],
        &["DEL", "k"],
        &["SET", "k", "3", "PX", "1500"],
    ] {
        writer.call(&["SET", "k", "1"])?;
        ensure!(reader.call(&["GET", "k"])? == Reply::Bulk(b"1".to_vec()));
        writer.call(change)?;
        let told = String::from_utf8(reader.receive_raw()?)?;
        ensure!(
            told == ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n",
            "{told}"
        );
    }
    // The last of them expires.
    reader.call(&["GET", "k"])?;
    let told = String::from_utf8(reader.receive_raw()?)?;
    ensure!(
        told == ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n",
        "{told}"
    );
    writer.call(&["SET", "k", "1"])?;
    reader.call(&["GET", "k"])?;
    writer.call(&["FLUSHALL"])?;
    let told = String::from_utf8(reader.receive_raw()?)?;
    ensure!(told == ">2\r\n$10\r\ninvalidate\r\n_\r\n", "{told}");
    Ok(())
}

#[test]
fn many_readers_of_a_key_are_all_told() -> anyhow::Result<()> {
    let cluster = Cluster::builder().count(Role::Proxy, 2).start()?;
    cluster.hold_still(WITHIN)?;
    let proxies = cluster.proxies();
    let mut keepers = Vec::new();
    for at in 0..200 {
        let mut keeper = Keeper::new(&proxies[at % proxies.len()], &[])?;
        keeper.read("hot")?;
        keepers.push(keeper);
    }
    let told = AtomicU64::new(0);
    connect(&cluster.proxy()).call(&["SET", "hot", "x"])?;
    for keeper in &mut keepers {
        wait::until("the client is told", WITHIN, || {
            keeper.call(&["PING"])?;
            ensure!(keeper.kept.is_empty(), "it still keeps the key");
            Ok(())
        })?;
        told.fetch_add(keeper.pushes, Ordering::Relaxed);
    }
    ensure!(told.into_inner() == 200, "each was told once");
    Ok(())
}
