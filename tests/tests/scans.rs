//! SCAN over keys that a cursor cannot tell apart by itself, while ranges move and processes die.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use coterie_tests::cluster::{Cluster, Role, To};
use coterie_tests::connection::Connection;
use coterie_tests::resp::Reply;

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);
/// Time limit for a page, also while a leader is elected.
const PAGE_WITHIN: Duration = Duration::from_secs(15);

const KEYS: usize = 2000;
const COUNT: usize = 10;

fn key(n: usize) -> String {
    format!("tenant:5c1f0e7a9b3d4c2e8f6a1b0d9c8e7f6a5b4c3d2e:field:{n:05}")
}

/// The state of a scan between pages.
struct Scan {
    cursor: String,
    seen: BTreeMap<String, usize>,
    longest: Duration,
}

impl Scan {
    /// Reads a number of pages from the proxies in turn. A page that fails is requested again.
    fn go_on(&mut self, proxies: &[String], pages: usize) {
        for page in 0..pages {
            if page > 0 && self.cursor == "0" {
                return;
            }
            let began = Instant::now();
            let addr = &proxies[page % proxies.len()];
            let reply = coterie_tests::wait::until("a page", WITHIN, || {
                let mut connection = Connection::open(addr, PAGE_WITHIN)?;
                let count = COUNT.to_string();
                match connection.call(&["SCAN", &self.cursor, "COUNT", &count])? {
                    Reply::Error(line) => anyhow::bail!("{line}"),
                    reply => Ok(reply),
                }
            });
            let reply = reply.expect("a page");
            self.longest = self.longest.max(began.elapsed());
            let [next, names] = reply.elements() else {
                panic!("SCAN answered {reply:?}")
            };
            let names = names.elements();
            assert!(names.len() <= 2 * COUNT, "{} keys", names.len());
            for name in names.iter().filter_map(Reply::text) {
                *self.seen.entry(name).or_default() += 1;
            }
            self.cursor = next.text().expect("a cursor");
            assert!(self.cursor.parse::<u64>().expect("a number") < 1 << 53);
        }
    }

    #[track_caller]
    fn is_under_way(&self) {
        let number: u64 = self.cursor.parse().expect("a number");
        assert!(number >= 1 << 52, "the place is kept: {number}");
    }
}

/// Starts a cluster and writes the keys. Of its three proxies the first is the operator's; returns
/// the other two, of which the test kills the first.
fn start() -> (Cluster, [String; 2]) {
    let builder = Cluster::builder().count(Role::Proxy, 3).split_at(&["m"]);
    let cluster = builder.start().expect("starts");
    cluster.hold_still(WITHIN).expect("balance is off");
    let mut connection = Connection::open(&cluster.proxy(), PAGE_WITHIN).expect("connects");
    for n in 0..KEYS {
        connection.send(&["SET", &key(n), "x"]).expect("sent");
    }
    for _ in 0..KEYS {
        let reply = connection.receive().expect("a reply");
        assert_eq!(reply, Reply::Simple("OK".to_owned()));
    }
    let both = [2, 3].map(|n| cluster.addr(&format!("proxy-{n}")));
    (cluster, both)
}

fn split_and_move(cluster: &Cluster, at: &str, meanwhile: impl FnOnce()) {
    let admin = cluster.admin();
    let job = admin.split(at).expect("begins");
    admin.finish(job, WITHIN).expect("split");
    meanwhile();
    let owner = admin.range_of(at).expect("a range").group;
    let groups = admin.groups().expect("answers");
    let other = groups.iter().find(|group| group.id != owner);
    let to = To::Group(other.expect("another group").id);
    let job = admin.move_range(at, to).expect("begins");
    admin.finish(job, WITHIN).expect("moved");
}

/// Each key comes exactly once across splits, moves, and failures of servers and of meta. When the
/// proxy that made the cursor fails, the servers still have its place.
#[test]
fn each_key_comes_once_whatever_happens_between_pages() {
    let (mut cluster, both) = start();
    let [dies, stays] = both.clone().map(|addr| [addr]);
    let mut scan = Scan {
        cursor: "0".to_owned(),
        seen: BTreeMap::new(),
        longest: Duration::ZERO,
    };
    scan.go_on(&both, 10);
    scan.is_under_way();
    split_and_move(&cluster, &key(700), || scan.go_on(&both, 10));
    scan.go_on(&both, 10);
    scan.is_under_way();

    // Without meta, pages take no longer.
    for meta in cluster.names(Role::Meta) {
        cluster.process(&meta).kill();
    }
    scan.longest = Duration::ZERO;
    scan.go_on(&both, 20);
    assert!(scan.longest < Duration::from_secs(1), "{:?}", scan.longest);
    for meta in cluster.names(Role::Meta) {
        cluster.restart(&meta).expect("starts");
    }

    // Every server loses its copies at once. The proxy that made the cursor sends them again, so
    // another proxy finds the place.
    scan.go_on(&dies, 1);
    scan.is_under_way();
    for server in cluster.names(Role::Server) {
        cluster.process(&server).kill();
    }
    for server in cluster.names(Role::Server) {
        cluster.restart(&server).expect("starts");
    }
    cluster.wait_until_serving(WITHIN).expect("serves");
    scan.go_on(&stays, 1);
    scan.go_on(&both, 10);
    let again = scan.seen.iter().find(|(_, times)| **times > 1);
    assert_eq!(again, None, "came twice");

    scan.go_on(&dies, 1);
    scan.is_under_way();
    cluster.process("proxy-2").kill();
    scan.go_on(&stays, KEYS);
    assert_eq!(scan.cursor, "0");
    let expected: BTreeMap<_, _> = (0..KEYS).map(|n| (key(n), 1)).collect();
    assert_eq!(scan.seen, expected);
}
