//! The cluster token: the secret by which the processes of a cluster authenticate each other.
//!
//! Every role takes it by `--cluster-token-file` (preferred: a command line is public on most
//! hosts), `--cluster-token`, or `COTERIE_CLUSTER_TOKEN`. It is never printed: not by
//! `--print-config`, not by `--help`, not by `Debug`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;
use std::{fmt, fs, io};

/// Flags that give the cluster token. Flatten it into the `Config` of a role.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Cluster token")]
pub struct ClusterToken {
    /// The secret shared by all processes of a cluster; prefer `--cluster-token-file`.
    #[arg(
        long,
        env = "COTERIE_CLUSTER_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub cluster_token: Option<Secret>,

    /// A file that contains the secret; trailing white space is ignored.
    #[arg(long, env = "COTERIE_CLUSTER_TOKEN_FILE", value_name = "FILE")]
    pub cluster_token_file: Option<PathBuf>,
}

impl ClusterToken {
    /// A token that is already known, for roles started inside another process.
    pub fn given(secret: impl AsRef<str>) -> ClusterToken {
        ClusterToken {
            cluster_token: Some(Secret::new(secret)),
            cluster_token_file: None,
        }
    }

    /// The secret's bytes.
    ///
    /// # Errors
    /// When no flag or both flags give it, it is empty, or its file cannot be read.
    pub fn secret(&self) -> Result<Vec<u8>, TokenError> {
        let secret = match (&self.cluster_token, &self.cluster_token_file) {
            (None, None) => return Err(TokenError::Missing),
            (Some(_), Some(_)) => return Err(TokenError::Twice),
            (Some(secret), None) => secret.expose().as_bytes().to_vec(),
            (None, Some(path)) => {
                let bytes = fs::read(path).map_err(|source| TokenError::Read {
                    path: path.clone(),
                    source,
                })?;
                bytes.trim_ascii_end().to_vec()
            }
        };
        if secret.is_empty() {
            Err(TokenError::Empty)
        } else {
            Ok(secret)
        }
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Neither flag is given.
    #[error(
        "no cluster token: give the same secret to every process of the cluster by \
         --cluster-token-file FILE or COTERIE_CLUSTER_TOKEN (make one: `openssl rand -hex 32`)"
    )]
    Missing,
    /// Both flags are given, possibly by different layers.
    #[error("the cluster token is given twice: by --cluster-token and by --cluster-token-file")]
    Twice,
    /// An empty token protects nothing.
    #[error("the cluster token is empty")]
    Empty,
    /// The file cannot be read.
    #[error("read the cluster token from {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl AsRef<str>) -> Secret {
        Secret(text.as_ref().to_owned())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Secret, Infallible> {
        Ok(Secret::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_from_exactly_one_place() {
        assert!(matches!(
            ClusterToken::default().secret(),
            Err(TokenError::Missing)
        ));
        assert!(matches!(
            ClusterToken::given("").secret(),
            Err(TokenError::Empty)
        ));
        assert_eq!(ClusterToken::given("s3cret").secret().unwrap(), b"s3cret");

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "from a file\n").unwrap();
        let mut token = ClusterToken {
            cluster_token: None,
            cluster_token_file: Some(path),
        };
        assert_eq!(token.secret().unwrap(), b"from a file");
        token.cluster_token = Some(Secret::new("and here"));
        assert!(matches!(token.secret(), Err(TokenError::Twice)));
    }

    #[test]
    fn debug_does_not_tell() {
        let shown = format!("{:?}", ClusterToken::given("s3cret"));
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
