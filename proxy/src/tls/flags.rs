//! The flags of TLS for clients.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ArgAction;

use super::{AuthClients, CA, CERT, ClientTls, File, Files, KEY, Protocols, TlsError};

/// See the module's head.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "TLS for clients")]
pub struct TlsConfig {
    /// A further address, at which clients connect by TLS.
    #[arg(long, env = "COTERIE_TLS_LISTEN", value_name = "IP:PORT")]
    pub tls_listen: Option<SocketAddr>,

    /// Clients connect by TLS only: `--listen` is not opened.
    #[arg(
        long,
        env = "COTERIE_TLS_ONLY",
        value_name = "yes|no",
        value_parser = clap::builder::BoolishValueParser::new(),
        action = ArgAction::Set,
        default_value = "no"
    )]
    pub tls_only: bool,

    /// The proxy's certificate, in PEM, with the certificates between it and its authority.
    #[arg(long, env = "COTERIE_TLS_CERT_FILE", value_name = "FILE")]
    pub tls_cert_file: Option<PathBuf>,

    /// The private key of that certificate, in PEM.
    #[arg(long, env = "COTERIE_TLS_KEY_FILE", value_name = "FILE")]
    pub tls_key_file: Option<PathBuf>,

    /// The authorities that sign clients' certificates, in PEM.
    #[arg(long, env = "COTERIE_TLS_CA_CERT_FILE", value_name = "FILE")]
    pub tls_ca_cert_file: Option<PathBuf>,

    /// Whether clients have to show a certificate; `optional` checks the certificate of a client
    /// that shows one.
    #[arg(
        long,
        env = "COTERIE_TLS_AUTH_CLIENTS",
        value_name = "yes|no|optional",
        default_value = "yes"
    )]
    pub tls_auth_clients: AuthClients,

    /// The versions of TLS that clients may speak.
    #[arg(
        long,
        env = "COTERIE_TLS_PROTOCOLS",
        value_name = "VERSIONS",
        default_value = "TLSv1.2 TLSv1.3"
    )]
    pub tls_protocols: Protocols,
}

impl TlsConfig {
    /// The address, and the use of TLS there; `None` if TLS is off.
    pub(crate) fn resolve(&self) -> Result<Option<(SocketAddr, ClientTls)>, TlsError> {
        let Some(addr) = self.tls_listen else {
            let given = [
                &self.tls_cert_file,
                &self.tls_key_file,
                &self.tls_ca_cert_file,
            ];
            if self.tls_only || given.iter().any(|file| file.is_some()) {
                let reason = "--tls-only and the files of a certificate need --tls-listen";
                return Err(TlsError::Flags(reason.to_owned()));
            }
            return Ok(None);
        };
        let file = |flag, path: &Option<PathBuf>| {
            let path = path.clone().ok_or_else(|| {
                TlsError::Flags(format!("--tls-listen needs {CERT} and {KEY}: no {flag}"))
            });
            path.map(|path| File { flag, path })
        };
        let tls = ClientTls {
            files: Files {
                cert: file(CERT, &self.tls_cert_file)?,
                key: file(KEY, &self.tls_key_file)?,
                ca: self
                    .tls_ca_cert_file
                    .clone()
                    .map(|path| File { flag: CA, path }),
            },
            auth: self.tls_auth_clients,
            protocols: self.tls_protocols,
        };
        Ok(Some((addr, tls)))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        tls: TlsConfig,
    }

    fn resolved(flags: &str) -> Result<Option<(SocketAddr, ClientTls)>, String> {
        let argv = ["x"].into_iter().chain(flags.split_whitespace());
        let tls = Cli::try_parse_from(argv).map_err(|e| e.to_string())?.tls;
        tls.resolve().map_err(|error| error.to_string())
    }

    #[test]
    fn tls_without_a_certificate_names_the_flag() {
        assert_eq!(resolved(""), Ok(None));
        let listen = "--tls-listen 127.0.0.1:6380";
        let error = resolved(listen).unwrap_err();
        assert!(error.contains("no --tls-cert-file"), "{error}");
        let error = resolved(&format!("{listen} --tls-cert-file c")).unwrap_err();
        assert!(error.contains("no --tls-key-file"), "{error}");
        let all =
            format!("{listen} --tls-cert-file c --tls-key-file k --tls-auth-clients optional");
        let (addr, tls) = resolved(&all).unwrap().unwrap();
        assert_eq!((addr.port(), tls.auth), (6380, AuthClients::Optional));
    }

    #[test]
    fn flags_that_would_do_nothing_are_refused() {
        for flags in ["--tls-only yes", "--tls-cert-file c"] {
            assert!(
                resolved(flags).unwrap_err().contains("--tls-listen"),
                "{flags}"
            );
        }
        assert!(resolved("--tls-auth-clients perhaps").is_err());
        assert!(resolved("--tls-protocols TLSv1.1").is_err());
    }
}
