//! The metrics and the health of a process, and their HTTP endpoint.
//!
//! Each role's `start` makes an endpoint of its own; `coterie dev` and `coterie node` make a single
//! endpoint for all roles of the process.

use std::net::SocketAddr;

use crate::{Health, Http, ListenError, Metrics};

/// See the module's head.
#[derive(Debug)]
pub struct Endpoint {
    /// The process' metrics.
    pub metrics: Metrics,
    /// The process' health.
    pub health: Health,
    http: Option<Http>,
}

impl Endpoint {
    /// Empty metrics and health, served at `listen` if that is given.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(listen: Option<&str>) -> Result<Endpoint, ListenError> {
        let (metrics, health) = (Metrics::new(), Health::new());
        let http = match listen {
            Some(listen) => {
                let started = Http::start(listen, metrics.clone(), health.clone()).await;
                Some(started.map_err(ListenError::at(listen))?)
            }
            None => None,
        };
        Ok(Endpoint {
            metrics,
            health,
            http,
        })
    }

    /// Where it listens, if it does.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(Http::local_addr)
    }

    /// Returns the role that was started with this endpoint. Closes the endpoint if the role did
    /// not start: the port would stay open otherwise.
    ///
    /// # Errors
    /// The role's.
    pub async fn of<T, E>(self, started: Result<T, E>) -> Result<(T, Endpoint), E> {
        match started {
            Ok(role) => Ok((role, self)),
            Err(error) => {
                self.shutdown().await;
                Err(error)
            }
        }
    }

    /// Stops serving, as [`Http::shutdown`] does.
    pub async fn shutdown(self) {
        if let Some(http) = self.http {
            http.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn the_port_of_a_role_that_did_not_start_is_closed() {
        let endpoint = Endpoint::start(Some("127.0.0.1:0")).await.unwrap();
        let addr = endpoint.http_addr().unwrap();
        let ((), endpoint) = endpoint.of(Ok::<(), io::Error>(())).await.unwrap();
        TcpStream::connect(addr).await.unwrap();
        let started = Err::<(), io::Error>(io::Error::other("no disk"));
        assert!(endpoint.of(started).await.is_err());
        assert!(TcpStream::connect(addr).await.is_err());
    }
}
