//! Errors of a configuration. The binary treats every variant alike: print it, exit 2.

use std::io;
use std::path::PathBuf;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line, the environment or a value is wrong; also `--help` and `--version`,
    /// which clap reports the same way (`clap::Error::exit` does the right thing for all).
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// The file given by `--config` cannot be read.
    #[error("read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("parse the configuration {}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The position and the cause.
        #[source]
        source: toml::de::Error,
    },
    /// No role has a setting of this name.
    #[error("unknown key `{key}` in {}{}", path.display(), hint(nearest.as_deref()))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key as written, sections included.
        key: String,
        /// The most similar known name.
        nearest: Option<String>,
    },
    /// Two keys of the file mean the same setting.
    #[error("`{key}` in {} sets --{flag}, which another key sets too", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The later key.
        key: String,
        /// The setting.
        flag: String,
    },
    /// The value has a shape that the setting cannot take.
    #[error("`{key}` in {} takes {expected}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The key as written.
        key: String,
        /// The shape it takes.
        expected: &'static str,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
