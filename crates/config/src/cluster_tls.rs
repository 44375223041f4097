//! Flags of TLS between the processes of a cluster; every role and command that talks to the
//! cluster has them.

use std::path::PathBuf;

/// Flags of TLS between processes. Flatten it into the `Config` of a role, beside the token.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "TLS between processes")]
pub struct ClusterTlsFiles {
    /// This process' certificate, in PEM, with the certificates between it and the cluster's
    /// authority. With it, all connections between processes are mutual TLS.
    #[arg(long, env = "COTERIE_CLUSTER_TLS_CERT_FILE", value_name = "FILE")]
    pub cluster_tls_cert_file: Option<PathBuf>,

    /// The private key of that certificate, in PEM.
    #[arg(long, env = "COTERIE_CLUSTER_TLS_KEY_FILE", value_name = "FILE")]
    pub cluster_tls_key_file: Option<PathBuf>,

    /// The authorities that sign the cluster's certificates, in PEM.
    #[arg(long, env = "COTERIE_CLUSTER_TLS_CA_FILE", value_name = "FILE")]
    pub cluster_tls_ca_file: Option<PathBuf>,

    /// The DNS name that every certificate of the cluster bears. It is checked instead of
    /// addresses [default: coterie].
    #[arg(long, env = "COTERIE_CLUSTER_TLS_NAME", value_name = "NAME")]
    pub cluster_tls_name: Option<String>,
}
