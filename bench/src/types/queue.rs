//! A queue: clients that push, and as many that wait for elements. An element is the moment at
//! which it was sent, so whoever pops it knows how long it took.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use coterie_tests::resp::encode;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::load::resp::{Connection, WAIT_MS};
use crate::plan::PeerKind;

/// Clients at each end.
const CLIENTS: usize = 25;

/// Elements through the queue.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    peer: PeerKind,
    elements_per_second: f64,
    p50_us: u64,
    p99_us: u64,
}

/// Measures the queue for some time.
pub(super) async fn measure(
    peer: PeerKind,
    addr: &str,
    waits: bool,
    time: Duration,
) -> anyhow::Result<Figure> {
    let (over, began) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let mut poppers = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        poppers.spawn(pop(addr.to_owned(), began));
    }
    let mut pushers = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        pushers.spawn(push(addr.to_owned(), waits, began, Arc::clone(&over)));
    }
    tokio::time::sleep(time).await;
    over.store(true, Ordering::Relaxed);
    let mut pushed = 0;
    while let Some(one) = pushers.join_next().await {
        pushed += one??;
    }
    let took = began.elapsed();
    let mut connection = Connection::open(addr).await?;
    for _ in 0..CLIENTS {
        encode(&mut connection.out, &["LPUSH", "queue", "end"]);
        connection.exchange_any(1).await?;
    }
    let mut all = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    while let Some(one) = poppers.join_next().await {
        all.add(&one??)?;
    }
    ensure!(all.len() == pushed, "{pushed} pushed, {} popped", all.len());
    Ok(Figure {
        peer,
        elements_per_second: pushed as f64 / took.as_secs_f64(),
        p50_us: all.value_at_quantile(0.5),
        p99_us: all.value_at_quantile(0.99),
    })
}

async fn push(
    addr: String,
    waits: bool,
    began: Instant,
    over: Arc<AtomicBool>,
) -> anyhow::Result<u64> {
    let mut connection = Connection::open(&addr).await?;
    let mut pushed = 0;
    while !over.load(Ordering::Relaxed) {
        let now = began.elapsed().as_micros().to_string();
        encode(&mut connection.out, &["LPUSH", "queue", &now]);
        if waits {
            encode(&mut connection.out, &["WAIT", "1", WAIT_MS]);
        }
        let failed = connection.exchange_any(1 + usize::from(waits)).await?;
        ensure!(failed == 0, "a push failed");
        pushed += 1;
    }
    Ok(pushed)
}

async fn pop(addr: String, began: Instant) -> anyhow::Result<Histogram<u64>> {
    let mut connection = Connection::open(&addr).await?;
    let mut latency = Histogram::new_with_bounds(1, 60_000_000, 3)?;
    loop {
        encode(&mut connection.out, &["BRPOP", "queue", "0"]);
        let element = connection.last_bulk().await?;
        if element == b"end" {
            return Ok(latency);
        }
        let sent: u64 = std::str::from_utf8(&element)?
            .parse()
            .context("an element is a moment")?;
        let now = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        latency.saturating_record(now.saturating_sub(sent).max(1));
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<11} {:<14} {:>7} {:>10.0} {:>8.2} {:>8.2}",
            self.peer.name(),
            "LPUSH, BRPOP",
            "25+25",
            self.elements_per_second,
            self.p50_us as f64 / 1000.0,
            self.p99_us as f64 / 1000.0,
        )
    }
}
