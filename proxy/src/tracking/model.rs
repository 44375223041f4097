//! A random test of a proxy between clients and servers: whatever comes in whatever order, no
//! client keeps an old value once everything has arrived, nor a value whose next change it will
//! miss.
//!
//! The proxy's part is the real code. Servers note readers before they read, and tell of changes
//! behind the change; links break, leaders change, and words are late.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use coterie_protocol::catalog::Catalog;
use coterie_protocol::readers::Readers;
use coterie_protocol::tracking::{ChangedKey, Invalidation};
use coterie_redis_compat::Resp;
use coterie_types::TableId;
use proptest::prelude::*;
use tokio::sync::watch;

use super::{Options, Tracking};
use crate::clients::{Client, Clients};
use crate::metrics::Metrics;
use crate::pushes::{PushRules, Turn};
use crate::router::{NewsReader, Reader};

const KEYS: u8 = 4;
const SERVERS: usize = 2;
const CLIENTS: usize = 3;
const T: TableId = TableId(0);

#[derive(Debug, Clone)]
enum Step {
    Read(usize, u8),
    Serve(usize),
    Reply(usize),
    Write(u8, usize),
    Turn(usize),
    Deliver(usize),
    Lead(usize),
    /// A server that leads no more finds out.
    Notice(usize),
    Break(usize),
    /// The proxy finds out that a link is over.
    Miss(usize),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let (client, server) = (0..CLIENTS, 0..SERVERS);
    prop_oneof![
        6 => (client.clone(), 0..KEYS).prop_map(|(client, key)| Step::Read(client, key)),
        6 => client.clone().prop_map(Step::Serve),
        6 => client.clone().prop_map(Step::Reply),
        6 => (0..KEYS, client.clone()).prop_map(|(key, client)| Step::Write(key, client)),
        4 => client.prop_map(Step::Turn),
        6 => server.clone().prop_map(Step::Deliver),
        1 => server.clone().prop_map(Step::Lead),
        1 => server.clone().prop_map(Step::Notice),
        1 => server.clone().prop_map(Step::Break),
        2 => server.prop_map(Step::Miss),
        1 => Just(Step::Flush),
    ]
}

fn key(number: u8) -> Bytes {
    Bytes::from(format!("key{number}"))
}

#[derive(Default)]
struct Server {
    readers: Readers<()>,
    news: VecDeque<Invalidation>,
    /// Of the link; 0 when it is over.
    epoch: u64,
    /// The epoch that the proxy knows.
    known: u64,
}

struct Caller {
    client: Arc<Client>,
    kept: BTreeMap<u8, u64>,
    next: u64,
    /// The key of a read under way, and the link as it was sent.
    sent: Option<(u8, usize, u64)>,
    served: Option<(u8, u64, usize, u64)>,
    /// The reply that messages have to follow.
    behind: Option<u64>,
}

struct World {
    tracking: Arc<Tracking>,
    servers: Vec<Server>,
    callers: Vec<Caller>,
    versions: BTreeMap<u8, u64>,
    leader: usize,
    epochs: u64,
}

fn addr(server: usize) -> String {
    format!("10.0.0.{server}:7000")
}

impl World {
    fn new(keys_max: u64) -> Self {
        let telemetry = coterie_telemetry::Metrics::new();
        let metrics = Metrics::new(&telemetry);
        let rules = PushRules::for_tests(64 << 20);
        let settings = Arc::clone(&rules.settings);
        settings
            .tracking_table_max_keys
            .store(keys_max, Ordering::Relaxed);
        let clients = Arc::new(Clients::new(rules));
        let rpc = coterie_rpc::Client::new(coterie_rpc::Token::new("t"));
        let reader = NewsReader::new(rpc.clone(), Arc::clone(&metrics));
        let (_, catalog) = watch::channel(Arc::new(Catalog::default()));
        let tracking = Tracking::new(
            Arc::clone(&clients),
            settings,
            metrics,
            rpc,
            reader,
            catalog,
        );
        let here = "127.0.0.1:1".parse().unwrap();
        let options = [
            Options::default(),
            Options {
                noloop: true,
                ..Options::default()
            },
            Options {
                bcast: true,
                prefixes: vec![Bytes::new()],
                ..Options::default()
            },
        ];
        let callers = options.map(|options| {
            let client = clients.add(here, here, 0, 0);
            let named = tracking.turn_on(&client, &options);
            assert!(named.is_ok());
            let tracked = tracking.table.lock().get(client.id).unwrap();
            tracked.is_named.store(true, Ordering::Relaxed);
            Caller {
                client,
                kept: BTreeMap::new(),
                next: 0,
                sent: None,
                served: None,
                behind: None,
            }
        });
        let servers = (1..).map(|epoch| Server {
            epoch,
            known: epoch,
            ..Server::default()
        });
        Self {
            tracking,
            servers: servers.take(SERVERS).collect(),
            callers: callers.into(),
            versions: BTreeMap::new(),
            leader: 0,
            epochs: SERVERS as u64,
        }
    }

