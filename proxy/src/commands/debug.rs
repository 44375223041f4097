//! `DEBUG`: subcommands that tests need or that do no harm (Redis `debug.c`).

use std::time::Duration;

use coterie_redis_compat::{CommandError, Reply};

use super::{Named, Remote};

pub(super) const HANDLERS: &[Named] = &[("debug", alone!(debug))];

/// `DEBUG SLEEP seconds` holds this connection, not the proxy. What tests switch on a Redis server
/// and has no meaning here is answered OK.
async fn debug(call: Remote) -> Result<Reply, CommandError> {
    if call.is(1, "sleep") && call.args.len() == 3 {
        // A word that is no number is 0, as to C's `strtod`.
        let seconds = std::str::from_utf8(&call.args[2]).unwrap_or_default();
        let seconds: f64 = seconds.parse().unwrap_or(0.0);
        let seconds = if seconds.is_finite() { seconds } else { 0.0 };
        tokio::time::sleep(Duration::from_secs_f64(seconds.clamp(0.0, 86_400.0))).await;
        return Ok(Reply::OK);
    }
    if call.is(1, "help") && call.args.len() == 2 {
        let lines = [
            "SLEEP <seconds>",
            "    Stop this connection for <seconds>. Decimals allowed.",
        ];
        return Ok(Reply::help("DEBUG", &lines));
    }
    let harmless = ["quicklist-packed-threshold", "set-active-expire"];
    if call.args.len() == 3 && harmless.iter().any(|word| call.is(1, word)) {
        return Ok(Reply::OK);
    }
    Err(super::subcommand_syntax(&call.args[1], "DEBUG"))
}
