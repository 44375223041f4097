//! Ports that stay reserved while a process is down.
//!
//! A process that is killed and started again must return to its old address, so port 0 is no
//! option: while the process is down the system may hand the port to any other, most likely as the
//! local end of an outgoing connection. So ports are taken from below the range that the system
//! hands out by itself (32768 on Linux), and reserved by a lock on a file. The lock works across
//! test processes and is released with the [`Port`], or when its process ends in whatever way.

use std::fs::{File, create_dir_all};
use std::net::TcpListener;

use anyhow::{Context, bail};

use crate::rng::Rng;

const FIRST: u16 = 10_000;
const LAST: u16 = 32_000;

/// A loopback port that no other harness uses while this value lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    // Held for its lock.
    _reservation: File,
}

impl Port {
    /// Reserves a free port.
    pub fn reserve() -> anyhow::Result<Self> {
        let mut rng = Rng::new(getrandom::u64()?);
        for _ in 0..10_000 {
            let number = FIRST + rng.below(usize::from(LAST - FIRST)) as u16;
            if let Some(port) = Self::try_reserve(number)? {
                return Ok(port);
            }
        }
        bail!("no free port between {FIRST} and {LAST}")
    }

    /// Reserves the port `number`; an error if it is taken.
    pub fn reserve_number(number: u16) -> anyhow::Result<Self> {
        Self::try_reserve(number)?.with_context(|| format!("port {number} is taken"))
    }

    fn try_reserve(number: u16) -> anyhow::Result<Option<Self>> {
        let dir = std::env::temp_dir().join("coterie-test-ports");
        create_dir_all(&dir).context("create the folder of port reservations")?;
        let file = File::create(dir.join(number.to_string()))?;
        // Binds the port and releases it: a foreign program may listen there without a reservation.
        let free = file.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok();
        Ok(free.then_some(Self {
            number,
            _reservation: file,
        }))
    }

    /// The number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_reservations_differ() {
        let ports: Vec<Port> = (0..50).map(|_| Port::reserve().expect("a port")).collect();
        let distinct: std::collections::BTreeSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(distinct.len(), ports.len());
    }
}
