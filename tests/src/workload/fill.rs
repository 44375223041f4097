//! Data to be copied: values of 16 KiB, written in a pipeline.

use anyhow::ensure;

use super::client::REPLY_TIMEOUT;
use crate::connection::Connection;
use crate::resp::Reply;
use crate::rng::Rng;

const VALUE_BYTES: usize = 16 * 1024;

/// The number of commands that are sent before their replies are read.
const PIPELINED: usize = 32;

/// Writes `bytes` of data under keys that are spread evenly over the key space.
pub fn spread(addr: &str, bytes: usize) -> anyhow::Result<()> {
    fill(addr, bytes, &|n| format!("{:02x}:fill:{n}", n * 37 % 256))
}

/// Writes `bytes` of data under keys that begin with `prefix`.
pub fn under(addr: &str, prefix: &str, bytes: usize) -> anyhow::Result<()> {
    fill(addr, bytes, &|n| format!("{prefix}fill:{n}"))
}

fn fill(addr: &str, bytes: usize, key: &dyn Fn(usize) -> String) -> anyhow::Result<()> {
    let mut connection = Connection::open(addr, REPLY_TIMEOUT)?;
    // Random values cannot be compressed. The seed is fixed: each run writes the same.
    let mut rng = Rng::new(bytes as u64);
    let numbers: Vec<usize> = (0..bytes / VALUE_BYTES).collect();
    for chunk in numbers.chunks(PIPELINED) {
        for &n in chunk {
            let value = rng.bytes(VALUE_BYTES);
            connection.send(&[b"SET", key(n).as_bytes(), &value])?;
        }
        for _ in chunk {
            let reply = connection.receive()?;
            ensure!(reply == Reply::Simple("OK".to_owned()), "{reply:?}");
        }
    }
    Ok(())
}
