//! What the commands share that ask a running cluster (`check`, `recover`): their flags, their
//! waiting and their exit codes.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use coterie_config::{ClusterTlsFiles, ClusterToken};
use coterie_rpc::{Client, Credentials};

use crate::check::cluster::Cluster;

/// Exit code when the state of the cluster could not be found out.
const EXIT_UNKNOWN: u8 = 2;

/// The flags that say which cluster to ask.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The members of the metadata service.
    #[arg(
        long,
        env = "COTERIE_META",
        value_name = "IP:PORT",
        value_delimiter = ',',
        required = true
    )]
    meta: Vec<String>,
    #[command(flatten)]
    token: ClusterToken,
    #[command(flatten)]
    tls: ClusterTlsFiles,
}

impl Target {
    /// The cluster.
    ///
    /// # Errors
    /// As [`client`].
    pub(crate) fn cluster(self) -> anyhow::Result<Cluster> {
        Ok(Cluster::new(client(&self.token, &self.tls)?, self.meta))
    }
}

/// A client with the cluster's token, and with a certificate if the cluster uses TLS.
///
/// # Errors
/// When there is no token, or the certificate cannot be used.
pub(crate) fn client(token: &ClusterToken, tls: &ClusterTlsFiles) -> anyhow::Result<Client> {
    Ok(Client::new(Credentials::open(token, tls)?))
}

/// The exit code of a command. Prints its error.
pub(crate) fn exit(ended: anyhow::Result<u8>) -> ExitCode {
    let code = ended.unwrap_or_else(|error| {
        eprintln!("coterie: {error:#}");
        EXIT_UNKNOWN
    });
    ExitCode::from(code)
}

/// A bounded number of looks at the cluster, with a pause between two.
#[derive(Debug)]
pub(crate) struct Looks {
    left: usize,
    pause: Duration,
}

impl Looks {
    /// `count` looks in all; the first is made at once.
    pub(crate) fn new(count: usize, pause: Duration) -> Self {
        Self { left: count, pause }
    }

    /// Called after a look. Returns true, after the pause, if another look is due.
    pub(crate) async fn again(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn looks_end() {
        let mut looks = Looks::new(3, Duration::ZERO);
        let mut made = 1;
        while looks.again().await {
            made += 1;
        }
        assert_eq!(made, 3);
    }

    #[test]
    fn an_error_and_a_code_are_told_apart() {
        let unknown = exit(Err(anyhow::anyhow!("meta does not answer")));
        assert_eq!(unknown, ExitCode::from(EXIT_UNKNOWN));
        assert_eq!(exit(Ok(1)), ExitCode::from(1));
    }
}
