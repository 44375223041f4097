//! SCAN: every key that stays is returned exactly once, on any proxy, whatever moves.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use coterie_protocol::catalog::Row;

use super::fanout::{many_ranges, strings};
use crate::support::{Client, Cluster, range, wait_until};

/// Reads a page of SCAN: the next cursor, and the page's keys.
pub(super) async fn scan_page(
    client: &mut Client,
    cursor: &str,
    count: usize,
) -> (String, Vec<String>) {
    page_of(client, cursor, &format!(" COUNT {count}")).await
}

async fn page_of(client: &mut Client, cursor: &str, options: &str) -> (String, Vec<String>) {
    let reply = client.run(&format!("SCAN {cursor}{options}")).await;
    assert!(reply.starts_with('*'), "{reply}");
    let mut words = strings(&reply).into_iter();
    let next = words.next().expect("a cursor");
    assert!(next.parse::<u64>().unwrap() < 1 << 53, "{next}");
    (next, words.collect())
}

/// The result of a scan: how often each key was returned, and how many keys each page had.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) keys: BTreeMap<String, usize>,
    pages: Vec<usize>,
}

impl Seen {
    pub(super) fn add(&mut self, page: Vec<String>) {
        self.pages.push(page.len());
        for key in page {
            *self.keys.entry(key).or_default() += 1;
        }
    }

    /// Checks that so many keys were returned, each of them once.
    #[track_caller]
    fn is_exact(&self, keys: usize) {
        let again: Vec<_> = self.keys.iter().filter(|(_, times)| **times > 1).collect();
        assert!(again.is_empty(), "came again: {again:?}");
        assert_eq!(self.keys.len(), keys);
    }

    /// Checks that each page but the last has at least COUNT keys, and each page at most twice
    /// that.
    #[track_caller]
    fn is_even(&self, count: usize) {
        let (_, full) = self.pages.split_last().expect("a page");
        assert!(full.iter().all(|keys| *keys >= count), "{:?}", self.pages);
        let is_bounded = |keys: &usize| *keys <= 2 * count;
        assert!(self.pages.iter().all(is_bounded), "{:?}", self.pages);
    }
}

/// Reads the rest of a scan, alternating between the proxies.
async fn scan_on(clients: &mut [Client], mut cursor: String, options: &str, seen: &mut Seen) {
    let proxies = clients.len();
    for page in 0..100_000 {
        let (next, keys) = page_of(&mut clients[page % proxies], &cursor, options).await;
        seen.add(keys);
        if next == "0" {
            return;
        }
        cursor = next;
    }
    panic!("the scan does not end");
}

async fn scan(client: Client, options: &str) -> (Seen, Client) {
    let (mut seen, mut clients) = (Seen::default(), [client]);
    scan_on(&mut clients, "0".to_owned(), options, &mut seen).await;
    let [client] = clients;
    (seen, client)
}

pub(super) async fn put(client: &mut Client, keys: impl IntoIterator<Item = String>) {
    let lines: Vec<_> = keys
        .into_iter()
        .map(|key| format!("SET {key} 1\r\n"))
        .collect();
    client.send(lines.concat()).await;
    for _ in lines {
        assert_eq!(client.reply().await, "+OK\r\n");
    }
}

/// A thousand keys with a long common beginning.
fn items() -> impl Iterator<Item = String> {
    (0..1000).map(|at| format!("product:inventory:warehouse:item:{at:010}"))
}

#[tokio::test]
async fn each_key_comes_once_on_any_proxy_and_across_splits() {
    let cluster = Cluster::new(vec![range(1, 1, "", "", 1)]);
    let (first, second) = (cluster.proxy("").await, cluster.proxy("").await);
    let mut client = Client::connect(first.addr).await;
    put(&mut client, (0..500).map(|at| format!("key:{at:012}"))).await;
    put(&mut client, (0..500).map(|at| format!("user:{at}"))).await;
    let (seen, client) = scan(client, " COUNT 50").await;
    seen.is_exact(1000);
    seen.is_even(50);
    let (seen, client) = scan(client, " COUNT 7 MATCH user:1*").await;
    seen.is_exact(111);
    let (seen, mut client) = scan(client, " TYPE list").await;
    seen.is_exact(0);
    assert_eq!(client.run("SCAN x").await, "-ERR invalid cursor\r\n");

    // Half-way, the range is split in three, and another proxy continues.
    let mut seen = Seen::default();
    let (cursor, keys) = scan_page(&mut client, "0", 180).await;
    seen.add(keys);
    let cut = vec![
        range(1, 2, "", "user:2", 1),
        range(2, 2, "user:2", "user:31", 1),
        range(3, 2, "user:31", "", 1),
    ];
    cluster.hand_over(1, cut.clone());
    cluster.publish(cut.into_iter().map(Row::Range).collect());
    let mut clients = [Client::connect(second.addr).await, client];
    scan_on(&mut clients, cursor, " COUNT 60", &mut seen).await;
    seen.is_exact(1000);
    first.shutdown().await;
    second.shutdown().await;
}

