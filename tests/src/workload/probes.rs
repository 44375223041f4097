//! Detects that a range stalls: each key has a writing and a reading client, which repeats its
//! command as soon as it has the reply, through a single proxy.
//!
//! The longest wait of a client in a window of time is the pause of its range in that window.
//! Clients have connections of their own, so that none waits for another.

use std::time::Instant;

use super::client::{Client, Troubles};
use super::pauses::Pauses;
use super::{Load, think};

/// The pause of a probe between two calls, so that many probes are little load.
const THINK: std::time::Duration = std::time::Duration::from_millis(2);

/// The running probes.
pub struct Probes {
    writers: Load<Troubles>,
    readers: Load<Troubles>,
}

/// The waiting times of writes and reads.
#[derive(Debug, Clone)]
pub struct Longest {
    /// The waiting times of writes.
    pub writes: Pauses,
    /// The waiting times of reads.
    pub reads: Pauses,
}

impl Longest {
    /// The longest wait of all.
    #[must_use]
    pub fn worst(&self) -> std::time::Duration {
        self.writes.worst().max(self.reads.worst())
    }
}

impl Probes {
    /// Starts probes of these keys at the proxy `addr`.
    pub fn start(addr: &str, keys: &[String]) -> anyhow::Result<Self> {
        let start = |reads: bool| {
            let (addr, keys) = (addr.to_owned(), keys.to_vec());
            Load::start(keys.len(), move |number, progress| {
                let (addr, key) = (addr.clone(), keys[number].clone());
                async move {
                    let mut client = Client::new(&[addr], 0);
                    let mut command = if reads {
                        redis::cmd("GET")
                    } else {
                        redis::cmd("SET")
                    };
                    command.arg(&key);
                    if !reads {
                        command.arg("x");
                    }
                    while !progress.stopped() {
                        if !client.connect().await {
                            continue;
                        }
                        let began = Instant::now();
                        if client.call::<redis::Value>(&command).await.is_ok() {
                            progress.acknowledged(began);
                        }
                        think(THINK).await;
                    }
                    client.troubles
                }
            })
        };
        Ok(Self {
            writers: start(false)?,
            readers: start(true)?,
        })
    }

    /// Waits until writers and readers have each had `more` further replies.
    pub fn wait_for(&self, more: u64, within: std::time::Duration) -> anyhow::Result<()> {
        self.writers.wait_for(more, within)?;
        self.readers.wait_for(more, within)
    }

    /// The waiting times of the calls answered since the last call of this function.
    #[must_use]
    pub fn take(&self) -> Longest {
        Longest {
            writes: self.writers.take_pauses(),
            reads: self.readers.take_pauses(),
        }
    }

    /// Stops the clients and returns their errors.
    pub fn finish(self, within: std::time::Duration) -> anyhow::Result<Troubles> {
        let mut all = Troubles::default();
        for load in [self.writers, self.readers] {
            for troubles in load.stop(within)? {
                all.merge(troubles);
            }
        }
        Ok(all)
    }
}
