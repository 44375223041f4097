//! Who notices that a range stands still: for each key and each of writing and reading one client that
//! asks again as soon as it is answered, through one proxy.
//!
//! What a client waits at most in a window is the pause of its range in it. Clients of different kinds
//! have connections of their own, so that one does not wait for the other.

use std::time::Instant;

use super::client::{Client, Troubles};
use super::pauses::Pauses;
use super::{Load, think};

/// What a probe does between two calls: many probes must not be the load.
const THINK: std::time::Duration = std::time::Duration::from_millis(2);

/// Probes at work.
pub struct Probes {
    writers: Load<Troubles>,
    readers: Load<Troubles>,
}

/// The longest that a write and a read waited.
#[derive(Debug, Clone)]
pub struct Longest {
    /// Of writes.
    pub writes: Pauses,
    /// Of reads.
    pub reads: Pauses,
}

impl Longest {
    /// The longer of the two.
    #[must_use]
    pub fn worst(&self) -> std::time::Duration {
        self.writes.worst().max(self.reads.worst())
    }
}

impl Probes {
    /// Starts probes of these keys at the proxy at `addr`.
    pub fn start(addr: &str, keys: &[String]) -> anyhow::Result<Self> {
        let start = |reads: bool| {
            let (addr, keys) = (addr.to_owned(), keys.to_vec());
            Load::start(keys.len(), move |number, progress| {
                let (addr, key) = (addr.clone(), keys[number].clone());
                async move {
                    let mut client = Client::new(&[addr], 0);
                    let mut command = match reads {
                        true => redis::cmd("GET"),
                        false => redis::cmd("SET"),
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

    /// Waits until both kinds have been answered so often from now on.
    pub fn wait_for(&self, more: u64, within: std::time::Duration) -> anyhow::Result<()> {
        self.writers.wait_for(more, within)?;
        self.readers.wait_for(more, within)
    }

    /// How long the calls waited that were answered since this was asked last.
    #[must_use]
    pub fn take(&self) -> Longest {
        Longest {
            writes: self.writers.take_pauses(),
            reads: self.readers.take_pauses(),
        }
    }

    /// Stops; what the clients met.
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
