//! `CONFIG` of TLS for clients (Redis `config.c`). All TLS settings of a CONFIG SET are read and
//! tried together, so that a certificate and its key change at the same moment. While TLS is off,
//! nothing of it can be set.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use coterie_redis_compat::CommandError;
use coterie_tls::{ClientTls, File, Made};

use super::words::failed_to_set;
use crate::shared::Shared;
use crate::tls::CA;

/// A setting of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    AuthClients,
    Ca,
    Cert,
    Key,
    Protocols,
}

impl Field {
    /// The value in force; empty without TLS.
    pub(super) fn get(self, shared: &Shared) -> Bytes {
        let Some(tls) = &shared.tls else {
            return Bytes::new();
        };
        let tls = tls.in_force();
        let text = match self {
            Self::AuthClients => tls.auth.to_string(),
            Self::Protocols => tls.protocols.to_string(),
            Self::Ca => tls
                .files
                .ca
                .as_ref()
                .map_or_else(String::new, |ca| shown(&ca.path)),
            Self::Cert => shown(&tls.files.cert.path),
            Self::Key => shown(&tls.files.key.path),
        };
        Bytes::from(text)
    }

    fn set(self, tls: &mut ClientTls, value: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(value).map_err(|error| error.to_string())?;
        let path = PathBuf::from(text);
        match self {
            Self::AuthClients => tls.auth = text.parse()?,
            Self::Protocols => tls.protocols = text.parse()?,
            Self::Ca => {
                tls.files.ca = (!text.is_empty()).then_some(File { flag: CA, path });
            }
            Self::Cert => tls.files.cert.path = path,
            Self::Key => tls.files.key.path = path,
        }
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The port for TLS; 0 for none.
pub(super) fn port(shared: &Shared) -> u16 {
    shared.tls.as_ref().map_or(0, |tls| tls.addr.port())
}

/// Reads the files of the changed settings. Nothing changes before [`put`]. The log has more than
/// the error.
pub(super) fn try_out<'a>(
    shared: &Shared,
    changes: impl Iterator<Item = (&'static str, Field, &'a Bytes)>,
) -> Result<Option<Made<ClientTls>>, CommandError> {
    let mut wanted = None;
    for (name, field, value) in changes {
        let failed = |reason: &str| failed_to_set(name.as_bytes(), reason);
        let Some(tls) = &shared.tls else {
            return Err(failed("TLS is off: the flag --tls-listen turns it on"));
        };
        let (_, wanted) = wanted.get_or_insert_with(|| (name, tls.in_force()));
        field.set(wanted, value).map_err(|reason| failed(&reason))?;
    }
    let Some((name, wanted)) = wanted else {
        return Ok(None);
    };
    Made::of(wanted).map(Some).map_err(|error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "CONFIG SET: the TLS settings cannot be used"
        );
        let reason = "Unable to update TLS configuration. Check server logs.";
        failed_to_set(name.as_bytes(), reason)
    })
}

/// Puts settings in force for clients that connect from now on.
pub(super) fn put(shared: &Shared, made: Option<Made<ClientTls>>) {
    if let (Some(tls), Some(made)) = (&shared.tls, made) {
        tls.put(made);
    }
}
