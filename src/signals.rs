//! SIGTERM and SIGINT: the first signal asks the process to drain and end, the second ends it at
//! once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Exit code that a shell reports for a process ended by SIGINT; differs from that of a failure.
const EXIT_INTERRUPTED: i32 = 130;

/// A token that is cancelled by the first signal.
///
/// # Errors
/// When the process cannot take signals.
pub(crate) fn shutdown() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = CancellationToken::new();
    let asked = shutdown.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let first = next().await;
        info!(
            signal = first,
            "draining; another signal ends the process at once"
        );
        asked.cancel();
        let second = next().await;
        warn!(signal = second, "ended before it was drained");
        std::process::exit(EXIT_INTERRUPTED);
    });
    Ok(shutdown)
}
