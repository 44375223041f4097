//! Clients that wait for data, while leaders are killed and ranges move: every pushed element is
//! popped exactly once, and nobody waits beside data. `COTERIE_WAITING_CLIENTS` is the number of
//! clients that wait at the same time.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use coterie_tests::cluster::{Cluster, Role, To};
use coterie_tests::connection::Connection;
use coterie_tests::resp::Reply;
use coterie_tests::{settings, wait};

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);
/// Consumers of the queue.
const CONSUMERS: usize = 8;
/// Elements that each phase pushes.
const ELEMENTS: usize = 300;

const QUEUE: &str = "queue";

fn connect(addr: &str) -> Connection {
    Connection::open(addr, WITHIN).expect("connects")
}

/// The elements that were popped, by any consumer.
#[derive(Default)]
struct Popped {
    elements: Mutex<Vec<String>>,
    over: AtomicBool,
}

/// A consumer that pops until the phase is over. Waits have a short limit, so that it notices.
fn consumer(addr: String, popped: Arc<Popped>) -> JoinHandle<()> {
    spawn(move || {
        let mut client = connect(&addr);
        while !popped.over.load(Ordering::Relaxed) {
            let reply = match client.call(&["BLPOP", "queue:empty", QUEUE, "1"]) {
                Ok(reply) => reply,
                // Its proxy or leader was killed; an element of unknown fate is counted below.
                Err(_) => {
                    client = connect(&addr);
                    continue;
                }
            };
            if let [_, element] = reply.elements() {
                let element = element.text().expect("an element");
                popped.elements.lock().expect("no panic").push(element);
            }
        }
    })
}

