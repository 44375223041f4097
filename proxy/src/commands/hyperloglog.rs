//! `PFSELFTEST`.

use coterie_redis_compat::{CommandError, Reply, hyperloglog_self_test};

use super::{Answer, Handler, Local, Named};

pub(super) const HANDLERS: &[Named] = &[("pfselftest", Handler::Now(self_test))];

/// `PFSELFTEST`: OK. It takes some milliseconds.
fn self_test(_: &mut Local<'_>, _: &[bytes::Bytes]) -> Result<Answer, CommandError> {
    hyperloglog_self_test()?;
    Ok(Reply::OK.into())
}
