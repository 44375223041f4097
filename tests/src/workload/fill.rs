//! Data that is there to be copied: so many bytes in values of 16 KiB, pipelined.

use anyhow::ensure;

use super::client::REPLY_TIMEOUT;
use crate::connection::Connection;
use crate::resp::Reply;
use crate::rng::Rng;

const VALUE_BYTES: usize = 16 * 1024;

/// Commands that are sent before a reply is read.
const PIPELINED: usize = 32;

/// Spread evenly over all keys.
pub fn spread(addr: &str, bytes: usize) -> anyhow::Result<()> {
    fill(addr, bytes, &|n| format!("{:02x}:fill:{n}", n * 37 % 256))
}

/// Under keys that begin so.
pub fn under(addr: &str, prefix: &str, bytes: usize) -> anyhow::Result<()> {
    fill(addr, bytes, &|n| format!("{prefix}fill:{n}"))
}

fn fill(addr: &str, bytes: usize, key: &dyn Fn(usize) -> String) -> anyhow::Result<()> {
    let mut connection = Connection::open(addr, REPLY_TIMEOUT)?;
    // Random, so that a byte is a byte on disk as well. One seed for all: each run writes the same.
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