/// Ranges with few keys are asked many at a time; the first key of one of them may then be longer
/// than the room that a common frame has.
#[tokio::test]
async fn long_keys_behind_ranges_with_few_keys_are_scanned() {
    let cluster = Cluster::new(many_ranges(40));
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let few = (0..30).map(|at| format!("{at:04}:few"));
    let long = "x".repeat(1000);
    let many = (0..300).map(|at| format!("{:04}:{at:03}:{long}", 30 + at % 2));
    put(&mut client, few.chain(many)).await;
    let (seen, _client) = scan(client, " COUNT 2000").await;
    seen.is_exact(330);
    proxy.shutdown().await;
}

#[tokio::test]
async fn keys_with_a_long_common_beginning_come_in_even_pages_without_a_write() {
    let cluster = Cluster::of_two();
    let (first, second) = (cluster.proxy("").await, cluster.proxy("").await);
    let connect = async || {
        [
            Client::connect(first.addr).await,
            Client::connect(second.addr).await,
        ]
    };
    let mut clients = connect().await;
    put(&mut clients[0], items()).await;
    for client in &mut clients {
        assert_eq!(client.run("GET a").await, "$-1\r\n");
    }
    // SCAN asks neither meta nor a group for a write.
    let long = Instant::now() + Duration::from_secs(600);
    *cluster.meta_away.lock().unwrap() = (Some(long), 0);
    let writes = || [1, 2].map(|id| cluster.group(id, |group| group.sequences_seen()));
    let before = writes();
    for _twice in 0..2 {
        let mut seen = Seen::default();
        scan_on(&mut clients, "0".to_owned(), " COUNT 20", &mut seen).await;
        seen.is_exact(1000);
        seen.is_even(20);
    }
    assert_eq!((cluster.meta_away.lock().unwrap().1, writes()), (0, before));
    assert!(cluster.settings().is_empty());
    assert!(cluster.copies() > 0, "places were kept");
    for past in [1u64 << 53, u64::MAX] {
        let reply = clients[0].run(&format!("SCAN {past}")).await;
        assert_eq!(reply, "*2\r\n$1\r\n0\r\n*0\r\n", "{past}");
    }
    first.shutdown().await;
    second.shutdown().await;
}

/// Scans with a first proxy up to a kept place: its cursor, and the keys returned so far.
async fn half_way(client: &mut Client) -> (String, Seen) {
    let (mut cursor, mut seen) = ("0".to_owned(), Seen::default());
    while cursor.parse::<u64>().unwrap() < 1 << 52 || seen.keys.len() < 300 {
        let (next, keys) = scan_page(client, &cursor, 20).await;
        seen.add(keys);
        cursor = next;
        assert_ne!(cursor, "0", "no place was kept");
    }
    (cursor, seen)
}

#[tokio::test]
async fn a_scan_goes_on_exactly_when_its_proxy_is_gone() {
    let cluster = Cluster::of_two();
    let (first, second) = (cluster.proxy("").await, cluster.proxy("").await);
    let mut client = Client::connect(first.addr).await;
    put(&mut client, items()).await;
    let (cursor, mut seen) = half_way(&mut client).await;
    first.shutdown().await;
    // Two of the three nodes are gone as well.
    cluster.restart(1, 60_000);
    cluster.places(2, |node| node.is_down = true);
    let mut clients = [Client::connect(second.addr).await];
    scan_on(&mut clients, cursor, " COUNT 20", &mut seen).await;
    seen.is_exact(1000);
    second.shutdown().await;
}

