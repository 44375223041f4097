//! Subscribers and publishers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};

use super::settings::Settings;

/// Bytes of a message's head: publisher, number, microseconds, each with 16 digits.
pub(super) const HEAD_BYTES: usize = 48;
const CHANNEL: &str = "bench";
/// Subscribers that connect at a time.
const CONNECTING: usize = 64;
/// A subscriber notes the time of each message whose number is a multiple of this, plus its own.
const NOTED: u64 = 16;

/// What subscribers and publishers saw.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) latency: Histogram<u64>,
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) out_of_order: u64,
    pub(super) wrong_counts: u64,
    pub(super) publishing: Duration,
    pub(super) took: Duration,
}

struct Shared {
    begin: Instant,
    publishers: usize,
    message_bytes: usize,
    delivered: AtomicU64,
    out_of_order: AtomicU64,
    wrong_counts: AtomicU64,
    is_over: AtomicBool,
}

/// Runs the load against these addresses, subscribers and publishers spread over them.
pub(super) fn run(addrs: &[String], settings: &Settings) -> anyhow::Result<Seen> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.threads)
        .enable_all()
        .build()?;
    runtime.block_on(load(addrs, settings))
}

async fn load(addrs: &[String], settings: &Settings) -> anyhow::Result<Seen> {
    let shared = Arc::new(Shared {
        begin: Instant::now(),
        publishers: settings.publishers,
        message_bytes: settings.message_bytes,
        delivered: AtomicU64::new(0),
        out_of_order: AtomicU64::new(0),
        wrong_counts: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    });
    let (noted, mut latencies) = mpsc::channel(1024);
    let connecting = Arc::new(Semaphore::new(CONNECTING));
    let (ready, mut subscribed) = mpsc::channel(1024);
    for at in 0..settings.subscribers {
        let (addr, shared) = (addrs[at % addrs.len()].clone(), Arc::clone(&shared));
        let (noted, ready) = (noted.clone(), ready.clone());
        let connecting = Arc::clone(&connecting);
        tokio::spawn(async move {
            let turn = connecting.acquire_owned().await;
            let stream = subscribe(&addr).await;
            drop(turn);
            let is_subscribed = stream
                .as_ref()
                .map(drop)
                .map_err(|error| format!("{error:#}"));
            // The receiver ends with the first failure.
            let _ = ready.send(is_subscribed).await;
            if let Ok(stream) = stream {
                let latency = read(stream, at as u64, &shared).await;
                let _ = noted.send(latency).await;
            }
        });
    }
    drop((noted, ready));
    for _ in 0..settings.subscribers {
        let one = subscribed.recv().await.context("a subscriber ended")?;
        one.map_err(|error| anyhow::anyhow!("subscribe: {error}"))?;
    }
    let began = Instant::now();
    let publishers = (0..settings.publishers).map(|at| {
        let (addr, shared) = (addrs[at % addrs.len()].clone(), Arc::clone(&shared));
        let settings = settings.clone();
        tokio::spawn(async move { publish(&addr, at as u64, &settings, &shared).await })
    });
    let mut published = 0;
    for publisher in publishers.collect::<Vec<_>>() {
        published += publisher.await??;
    }
    let publishing = began.elapsed();
    let took = until_delivered(&shared, published, settings, began).await;
    shared.is_over.store(true, Ordering::Relaxed);
    let mut latency = Histogram::new(3)?;
    while let Some(of_one) = latencies.recv().await {
        latency.add(&of_one)?;
    }
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Ok(Seen {
        latency,
        published,
        delivered: load(&shared.delivered),
        out_of_order: load(&shared.out_of_order),
        wrong_counts: load(&shared.wrong_counts),
        publishing,
        took,
    })
}

