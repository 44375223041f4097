//! Flags, environment and TOML, layered the same way for every role.
//!
//! A setting has the same name everywhere: `--raft-election-timeout-min`,
//! `COTERIE_RAFT_ELECTION_TIMEOUT_MIN`, and `election-timeout-min` in the section `[raft]` of the
//! file given by `--config`. A flag overrides the environment, the environment overrides the file,
//! and the file overrides the default. An unknown key is refused, with the most similar known name.
//!
//! Roles describe their settings as `clap::Args` and know nothing of the layers: [`layer`] works
//! on the `clap::Command` made of them. Values are written as people write them: [`duration`]
//! takes `500ms`, [`size`] takes `512MiB`.
//!
//! Callers: the binary ([`layer`], [`Part`], [`is_given`]), and the `config.rs` of each role (the
//! parsers, [`ClusterToken`], [`ClusterTlsFiles`]).

mod cluster_tls;
mod error;
mod file;
mod layers;
mod nearest;
mod part;
mod print;
mod token;
mod values;

pub use cluster_tls::ClusterTlsFiles;
pub use error::ConfigError;
pub use layers::{Layered, layer};
pub use part::{Part, is_given};
pub use token::{ClusterToken, Secret, TokenError};
pub use values::{DurationText, SizeText, ValueError, duration, size};
