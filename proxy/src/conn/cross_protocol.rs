//! Cross-protocol attacks: a browser that is made to send an HTTP request to this port would have
//! the lines of its body run as commands. `POST` and `Host:` reveal it, and are no commands of
//! Redis: the connection is closed without a reply (Redis `server.c`, `securityWarningCommand`).

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::clients::Client;

/// Minimum time between two warnings, as in Redis: a page may try often.
const WARNING_PAUSE: Duration = Duration::from_secs(60);

/// Whether a command of this name is a line of an HTTP request.
pub(super) fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// Logs the client for the operator.
pub(super) fn warn(client: &Client) {
    // Shared by the process, as its log is.
    static WARNED_AT: Mutex<Option<Instant>> = Mutex::new(None);
    let mut warned_at = WARNED_AT.lock();
    if warned_at.is_some_and(|at| at.elapsed() < WARNING_PAUSE) {
        return;
    }
    *warned_at = Some(Instant::now());
    tracing::warn!(
        client = client.id,
        addr = %client.addr,
        "possible attack: somebody sends POST or Host: commands, likely by cross-protocol \
         scripting; connection aborted"
    );
}

#[cfg(test)]
mod tests {
    use super::is_http;

    #[test]
    fn lines_of_http_are_known_in_any_case() {
        for name in ["POST", "post", "Host:", "HOST:"] {
            assert!(is_http(name.as_bytes()), "{name}");
        }
        for name in ["host", "host:x", "posts", "get", ""] {
            assert!(!is_http(name.as_bytes()), "{name}");
        }
    }
}
