//! Questions of a client about the server itself: ROLE, TIME, LASTSAVE.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use coterie_redis_compat::{CommandError, Reply};

use super::{Answer, Handler, Local, Named, int, text};

pub(super) const HANDLERS: &[Named] = &[
    ("lastsave", Handler::Now(lastsave)),
    ("role", Handler::Now(role)),
    ("time", Handler::Now(time)),
];

/// `ROLE`: a master without replicas of its own, as every key can be written here. `COTERIE
/// GROUPS` shows the replicas.
fn role(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::Array(vec![
        Reply::text("master"),
        Reply::Integer(0),
        Reply::Array(Vec::new()),
    ])
    .into())
}

/// `TIME`: this proxy's clock. Expiry goes by the clocks of the groups.
fn time(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let micros = now.subsec_micros();
    Ok(Reply::Array(vec![
        text(now.as_secs().to_string()),
        text(micros.to_string()),
    ])
    .into())
}

/// `LASTSAVE`: now, as acknowledged writes are on disk.
fn lastsave(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ok(int(now.as_secs()).into())
}
