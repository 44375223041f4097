//! Certificates for the tests of this crate.

use std::time::{SystemTime, UNIX_EPOCH};

use coterie_certificates::{Authority, Signed};

use crate::{File, Files};

/// Seconds of Unix time.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// The files of a new certificate of this name.
pub(crate) fn files(authority: &Authority, name: &str) -> Files {
    of(authority, authority.sign(&[name]))
}

/// The files of this certificate, with the flags `--cert`, `--key` and `--ca`.
pub(crate) fn of(authority: &Authority, signed: Signed) -> Files {
    let file = |flag, path| File { flag, path };
    Files {
        cert: file("--cert", signed.cert),
        key: file("--key", signed.key),
        ca: Some(file("--ca", authority.ca())),
    }
}
