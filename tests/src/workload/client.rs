//! One client of a workload: a connection of the redis crate that is opened again after an error,
//! at the next address, as applications do it.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue};

use super::fate::{self, Fate};

/// How long a client waits for a reply: longer than a proxy's request timeout of 10 s, so that the
/// proxy, who knows the fate, is heard.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(20);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What a client met besides good replies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Troubles {
    /// Commands of which the client knows that they were not executed.
    pub not_executed: Vec<String>,
    /// Commands of unknown fate.
    pub unknown: Vec<String>,
    /// Error replies to the commands themselves.
    pub rejected: Vec<String>,
    /// Attempts to connect that failed.
    pub connects_failed: usize,
}

impl Troubles {
    /// Adds another client's.
    pub fn merge(&mut self, other: Self) {
        self.not_executed.extend(other.not_executed);
        self.unknown.extend(other.unknown);
        self.rejected.extend(other.rejected);
        self.connects_failed += other.connects_failed;
    }

    /// Panics if any command failed in any way. Failed attempts to connect do not count.
    #[track_caller]
    pub fn expect_none(&self) {
        let commands = [&self.not_executed, &self.unknown, &self.rejected];
        assert!(
            commands.iter().all(|errors| errors.is_empty()),
            "clients saw errors: {self:?}"
        );
    }
}

/// A client with several addresses to try.
pub struct Client {
    addrs: Vec<String>,
    next: usize,
    connection: Option<MultiplexedConnection>,
    /// What it met.
    pub troubles: Troubles,
}

impl Client {
    /// A client of the servers at `addrs` (`IP:PORT`), starting with the `first`-th; not connected yet.
    #[must_use]
    pub fn new(addrs: &[String], first: usize) -> Self {
        Self {
            addrs: addrs.to_vec(),
            next: first,
            connection: None,
            troubles: Troubles::default(),
        }
    }

    /// Connects if it is not connected. False if that failed; the next attempt goes to another address.
    pub async fn connect(&mut self) -> bool {
        if self.connection.is_some() {
            return true;
        }
        let addr = &self.addrs[self.next % self.addrs.len()];
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(REPLY_TIMEOUT));
        let connected = match redis::Client::open(format!("redis://{addr}/")) {
            Ok(client) => {
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await
            }
            Err(error) => Err(error),
        };
        match connected {
            Ok(connection) => self.connection = Some(connection),
            Err(_) => {
                self.next += 1;
                self.troubles.connects_failed += 1;
                // Not a wait for anything: only so that a dead address is not asked in a busy loop.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        self.connection.is_some()
    }

    /// Sends a command; the client must be connected. An error is noted and its fate given; after
    /// one that leaves doubt about the connection, the next call connects anew.
    pub async fn call<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, Fate> {
        let Some(connection) = &mut self.connection else {
            return Err(Fate::NotExecuted);
        };
        let error = match command.query_async(connection).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let fate = fate::of(&error);
        match &fate {
            Fate::NotExecuted => self.troubles.not_executed.push(error.to_string()),
            Fate::Unknown => {
                self.troubles.unknown.push(error.to_string());
                if error.code().is_none() {
                    self.connection = None;
                    self.next += 1;
                }
            }
            Fate::Rejected(text) => self.troubles.rejected.push(text.clone()),
        }
        Err(fate)
    }
}
