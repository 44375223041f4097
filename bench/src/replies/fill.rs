//! The data that clients read: a few large values, or many keys with small values.

use std::time::Duration;

use anyhow::ensure;
use coterie_tests::connection::Connection;
use coterie_tests::resp::{Reply, encode};
use coterie_tests::rng::Rng;

use super::clients::large_key;

/// How long a write may take, retries included.
const WITHIN: Duration = Duration::from_secs(60);

/// Connections that write many keys, keys of each MSET, and MSETs in flight on each connection.
const WRITERS: usize = 4;
const KEYS_PER_MSET: usize = 200;
const PIPELINED: usize = 10;

/// Writes `values` of `bytes` bytes and reads each once: caches are full before the measurement
/// begins.
pub(super) fn large(addr: &str, values: usize, bytes: usize) -> anyhow::Result<()> {
    let mut connection = Connection::open(addr, WITHIN)?;
    let mut rng = Rng::new(3);
    for n in 0..values {
        let (key, value) = (large_key(n, values), rng.bytes(bytes));
        let reply = connection.call(&[b"SET", key.as_bytes(), &value])?;
        ensure!(is_ok(&reply), "SET answered {reply:?}");
        let reply = connection.call(&["GET", &key])?;
        ensure!(reply == Reply::Bulk(value), "{key} is not what was written");
    }
    Ok(())
}

/// Writes `keys` with values of a single byte.
pub(super) fn many(addr: &str, keys: usize) -> anyhow::Result<()> {
    let share = keys.div_ceil(WRITERS);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let numbers = writer * share..((writer + 1) * share).min(keys);
                scope.spawn(move || write(addr, numbers.collect()))
            })
            .collect();
        for writer in writers {
            let ended = writer
                .join()
                .map_err(|_| anyhow::anyhow!("a writer panicked"))?;
            ended?;
        }
        Ok(())
    })
}

fn write(addr: &str, numbers: Vec<usize>) -> anyhow::Result<()> {
    let mut connection = Connection::open(addr, WITHIN)?;
    for batch in numbers.chunks(KEYS_PER_MSET * PIPELINED) {
        let mut bytes = Vec::new();
        for chunk in batch.chunks(KEYS_PER_MSET) {
            let mut words = vec!["MSET".to_owned()];
            words.extend(
                chunk
                    .iter()
                    .flat_map(|n| [format!("many:{n:011}"), "1".to_owned()]),
            );
            encode(&mut bytes, &words);
        }
        connection.send_raw(&bytes)?;
        for _ in batch.chunks(KEYS_PER_MSET) {
            let reply = connection.receive()?;
            ensure!(is_ok(&reply), "MSET answered {reply:?}");
        }
    }
    Ok(())
}

fn is_ok(reply: &Reply) -> bool {
    *reply == Reply::Simple("OK".to_owned())
}