    fn tell(&mut self, server: usize, invalidation: Invalidation) {
        if self.servers[server].epoch != 0 {
            self.servers[server].news.push_back(invalidation);
        }
    }

    /// A link ends at the server: its notes and its news are gone.
    fn end_link(&mut self, server: usize) {
        let server = &mut self.servers[server];
        server.epoch = 0;
        server.news.clear();
        server.readers = Readers::default();
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Read(caller, number) => self.read(caller, number),
            Step::Serve(caller) => self.serve(caller),
            Step::Reply(caller) => self.reply(caller),
            Step::Write(number, by) => self.write(number, by),
            Step::Turn(caller) => self.callers[caller].turn(),
            Step::Deliver(server) => {
                if let Some(news) = self.servers[server].news.pop_front() {
                    self.tracking.take(&addr(server), &news);
                }
            }
            Step::Lead(server) if server != self.leader => {
                self.forget(server);
                self.leader = server;
                // The last leader may have applied changes and not have told them.
                self.tell(server, Invalidation::All);
            }
            Step::Notice(server) if server != self.leader => self.forget(server),
            Step::Break(server) => self.end_link(server),
            Step::Miss(server) => self.miss(server),
            Step::Flush => self.flush(),
            Step::Lead(_) | Step::Notice(_) => {}
        }
    }

    /// A term ends at a server.
    fn forget(&mut self, server: usize) {
        let taken = self.servers[server]
            .readers
            .take_all_unless(|_, _, ()| false);
        if !taken.is_empty() {
            let keys = taken.into_iter().map(|(key, _)| key).collect();
            self.tell(server, Invalidation::Forgotten(keys));
        }
    }

    fn read(&mut self, caller: usize, number: u8) {
        let (leader, caller) = (self.leader, &mut self.callers[caller]);
        let is_busy = caller.sent.is_some() || caller.served.is_some();
        if is_busy || caller.kept.contains_key(&number) {
            return;
        }
        let id = caller.client.id;
        let key = key(number);
        let known = self.servers[leader].known;
        if known == 0 {
            return;
        }
        let tracked = self.tracking.table.lock().get(id).unwrap();
        if !tracked.caching.bcast {
            self.tracking.note(id, caller.next, [(T, &key)].into_iter());
            tracked.asked.lock().insert(addr(leader).into());
        }
        caller.next += 1;
        caller.sent = Some((number, leader, known));
    }

    fn serve(&mut self, caller: usize) {
        let Some((number, server, known)) = self.callers[caller].sent else {
            return;
        };
        let is_bcast = caller == 2;
        if server != self.leader || (self.servers[server].epoch == 0 && !is_bcast) {
            // Refused: it is sent to the leader, if that tells of changes.
            let (leader, id) = (self.leader, self.callers[caller].client.id);
            let known = self.servers[leader].known;
            if known != 0 {
                let tracked = self.tracking.table.lock().get(id).unwrap();
                tracked.asked.lock().insert(addr(leader).into());
                self.callers[caller].sent = Some((number, leader, known));
            }
            return;
        }
        if !is_bcast {
            self.servers[server].readers.add(T, &key(number), 1, ());
        }
        let version = self.versions.get(&number).copied().unwrap_or(0);
        self.callers[caller].sent = None;
        self.callers[caller].served = Some((number, version, server, known));
    }

    fn reply(&mut self, caller: usize) {
        let Some((number, version, server, known)) = self.callers[caller].served.take() else {
            return;
        };
        let caller = &mut self.callers[caller];
        let tracked = self.tracking.table.lock().get(caller.client.id).unwrap();
        if self.servers[server].known != known && !tracked.caching.bcast {
            self.tracking.tell(&tracked, &super::Message::all());
        }
        caller.kept.insert(number, version);
        caller.client.set_answered_below(caller.next);
    }

    fn write(&mut self, number: u8, by: usize) {
        *self.versions.entry(number).or_default() += 1;
        let leader = self.leader;
        self.servers[leader].readers.take(T, &key(number));
        let caller = &mut self.callers[by];
        // With NOLOOP the client knows its own writes; it sent the write behind its reads.
        let is_own = by == 1 && caller.sent.is_none() && caller.served.is_none();
        if is_own {
            caller.kept.remove(&number);
        }
        let by = is_own.then_some(caller.client.id);
        let changed = ChangedKey {
            table: T,
            key: key(number),
            by,
        };
        self.tell(leader, Invalidation::Changed(vec![changed]));
    }

    fn flush(&mut self) {
        for number in 0..KEYS {
            *self.versions.entry(number).or_default() += 1;
        }
        let leader = self.leader;
        self.servers[leader].readers = Readers::default();
        self.tell(leader, Invalidation::All);
        self.tracking.flushed();
    }

    fn miss(&mut self, server: usize) {
        if self.servers[server].known != 0 {
            if self.servers[server].epoch == self.servers[server].known {
                return;
            }
            self.servers[server].known = 0;
            self.tracking.missed(&addr(server));
            return;
        }
        self.epochs += 1;
        let begun = &mut self.servers[server];
        (begun.epoch, begun.known) = (self.epochs, self.epochs);
        // The prefixes are named anew.
        self.tracking.named_anew();
    }

    /// Everything that is under way arrives.
    fn settle(&mut self) {
        for _ in 0..4 {
            for server in 0..SERVERS {
                self.run(&Step::Notice(server));
                self.run(&Step::Miss(server));
                self.run(&Step::Miss(server));
                while !self.servers[server].news.is_empty() {
                    self.run(&Step::Deliver(server));
                }
            }
            for caller in 0..CLIENTS {
                self.serve(caller);
                self.serve(caller);
                self.reply(caller);
                self.callers[caller].turn();
            }
        }
    }

    fn kept(&self) -> BTreeSet<(usize, u8)> {
        let callers = self.callers.iter().enumerate();
        let kept = callers.flat_map(|(at, caller)| caller.kept.keys().map(move |key| (at, *key)));
        kept.collect()
    }
}

