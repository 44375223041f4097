//! The side of a proxy that clients connect to. The words of the settings are Redis'.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use crate::files::Material;
use crate::{Files, Kind, TlsError, provider};

/// Whether clients have to show a certificate (`tls-auth-clients`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthClients {
    /// Every client has to.
    #[default]
    Yes,
    /// Certificates are not asked for.
    No,
    /// A client may; the certificate has to be good then.
    Optional,
}

impl FromStr for AuthClients {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "yes" => Ok(Self::Yes),
            "no" => Ok(Self::No),
            "optional" => Ok(Self::Optional),
            _ => Err("argument(s) must be one of the following: no, yes, optional".to_owned()),
        }
    }
}

impl fmt::Display for AuthClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Optional => "optional",
        })
    }
}

/// The versions of TLS that clients may speak (`tls-protocols`); at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols {
    tls12: bool,
    tls13: bool,
}

impl Default for Protocols {
    fn default() -> Self {
        Self {
            tls12: true,
            tls13: true,
        }
    }
}

impl Protocols {
    fn versions(self) -> Vec<&'static SupportedProtocolVersion> {
        let tls13 = self.tls13.then_some(&TLS13);
        let tls12 = self.tls12.then_some(&TLS12);
        tls13.into_iter().chain(tls12).collect()
    }
}

impl FromStr for Protocols {
    type Err = String;

    /// Reads `TLSv1.2 TLSv1.3`, in any order; empty for the default.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut protocols = Self {
            tls12: false,
            tls13: false,
        };
        for word in text.split_whitespace() {
            match word.to_ascii_lowercase().as_str() {
                "tlsv1.2" => protocols.tls12 = true,
                "tlsv1.3" => protocols.tls13 = true,
                _ => return Err("only TLSv1.2 and TLSv1.3 are supported".to_owned()),
            }
        }
        if protocols.versions().is_empty() {
            protocols = Self::default();
        }
        Ok(protocols)
    }
}

impl fmt::Display for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.tls12, self.tls13) {
            (true, false) => "TLSv1.2",
            (false, true) => "TLSv1.3",
            _ => "TLSv1.2 TLSv1.3",
        })
    }
}

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// The proxy's certificate, and the authorities of clients' certificates.
    pub files: Files,
    /// Whether clients have to show a certificate.
    pub auth: AuthClients,
    /// Versions of TLS.
    pub protocols: Protocols,
}

impl Kind for ClientTls {
    type Settings = Arc<ServerConfig>;

    const USE: &'static str = "clients";

    fn files(&self) -> &Files {
        &self.files
    }

    fn settings(&self, material: &Material) -> Result<Arc<ServerConfig>, TlsError> {
        let cert = &self.files.cert;
        let refused = |error: rustls::Error| TlsError::content(cert, error.to_string());
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&self.protocols.versions())
            .map_err(refused)?;
        let builder = match (self.auth, &material.authorities) {
            (AuthClients::No, _) => builder.with_no_client_auth(),
            (_, None) => {
                return Err(TlsError::Flags(
                    "clients' certificates cannot be checked: give the authorities by \
                     --tls-ca-cert-file, or do not ask for certificates: --tls-auth-clients no"
                        .to_owned(),
                ));
            }
            (auth, Some(authorities)) => {
                let roots = Arc::new(authorities.clone());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let verifier = match auth {
                    AuthClients::Optional => verifier.allow_unauthenticated(),
                    _ => verifier,
                };
                let ca = self.files.ca.as_ref().unwrap_or(cert);
                let verifier = verifier
                    .build()
                    .map_err(|error| TlsError::content(ca, error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder
            .with_single_cert(material.chain.clone(), material.key.clone_key())
            .map_err(refused)?;
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use coterie_certificates::Authority;

    use super::*;
    use crate::Watched;
    use crate::test_authority::files;

    #[test]
    fn words_are_redis() {
        for (text, auth) in [
            ("yes", AuthClients::Yes),
            ("NO", AuthClients::No),
            ("optional", AuthClients::Optional),
        ] {
            let read: AuthClients = text.parse().unwrap();
            assert_eq!(read, auth);
            assert_eq!(read.to_string(), text.to_ascii_lowercase());
        }
        assert!("maybe".parse::<AuthClients>().is_err());
        for (text, shown) in [
            ("TLSv1.2", "TLSv1.2"),
            ("tlsv1.3", "TLSv1.3"),
            ("TLSv1.3 TLSv1.2", "TLSv1.2 TLSv1.3"),
            ("", "TLSv1.2 TLSv1.3"),
        ] {
            assert_eq!(text.parse::<Protocols>().unwrap().to_string(), shown);
        }
        assert!("TLSv1.1".parse::<Protocols>().is_err());
    }

    #[test]
    fn certificates_of_clients_need_an_authority() {
        let authority = Authority::new("a");
        let mut tls = ClientTls {
            files: files(&authority, "localhost"),
            auth: AuthClients::Yes,
            protocols: Protocols::default(),
        };
        assert!(Watched::open(tls.clone()).is_ok());
        tls.files.ca = None;
        for auth in [AuthClients::Yes, AuthClients::Optional] {
            tls.auth = auth;
            let error = Watched::open(tls.clone()).err().unwrap().to_string();
            assert!(error.contains("--tls-ca-cert-file"), "{error}");
        }
        tls.auth = AuthClients::No;
        assert!(Watched::open(tls).is_ok());
    }
}
