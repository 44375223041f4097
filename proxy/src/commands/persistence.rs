//! `SAVE`, `BGSAVE`, `BGREWRITEAOF` and `SHUTDOWN`. There is nothing to save, as acknowledged
//! writes are on disk, and clients stop no cluster.

use bytes::Bytes;
use coterie_redis_compat::errors::{NO_SHUTDOWN, NOTHING_TO_ABORT, SYNTAX};
use coterie_redis_compat::{CommandError, Reply, Word};

use super::{Answer, Handler, Local, Named, is};

pub(super) const HANDLERS: &[Named] = &[
    ("bgrewriteaof", Handler::Now(bgrewriteaof)),
    ("bgsave", Handler::Now(bgsave)),
    ("save", Handler::Now(save)),
    ("shutdown", Handler::Now(shutdown)),
];

/// `BGREWRITEAOF`.
fn bgrewriteaof(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::Simple("Background append only file rewriting started".into()).into())
}

/// `BGSAVE [SCHEDULE]`.
fn bgsave(_: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    if args.len() > 2 || (args.len() == 2 && !is(args, 1, "schedule")) {
        return Err(SYNTAX);
    }
    Ok(Reply::Simple("Background saving started".into()).into())
}

/// `SAVE`.
fn save(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::OK.into())
}

/// `SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT]`: refused.
fn shutdown(_: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let (mut save, mut nosave, mut abort, mut other) = (false, false, false, false);
    for word in &args[1..] {
        match Word(word).keyword().as_str() {
            "nosave" => nosave = true,
            "save" => save = true,
            "now" | "force" => other = true,
            "abort" => abort = true,
            _ => return Err(SYNTAX),
        }
    }
    if (abort && (save || nosave || other)) || (save && nosave) {
        return Err(SYNTAX);
    }
    Err(if abort { NOTHING_TO_ABORT } else { NO_SHUTDOWN })
}
