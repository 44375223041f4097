//! The HTTP endpoint of a process: `/metrics`, `/health`, `/ready`, and the routes of its roles.
//!
//! Plain HTTP without authentication: it shows counters and states, never keys or values, and is
//! meant for loopback or a network of operators.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Health, Metrics};

/// How long requests in flight may still take when the server is shut down.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The format that `Metrics::encode` writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A running endpoint. When dropped, it keeps running until the runtime ends; see
/// [`Http::shutdown`].
#[derive(Debug)]
pub struct Http {
    local_addr: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

impl Http {
    /// Listens at `listen` (`127.0.0.1:0` takes any free port) and serves.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(listen: &str, metrics: Metrics, health: Health) -> io::Result<Http> {
        Http::start_with(listen, metrics, health, Router::new()).await
    }

    /// Like [`Http::start`], with additional routes, for instance the controller's console.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start_with(
        listen: &str,
        metrics: Metrics,
        health: Health,
        more: Router,
    ) -> io::Result<Http> {
        let listener = TcpListener::bind(listen).await?;
        let local_addr = listener.local_addr()?;
        let stop = CancellationToken::new();
        let router = router(metrics, health).merge(more);
        let stopped = stop.clone().cancelled_owned();
        let serve = axum::serve(listener, router).with_graceful_shutdown(stopped);
        let task = tokio::spawn(async move { serve.await });
        Ok(Http {
            local_addr,
            stop,
            task,
        })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Stops accepting, gives the requests in flight a moment to end, then closes.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        // A client that reads slowly, or a page that stays open, must not delay the end of the
        // process.
        if tokio::time::timeout(DRAIN_TIMEOUT, &mut self.task)
            .await
            .is_err()
        {
            self.task.abort();
        }
    }
}

fn router(metrics: Metrics, health: Health) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .with_state(metrics)
        .merge(
            Router::new()
                .route("/health", get(show_health))
                .route("/ready", get(show_ready))
                .with_state(health),
        )
}

async fn show_metrics(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.encode())
}

async fn show_health(State(health): State<Health>) -> impl IntoResponse {
    (status(health.is_healthy()), health.describe())
}

async fn show_ready(State(health): State<Health>) -> impl IntoResponse {
    (status(health.is_ready()), health.describe())
}

fn status(good: bool) -> StatusCode {
    if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn fetch(addr: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn it_shows_metrics_and_health_and_stops() {
        let health = Health::new();
        let http = Http::start("127.0.0.1:0", Metrics::new(), health.clone())
            .await
            .unwrap();
        let addr = http.local_addr();

        let answer = fetch(addr, "/metrics").await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("# EOF\n"),
            "{answer}"
        );
        let component = health.component("server");
        assert!(fetch(addr, "/ready").await.starts_with("HTTP/1.1 503"));
        assert!(fetch(addr, "/health").await.starts_with("HTTP/1.1 200"));
        component.ready();
        assert!(fetch(addr, "/ready").await.ends_with("server: ready\n"));
        assert!(fetch(addr, "/nothing").await.starts_with("HTTP/1.1 404"));

        http.shutdown().await;
        assert!(TcpStream::connect(addr).await.is_err());
    }
}
