//! A real redis-server: Coterie is compared with it, and the harness is tested against it.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use crate::connection::Connection;
use crate::ports::Port;
use crate::process::Process;
use crate::resp::Reply;
use crate::wait;

/// Whether this machine has a redis-server; without it, tests that need it print SKIPPED.
#[must_use]
pub fn is_installed() -> bool {
    let version = std::process::Command::new("redis-server")
        .arg("--version")
        .output();
    version.is_ok_and(|out| out.status.success())
}

/// A running redis-server with a directory of its own under the given one.
#[derive(Debug)]
pub struct RedisServer {
    /// The process, to be paused or killed.
    pub process: Process,
    port: Port,
}

impl RedisServer {
    /// Starts a redis-server without persistence and waits until it answers; `flags` come last and
    /// override.
    pub fn start(dir: &Path, name: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let port = Port::reserve()?;
        let data = dir.join(name);
        std::fs::create_dir_all(&data)?;
        let log = dir.join(format!("{name}.log"));
        let mut process = Process::new(name, Path::new("redis-server"), log)
            .args(["--port", &port.number().to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .args(["--dir".into(), data.into_os_string()])
            .args(flags);
        process.start()?;
        let server = Self { process, port };
        wait::until("redis-server answers", Duration::from_secs(20), || {
            let mut connection = Connection::open(&server.addr(), Duration::from_secs(1))?;
            let answer = connection.call(&["PING"])?;
            // A redis-server with a password refuses PING and is ready. LOADING means that it is
            // still reading its files.
            let loading = matches!(&answer, Reply::Error(text) if text.starts_with("LOADING"));
            ensure!(!loading, "answered {answer:?}");
            Ok(())
        })?;
        Ok(server)
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn addr(&self) -> String {
        self.port.addr()
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }
}
