//! How a process proves that it belongs to the cluster: the token, and the certificate if the
//! cluster uses TLS.

use std::path::PathBuf;
use std::sync::Arc;

use coterie_config::{ClusterTlsFiles, ClusterToken, TokenError};
use coterie_tls::{ClusterTls, File, Files, Mutual, TlsError, Watched};
use prometheus_client::collector::Collector;
use rustls::pki_types::ServerName;

use crate::Token;

/// The name in the cluster's certificates, unless the flag gives another.
const NAME: &str = "coterie";

/// See the module's head. Clones share the certificate, which is read again when its files change.
#[derive(Clone)]
pub struct Credentials {
    pub(crate) token: Token,
    tls: Option<Arc<Watched<ClusterTls>>>,
}

/// Why a process has no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The cluster's secret is missing or given twice.
    #[error("read the cluster token")]
    Token(#[from] TokenError),
    /// The certificate cannot be used.
    #[error("TLS between processes")]
    Tls(#[from] TlsError),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("token", &self.token)
            .field("tls", &self.tls.is_some())
            .finish()
    }
}

impl From<Token> for Credentials {
    fn from(token: Token) -> Self {
        Self { token, tls: None }
    }
}

impl Credentials {
    /// The credentials that the flags give. Call it within a runtime: a task watches the files of
    /// the certificate.
    ///
    /// # Errors
    /// When there is no token, the flags of TLS are incomplete, or a file cannot be used.
    pub fn open(token: &ClusterToken, tls: &ClusterTlsFiles) -> Result<Self, CredentialsError> {
        let token = Token::new(token.secret()?);
        Self::with_tls(token, tls)
    }

    /// The same with a token that is known.
    ///
    /// # Errors
    /// When the flags of TLS are incomplete, or a file cannot be used.
    pub fn with_tls(token: Token, tls: &ClusterTlsFiles) -> Result<Self, CredentialsError> {
        let tls = cluster_tls(tls)?.map(Watched::open).transpose()?;
        if let Some(tls) = &tls {
            tls.watch();
        }
        Ok(Self { token, tls })
    }

    /// The metrics of the certificate, if there is one.
    #[must_use]
    pub fn collector(&self) -> Option<Box<dyn Collector>> {
        self.tls.as_ref().map(Watched::collector)
    }

    /// The settings of TLS in force.
    pub(crate) fn mutual(&self) -> Option<Mutual> {
        self.tls.as_ref().map(|tls| tls.settings())
    }
}

/// The flags as a use of TLS: all files, or none.
fn cluster_tls(flags: &ClusterTlsFiles) -> Result<Option<ClusterTls>, TlsError> {
    const CERT: &str = "--cluster-tls-cert-file";
    const KEY: &str = "--cluster-tls-key-file";
    const CA: &str = "--cluster-tls-ca-file";
    let ClusterTlsFiles {
        cluster_tls_cert_file: cert,
        cluster_tls_key_file: key,
        cluster_tls_ca_file: ca,
        cluster_tls_name: name,
    } = flags;
    if (cert, key, ca) == (&None, &None, &None) {
        return match name {
            Some(_) => {
                let reason = format!("--cluster-tls-name needs {CERT}, {KEY} and {CA}");
                Err(TlsError::Flags(reason))
            }
            None => Ok(None),
        };
    }
    let file = |flag: &'static str, path: &Option<PathBuf>| match path {
        Some(path) => Ok(File {
            flag,
            path: path.clone(),
        }),
        None => {
            let reason = format!("TLS between processes needs {CERT}, {KEY} and {CA}: no {flag}");
            Err(TlsError::Flags(reason))
        }
    };
    let name = name.as_deref().unwrap_or(NAME);
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| TlsError::Flags(format!("--cluster-tls-name: `{name}` is no DNS name")))?;
    let files = Files {
        cert: file(CERT, cert)?,
        key: file(KEY, key)?,
        ca: Some(file(CA, ca)?),
    };
    Ok(Some(ClusterTls { files, name }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_tls_are_given_together_or_not_at_all() {
        let mut flags = ClusterTlsFiles::default();
        assert!(cluster_tls(&flags).unwrap().is_none());
        flags.cluster_tls_name = Some("other".to_owned());
        assert!(cluster_tls(&flags).is_err());
        flags.cluster_tls_cert_file = Some("cert".into());
        flags.cluster_tls_ca_file = Some("ca".into());
        let error = cluster_tls(&flags).unwrap_err().to_string();
        assert!(error.ends_with("no --cluster-tls-key-file"), "{error}");
        flags.cluster_tls_key_file = Some("key".into());
        let tls = cluster_tls(&flags).unwrap().unwrap();
        assert_eq!(tls.name.to_str(), "other");
        flags.cluster_tls_name = Some("no name".to_owned());
        assert!(cluster_tls(&flags).is_err());
    }
}