#[tokio::test]
async fn nodes_that_lost_their_copies_get_them_again() {
    let cluster = Cluster::of_two();
    let (first, second) = (cluster.proxy("").await, cluster.proxy("").await);
    let mut client = Client::connect(first.addr).await;
    put(&mut client, items()).await;
    let (cursor, mut seen) = half_way(&mut client).await;
    let copies = cluster.copies();
    // All nodes at once: a proxy that asks too early learns that the copies may still come.
    (1..=3).for_each(|node| cluster.restart(node, 0));
    let mut clients = [Client::connect(second.addr).await];
    scan_on(&mut clients, cursor, " COUNT 20", &mut seen).await;
    seen.is_exact(1000);
    wait_until(|| cluster.copies() >= copies).await;

    // A node that did not answer for a while gets the copies it has missed.
    cluster.places(1, |node| node.is_down = true);
    put(
        &mut client,
        (0..200).map(|at| format!("product:inventory:other:{at:010}")),
    )
    .await;
    let (seen, client) = scan(client, " COUNT 20").await;
    seen.is_exact(1200);
    cluster.places(1, |node| node.is_down = false);
    let same = || {
        let kept = [1, 2, 3].map(|node| cluster.places(node, |node| node.places.len()));
        kept[0] == kept[1] && kept[1] == kept[2]
    };
    wait_until(same).await;
    drop(client);
    first.shutdown().await;
    second.shutdown().await;
}

#[tokio::test]
async fn no_key_is_left_out_when_every_copy_is_lost() {
    let cluster = Cluster::of_two();
    let (first, second) = (cluster.proxy("").await, cluster.proxy("").await);
    let mut client = Client::connect(first.addr).await;
    put(&mut client, items()).await;
    put(&mut client, (0..100).map(|at| format!("zz:{at}"))).await;
    put(&mut client, (0..100).map(|at| format!("a:{at}"))).await;
    let (cursor, mut seen) = half_way(&mut client).await;
    first.shutdown().await;
    (1..=3).for_each(|node| cluster.restart(node, 60_000));
    let mut clients = [Client::connect(second.addr).await];
    scan_on(&mut clients, cursor, " COUNT 20", &mut seen).await;
    assert_eq!(seen.keys.len(), 1200);
    let again = seen.keys.iter().filter(|(_, times)| **times > 1);
    assert!(again.clone().count() > 100, "the copies were lost");
    assert!(again.clone().all(|(key, _)| key.starts_with("product:")));
    // A place of another table is no place of this table.
    let (cursor, _) = half_way(&mut clients[0]).await;
    clients[0].run("SELECT 0").await;
    let mut elsewhere = Client::connect(second.addr).await;
    let garbage = (1u64 << 52) + 12_345;
    let mut seen = Seen::default();
    scan_on(&mut clients, garbage.to_string(), " COUNT 20", &mut seen).await;
    assert_eq!(
        seen.keys.len(),
        1200,
        "number 12345 begins as the first key does"
    );
    let again = scan_page(&mut elsewhere, &cursor, 20).await;
    assert_eq!(
        again,
        scan_page(&mut elsewhere, &cursor, 20).await,
        "asked for again"
    );
    second.shutdown().await;
}

#[tokio::test]
async fn a_page_goes_on_over_ranges_until_it_has_its_count() {
    let cluster = Cluster::new(many_ranges(110));
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let frames = || [1, 2].map(|id| cluster.group(id, |group| group.seen.len()));
    let asked = |before: [usize; 2]| {
        let after = frames();
        after[0] + after[1] - before[0] - before[1]
    };
    // All ranges are empty.
    let before = frames();
    assert_eq!(client.run("SCAN 0").await, "*2\r\n$1\r\n0\r\n*0\r\n");
    assert!(
        asked(before) <= 16,
        "{} frames for 110 ranges",
        asked(before)
    );
    // Two keys in each range; then most of the table has no key that matches.
    let key = |range: usize, at: usize| format!("{range:04}:{at}");
    let keys = (0..110).flat_map(|range| [key(range, 1), key(range, 2)]);
    put(&mut client, keys).await;
    for count in [1, 3, 10, 50, 1000] {
        let (seen, back) = scan(client, &format!(" COUNT {count}")).await;
        client = back;
        seen.is_exact(220);
        seen.is_even(count);
    }
    let (seen, mut client) = scan(client, " COUNT 100 MATCH 01*:1").await;
    seen.is_exact(10);
    let before = frames();
    let reply = client.run("SCAN 0 COUNT 1000 TYPE list").await;
    assert_eq!(reply, "*2\r\n$1\r\n0\r\n*0\r\n");
    assert!(
        asked(before) <= 16,
        "{} frames for 110 ranges",
        asked(before)
    );
    // A filter that matches nothing: each page visits COUNT keys or few more, not all of them.
    let (seen, _) = scan(client, " COUNT 10 TYPE list").await;
    seen.is_exact(0);
    assert!(
        (11..=22).contains(&seen.pages.len()),
        "{}",
        seen.pages.len()
    );
    proxy.shutdown().await;
}
