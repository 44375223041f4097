//! Connections between processes of a cluster: mutual, by TLS 1.3 only.
//!
//! Each process has a certificate of the cluster's authority, and a name that all of them share. It
//! is checked on both sides instead of an address, since nodes move
//! (`docs/decisions/2026-11-30-names-in-certificates.md`).

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::file::File;
use crate::files::Material;
use crate::{Files, Kind, TlsError, provider};

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterTls {
    /// The process' certificate, and the cluster's authority.
    pub files: Files,
    /// The name that every certificate of the cluster bears.
    pub name: ServerName<'static>,
}

/// The settings of both sides.
#[derive(Clone)]
pub struct Mutual {
    /// Of the side that connects.
    pub client: Arc<ClientConfig>,
    /// Of the side that accepts.
    pub server: Arc<ServerConfig>,
    /// The name of the cluster's certificates.
    pub name: ServerName<'static>,
}

impl Mutual {
    /// Whether `certificates` of a peer, which are of the cluster's authority, bear the cluster's
    /// name. rustls checks the name of the accepting side only.
    #[must_use]
    pub fn is_named(&self, certificates: Option<&[CertificateDer<'_>]>) -> bool {
        let first = certificates.and_then(<[_]>::first);
        first.is_some_and(|certificate| is_named(certificate, &self.name))
    }
}

impl Kind for ClusterTls {
    type Settings = Mutual;

    const USE: &'static str = "cluster";

    fn files(&self) -> &Files {
        &self.files
    }

    fn settings(&self, material: &Material) -> Result<Mutual, TlsError> {
        let Files { cert, ca, .. } = &self.files;
        let (Some(ca), Some(roots)) = (ca, &material.authorities) else {
            return Err(TlsError::Flags(
                "the cluster's authority is missing".to_owned(),
            ));
        };
        let roots = Arc::new(roots.clone());
        let clients = verifier_of_clients(ca, &roots)?;
        self.check_own(material, ca, &roots, &*clients)?;
        let refused = |error: rustls::Error| TlsError::content(cert, error.to_string());
        let versions = &[&TLS13];
        let (chain, key) = (&material.chain, &material.key);
        let client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .map_err(refused)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(refused)?;
        let server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .map_err(refused)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(refused)?;
        Ok(Mutual {
            client: Arc::new(client),
            server: Arc::new(server),
            name: self.name.clone(),
        })
    }
}

impl ClusterTls {
    /// The process checks its certificate as its peers will: a certificate that they would refuse
    /// is refused here, before it cuts the process off.
    fn check_own(
        &self,
        material: &Material,
        ca: &File,
        roots: &Arc<RootCertStore>,
        clients: &dyn ClientCertVerifier,
    ) -> Result<(), TlsError> {
        let cert = &self.files.cert;
        let Some((own, between)) = material.chain.split_first() else {
            return Err(TlsError::content(cert, "no certificate"));
        };
        if !is_named(own, &self.name) {
            let name = self.name.to_str();
            let reason = format!("it is not for the name `{name}` (--cluster-tls-name)");
            return Err(TlsError::content(cert, reason));
        }
        let servers = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider())
            .build()
            .map_err(|error| TlsError::content(ca, error.to_string()))?;
        let now = UnixTime::now();
        let (as_server, as_client) = (
            servers.verify_server_cert(own, between, &self.name, &[], now),
            clients.verify_client_cert(own, between, now),
        );
        let refused = |side: &str, error: rustls::Error| {
            let ca = ca.path.display();
            let reason = format!("{side} would be refused by the authorities in {ca}: {error}");
            TlsError::content(cert, reason)
        };
        as_server.map_err(|error| refused("a process that accepts with it", error))?;
        as_client.map_err(|error| refused("a process that connects with it", error))?;
        Ok(())
    }
}

fn verifier_of_clients(
    ca: &File,
    roots: &Arc<RootCertStore>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider())
        .build()
        .map_err(|error| TlsError::content(ca, error.to_string()))
}

fn is_named(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    let parsed = ParsedCertificate::try_from(certificate);
    parsed.is_ok_and(|parsed| rustls::client::verify_server_name(&parsed, name).is_ok())
}

#[cfg(test)]
mod tests {
    use coterie_certificates::Authority;

    use super::*;
    use crate::Watched;
    use crate::test_authority::files;

    fn error(files: Files) -> String {
        let name = ServerName::try_from("coterie").unwrap();
        let opened = Watched::open(ClusterTls { files, name });
        opened
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn a_certificate_that_peers_would_refuse_is_refused_at_home() {
        let (own, other) = (Authority::new("own"), Authority::new("other"));
        let good = files(&own, "coterie");
        assert_eq!(error(good.clone()), "");
        let reason = error(files(&own, "localhost"));
        assert!(
            reason.contains("(--cert): it is not for the name `coterie`"),
            "{reason}"
        );
        let foreign = Files {
            ca: files(&other, "coterie").ca,
            ..good
        };
        let reason = error(foreign);
        assert!(
            reason.contains("(--cert): a process that accepts with it"),
            "{reason}"
        );
    }
}