impl Caller {
    /// The connection's turn: messages leave between replies.
    fn turn(&mut self) {
        let answered = self.client.answered_below();
        let (behind, kept, next) = (&mut self.behind, &mut self.kept, self.next);
        self.client.pushes.take(|push| {
            if push.turn == Turn::BehindReplies {
                if answered < *behind.get_or_insert(next) {
                    return false;
                }
                *behind = None;
            }
            let text = push.encoded(Resp::V3);
            let text = String::from_utf8_lossy(&text);
            if text.ends_with("_\r\n") {
                kept.clear();
            }
            kept.retain(|number, _| !text.contains(&format!("key{number}")));
            true
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_client_keeps_an_old_value(
        steps in proptest::collection::vec(step(), 0..120),
        keys_max in 0..4u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _entered = runtime.enter();
        let mut world = World::new(keys_max);
        for step in &steps {
            world.run(step);
        }
        world.settle();
        for (at, caller) in world.callers.iter().enumerate() {
            for (number, version) in &caller.kept {
                let now = world.versions.get(number).copied().unwrap_or(0);
                prop_assert_eq!(*version, now, "client {} keeps key{}", at, number);
            }
        }
        for number in 0..KEYS {
            world.write(number, 0);
        }
        world.settle();
        prop_assert_eq!(world.kept(), BTreeSet::new(), "these miss the next change");
    }
}
