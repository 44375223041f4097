//! A client of a workload: a connection of the redis crate. After an error it reconnects, at the
//! next address, as applications do.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue};

use super::fate::{self, Fate};

/// Time limit for a reply: longer than a proxy's request timeout of 10 s, so that the client gets
/// the reply of the proxy, which knows the fate of the command.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(20);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The errors that a client met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Troubles {
    /// Errors of commands that were surely not executed.
    pub not_executed: Vec<String>,
    /// Errors of commands of unknown fate.
    pub unknown: Vec<String>,
    /// Error replies that refuse the commands themselves.
    pub rejected: Vec<String>,
    /// The number of failed attempts to connect.
    pub connects_failed: usize,
}

impl Troubles {
    /// Adds the errors of another client.
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

/// A client with several addresses.
pub struct Client {
    addrs: Vec<String>,
    next: usize,
    connection: Option<MultiplexedConnection>,
    /// The errors that it met.
    pub troubles: Troubles,
}

impl Client {
    /// A client of the servers at `addrs` (`IP:PORT`), not connected yet. Its first address is
    /// number `first`.
    #[must_use]
    pub fn new(addrs: &[String], first: usize) -> Self {
        Self {
            addrs: addrs.to_vec(),
            next: first,
            connection: None,
            troubles: Troubles::default(),
        }
    }

    /// Connects if it is not connected. False if that failed; the next attempt uses the next
    /// address.
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
                // No wait for a condition: it keeps a dead address from being retried in a busy
                // loop.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        self.connection.is_some()
    }

    /// Sends a command; the client must be connected. Records an error and returns the command's
    /// fate. After an error that leaves the state of the connection in doubt, the next call
    /// reconnects.
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
