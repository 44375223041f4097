//! `DEBUG`: what tests need, and what does no harm (Redis `debug.c`).

use std::time::Duration;

use coterie_redis_compat::{CommandError, Reply};

use super::Call;

/// `DEBUG SLEEP seconds` holds this connection, not the proxy. `DEBUG JMAP` and the like are
/// answered OK.
pub(crate) async fn debug(call: Call) -> Result<Reply, CommandError> {
    if call.is(1, "sleep") && call.args.len() == 3 {
        let seconds = std::str::from_utf8(&call.args[2])
            .ok()
            .and_then(|s| s.parse::<f64>().ok());
        let seconds = seconds
            .filter(|s| s.is_finite())
            .ok_or(CommandError::NotAFloat)?;
        tokio::time::sleep(Duration::from_secs_f64(seconds.clamp(0.0, 86_400.0))).await;
        return Ok(Reply::OK);
    }
    if call.is(1, "help") && call.args.len() == 2 {
        let lines = [
            "JMAP",
            "    Do nothing.",
            "SLEEP <seconds>",
            "    Stop this connection for <seconds>. Decimals allowed.",
        ];
        return Ok(Reply::help("DEBUG", &lines));
    }
    let harmless = [
        "jmap",
        "quicklist-packed-threshold",
        "set-active-expire",
        "stringmatch-len",
    ];
    if harmless.iter().any(|word| call.is(1, word)) {
        return Ok(Reply::OK);
    }
    Err(CommandError::UnknownSubcommand(
        call.args[1].clone(),
        "debug",
    ))
}