/// Waits until all messages came, or none came for a while; returns the time until the last.
async fn until_delivered(
    shared: &Shared,
    published: u64,
    settings: &Settings,
    began: Instant,
) -> Duration {
    let all = published * settings.subscribers as u64;
    let end = Instant::now() + Duration::from_secs_f64(settings.patience);
    let (mut last, mut changed) = (0, Instant::now());
    while Instant::now() < end {
        let now = shared.delivered.load(Ordering::Relaxed);
        if now != last {
            (last, changed) = (now, Instant::now());
        }
        if now >= all {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    changed.duration_since(began)
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    coterie_tests::resp::encode(&mut bytes, words);
    bytes
}

async fn subscribe(addr: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    stream
        .write_all(&command(&[b"SUBSCRIBE", CHANNEL.as_bytes()]))
        .await?;
    let confirmation = format!(
        "*3\r\n$9\r\nsubscribe\r\n${}\r\n{CHANNEL}\r\n:1\r\n",
        CHANNEL.len()
    );
    let mut got = vec![0; confirmation.len()];
    stream.read_exact(&mut got).await?;
    ensure!(
        got == confirmation.as_bytes(),
        "{:?}",
        String::from_utf8_lossy(&got)
    );
    Ok(stream)
}

/// Reads messages until the load is over; returns the times they took.
async fn read(mut stream: TcpStream, subscriber: u64, shared: &Shared) -> Histogram<u64> {
    // Three digits; values are limited by the type alone.
    let mut latency = Histogram::new(3).unwrap_or_else(|error| unreachable!("{error}"));
    let head = format!(
        "*3\r\n$7\r\nmessage\r\n${}\r\n{CHANNEL}\r\n${}\r\n",
        CHANNEL.len(),
        shared.message_bytes
    )
    .len();
    let whole = head + shared.message_bytes + 2;
    let mut next = vec![0; shared.publishers];
    let mut buffer = Vec::with_capacity(16 << 10);
    while !shared.is_over.load(Ordering::Relaxed) {
        let reading =
            tokio::time::timeout(Duration::from_millis(500), stream.read_buf(&mut buffer));
        match reading.await {
            Err(_) => continue,
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(_)) => {}
        }
        let now = shared.begin.elapsed().as_micros() as u64;
        let mut at = 0;
        while buffer.len() - at >= whole {
            let message = &buffer[at + head..at + head + HEAD_BYTES];
            let number = |from: usize| {
                let digits = message[from..from + 16].iter();
                digits.fold(0, |number, digit| {
                    number * 10 + u64::from(digit.wrapping_sub(b'0'))
                })
            };
            let (publisher, count) = (number(0) as usize, number(16));
            match next.get_mut(publisher) {
                Some(next) if *next == count => *next += 1,
                Some(next) => {
                    shared.out_of_order.fetch_add(1, Ordering::Relaxed);
                    *next = count + 1;
                }
                None => drop(shared.out_of_order.fetch_add(1, Ordering::Relaxed)),
            }
            if (count + subscriber).is_multiple_of(NOTED) {
                latency.saturating_record(now.saturating_sub(number(32)));
            }
            at += whole;
        }
        shared
            .delivered
            .fetch_add((at / whole) as u64, Ordering::Relaxed);
        buffer.drain(..at);
    }
    latency
}

/// Publishes at the rate; returns the number of messages.
async fn publish(
    addr: &str,
    publisher: u64,
    settings: &Settings,
    shared: &Shared,
) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let pause = settings.publishers as f64 / settings.rate;
    let count = (settings.seconds / pause) as u64;
    let expected = format!(":{}\r\n", settings.subscribers).into_bytes();
    let began = Instant::now();
    for number in 0..count {
        let due = began + Duration::from_secs_f64(pause * number as f64);
        tokio::time::sleep_until(due.into()).await;
        let now = shared.begin.elapsed().as_micros();
        let mut message = format!("{publisher:016}{number:016}{now:016}").into_bytes();
        message.resize(settings.message_bytes, b'.');
        stream
            .write_all(&command(&[b"PUBLISH", CHANNEL.as_bytes(), &message]))
            .await?;
        let mut reply = Vec::new();
        while !reply.ends_with(b"\r\n") {
            if stream.read_buf(&mut reply).await? == 0 {
                bail!("closed");
            }
        }
        ensure!(
            reply.first() == Some(&b':'),
            "{:?}",
            String::from_utf8_lossy(&reply)
        );
        if reply != expected {
            shared.wrong_counts.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(count)
}
