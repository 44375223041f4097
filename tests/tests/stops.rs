//! A stop under load: `coterie dev` ends soon after SIGTERM whatever its clients do, replies to the
//! commands that it has begun, and has every acknowledged write when it starts again.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use anyhow::ensure;
use coterie_tests::binary;
use coterie_tests::cluster::Turn;
use coterie_tests::connection::Connection;
use coterie_tests::ports::Port;
use coterie_tests::process::Process;
use coterie_tests::resp::{self, Reply};
use coterie_tests::wait;

const WITHIN: Duration = Duration::from_secs(60);
/// Two seconds on a dedicated machine. Less than the default of `--drain-timeout`, for which a
/// proxy once waited for clients that do not read.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// The number of clients that send pipelines and read every reply.
const BUSY: usize = 50;
/// The number of commands of a pipeline.
const PIPELINE: usize = 200;
/// The number of idle clients.
const IDLE: usize = 100;
/// The number of clients that stop in the middle of a command.
const HALF: usize = 20;
/// The number of clients that send many reads and read no reply.
const DEAF: usize = 20;

#[test]
fn dev_stops_soon_under_load_and_loses_nothing_it_began() -> anyhow::Result<()> {
    let _turn = Turn::take()?;
    let dir = tempfile::tempdir()?;
    let listen = Port::reserve()?;
    let mut dev = dev(dir.path(), &listen)?;
    dev.start()?;
    wait_until_serving(&listen)?;
    let addr = listen.addr();

    Connection::open(&addr, WITHIN)?.call(&["SET", "large", &"x".repeat(100_000)])?;
    let waiting = waiting_clients(&addr)?;
    let counted = Arc::new(AtomicUsize::new(0));
    let begin = Arc::new(Barrier::new(BUSY));
    let busy: Vec<_> = (0..BUSY)
        .map(|number| busy_client(&addr, number, &counted, &begin))
        .collect::<Result<_, _>>()?;
    wait::until("all clients are at it", WITHIN, || {
        let replies = counted.load(Ordering::Relaxed);
        ensure!(replies > 2 * BUSY * PIPELINE, "{replies} replies");
        Ok(())
    })?;

    let asked = Instant::now();
    let status = dev.terminate(STOP_WITHIN)?;
    println!("stopped after {:?}", asked.elapsed());
    ensure!(status.success(), "a drain ends with 0, not {status}");
    drop(waiting);
    let answered: Vec<i64> = busy
        .into_iter()
        .map(|client| {
            client
                .join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))?
        })
        .collect::<Result<_, _>>()?;

    dev.start()?;
    wait_until_serving(&listen)?;
    let mut client = Connection::open(&addr, WITHIN)?;
    for (number, answered) in answered.into_iter().enumerate() {
        let stored = client.call(&["GET", &counter(number)])?.text();
        let stored: i64 = stored.map_or(Ok(0), |text| text.parse())?;
        ensure!(
            stored == answered,
            "client {number}: {stored} was counted and {answered} answered"
        );
    }
    Ok(())
}

fn dev(dir: &Path, listen: &Port) -> anyhow::Result<Process> {
    let http = Port::reserve()?;
    let dev = Process::new("dev", binary::coterie()?, dir.join("log"))
        .args(["dev", "--dir"])
        .args([dir.join("data")])
        .args(["--listen", &listen.addr(), "--http", &http.addr()]);
    Ok(dev)
}

fn wait_until_serving(listen: &Port) -> anyhow::Result<()> {
    wait::until("dev serves", WITHIN, || {
        let mut client = Connection::open(&listen.addr(), WITHIN)?;
        for key in 0..BUSY {
            let reply = client.call(&["EXISTS", &counter(key)])?;
            ensure!(matches!(reply, Reply::Integer(_)), "{reply:?}");
        }
        Ok(())
    })
}

fn counter(number: usize) -> String {
    format!("counter-{number}")
}

/// A client that counts in pipelines until the server closes; returns the last count that it
/// received. Its expiring keys keep the sweep of expired keys at work.
fn busy_client(
    addr: &str,
    number: usize,
    counted: &Arc<AtomicUsize>,
    begin: &Arc<Barrier>,
) -> anyhow::Result<JoinHandle<anyhow::Result<i64>>> {
    let mut pipeline = Vec::new();
    for _ in 0..PIPELINE {
        resp::encode(&mut pipeline, &["INCR", &counter(number)]);
    }
    let expiring = format!("expiring-{number}");
    resp::encode(&mut pipeline, &["SET", &expiring, "x", "PX", "100"]);
    let mut client = Connection::open(addr, WITHIN)?;
    let (counted, begin) = (Arc::clone(counted), Arc::clone(begin));
    Ok(spawn(move || {
        begin.wait();
        let mut last = 0;
        loop {
            // A truncated pipeline may have replies too.
            let _ = client.send_raw(&pipeline);
            for _ in 0..=PIPELINE {
                match client.receive() {
                    Ok(Reply::Integer(count)) => last = count,
                    Ok(Reply::Simple(_)) => {}
                    Ok(other) => anyhow::bail!("refused: {other:?}"),
                    Err(_) => return Ok(last),
                }
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    }))
}

/// Clients that only hold connections: idle clients, clients in the middle of a command, and
/// clients that do not read.
fn waiting_clients(addr: &str) -> anyhow::Result<Vec<Connection>> {
    let mut clients = Vec::new();
    for number in 0..IDLE + HALF + DEAF {
        let mut client = Connection::open(addr, WITHIN)?;
        client.call(&["PING"])?;
        if number < HALF {
            client.send_raw(b"*2\r\n$3\r\nGET\r\n$100\r\nhalf of a k")?;
        } else if number < HALF + DEAF {
            let mut pipeline = Vec::new();
            for _ in 0..100 {
                resp::encode(&mut pipeline, &["GET", "large"]);
            }
            client.send_raw(&pipeline)?;
        }
        clients.push(client);
    }
    Ok(clients)
}