/// Pushes numbered elements; each push is repeated until it is acknowledged.
fn push(client: &mut Connection, phase: &str, count: usize) -> anyhow::Result<()> {
    for number in 0..count {
        let element = format!("{phase}:{number}");
        let reply = client.call(&["RPUSH", QUEUE, &element])?;
        ensure!(matches!(reply, Reply::Integer(_)), "{element}: {reply:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Runs `disturb` while elements are pushed and popped, and checks that each was popped once.
fn phase(
    cluster: &mut Cluster,
    name: &str,
    disturb: impl FnOnce(&mut Cluster) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let popped = Arc::new(Popped::default());
    let proxies = cluster.proxies();
    let consumers: Vec<_> = (0..CONSUMERS)
        .map(|at| consumer(proxies[at % proxies.len()].clone(), Arc::clone(&popped)))
        .collect();
    let (addr, pushed) = (cluster.proxy(), name.to_owned());
    let pushing = spawn(move || push(&mut connect(&addr), &pushed, ELEMENTS));
    disturb(cluster)?;
    let pushing = pushing
        .join()
        .map_err(|_| anyhow::anyhow!("a push panicked"))?;
    pushing.with_context(|| format!("push in {name}"))?;
    wait::until("all elements are popped", WITHIN, || {
        let count = popped.elements.lock().expect("no panic").len();
        ensure!(count >= ELEMENTS, "{count} of {ELEMENTS}");
        Ok(())
    })?;
    popped.over.store(true, Ordering::Relaxed);
    for consumer in consumers {
        consumer
            .join()
            .map_err(|_| anyhow::anyhow!("a consumer panicked"))?;
    }
    let elements = popped.elements.lock().expect("no panic").clone();
    let unique: BTreeSet<&String> = elements.iter().collect();
    ensure!(
        unique.len() == elements.len(),
        "{name}: an element was given twice"
    );
    ensure!(
        elements.len() == ELEMENTS,
        "{name}: {} elements",
        elements.len()
    );
    Ok(())
}

/// The server that leads the queue's group.
#[test]
fn every_element_is_popped_once_through_kills_and_moves() -> anyhow::Result<()> {
    let mut cluster = Cluster::builder()
        .count(Role::Proxy, 2)
        .split_at(&["f", "p"])
        .start()?;
    cluster.hold_still(WITHIN)?;
    phase(&mut cluster, "quiet", |_| Ok(()))?;
    phase(&mut cluster, "kill", |cluster| {
        let leader = cluster.leader_of(QUEUE, WITHIN)?;
        cluster.process(&leader).kill();
        std::thread::sleep(Duration::from_secs(1));
        cluster.restart(&leader)
    })?;
    cluster.wait_until_serving(WITHIN)?;
    phase(&mut cluster, "transfer", |cluster| {
        let admin = cluster.admin();
        let group = admin.range_of(QUEUE)?.group;
        for _ in 0..3 {
            let leader = cluster.leader_of(QUEUE, WITHIN)?;
            let leader = cluster.node_of(&leader)?;
            let nodes = admin.nodes()?;
            let to = nodes.iter().find(|node| node.id != leader);
            admin.lead(group, to.context("another node")?.id)?;
            std::thread::sleep(Duration::from_millis(300));
        }
        Ok(())
    })?;
    phase(&mut cluster, "move", |cluster| {
        let admin = cluster.admin();
        let job = admin.move_range(QUEUE, To::Group(admin.other_group(QUEUE)?))?;
        admin.finish(job, WITHIN).map(drop)
    })
}

#[test]
fn a_client_that_waits_is_served_after_its_range_has_moved() -> anyhow::Result<()> {
    let cluster = Cluster::builder().split_at(&["f", "p"]).start()?;
    cluster.hold_still(WITHIN)?;
    let admin = cluster.admin();
    let mut waits = connect(&cluster.proxy());
    waits.send(&["BLPOP", QUEUE, "0"])?;
    wait_for_blocked(&cluster, 1)?;
    let job = admin.move_range(QUEUE, To::Group(admin.other_group(QUEUE)?))?;
    admin.finish(job, WITHIN)?;
    connect(&cluster.proxy()).call(&["RPUSH", QUEUE, "x"])?;
    let reply = waits.receive()?;
    ensure!(reply.elements().len() == 2, "{reply:?}");
    Ok(())
}

/// The clients that wait, over all proxies.
fn blocked(cluster: &Cluster) -> anyhow::Result<usize> {
    let mut sum = 0;
    for proxy in cluster.proxies() {
        let info = connect(&proxy).call(&["INFO", "clients"])?.text();
        let info = info.context("a text")?;
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        let line = lines.find(|(name, _)| *name == "blocked_clients");
        sum += line.context("the line")?.1.trim().parse::<usize>()?;
    }
    Ok(sum)
}

fn wait_for_blocked(cluster: &Cluster, count: usize) -> anyhow::Result<()> {
    wait::until("clients wait", WITHIN, || {
        let blocked = blocked(cluster)?;
        ensure!(blocked == count, "{blocked} of {count}");
        Ok(())
    })
}

#[test]
fn many_clients_wait_and_others_do_not_notice() -> anyhow::Result<()> {
    let count = settings::number("COTERIE_WAITING_CLIENTS", 2_000);
    let cluster = Cluster::builder().count(Role::Proxy, 2).start()?;
    cluster.hold_still(WITHIN)?;
    let proxies = cluster.proxies();
    let mut clients = Vec::with_capacity(count);
    for at in 0..count {
        let mut client = connect(&proxies[at % proxies.len()]);
        client.send(&["BLPOP", &format!("key:{}", at % 100), "0"])?;
        clients.push(client);
    }
    wait_for_blocked(&cluster, count)?;
    let mut other = connect(&cluster.proxy());
    let began = Instant::now();
    for number in 0..200 {
        other.call(&["SET", &format!("other:{number}"), "x"])?;
    }
    println!(
        "200 writes beside {count} clients that wait: {:?}",
        began.elapsed()
    );
    let served = AtomicUsize::new(0);
    for key in 0..100 {
        let mut words = vec!["RPUSH".to_owned(), format!("key:{key}")];
        let waiting = (0..count).filter(|at| at % 100 == key).count();
        words.extend((0..waiting).map(|number| number.to_string()));
        other.call(&words)?;
    }
    for client in &mut clients {
        let reply = client.receive()?;
        ensure!(reply.elements().len() == 2, "{reply:?}");
        served.fetch_add(1, Ordering::Relaxed);
    }
    ensure!(served.into_inner() == count, "not all were served");
    wait_for_blocked(&cluster, 0)
}
