//! Runs a role as this process: flags to its settings, logs, signals, then the role's own `run`.

use std::fmt::Debug;

use anyhow::Context as _;
use clap::{ArgMatches, FromArgMatches};
use coterie_telemetry::LogConfig;
use tokio_util::sync::CancellationToken;

use crate::{roles, signals};

/// Runs the role called `name`, whose settings are a `C`, until it ends or a signal asks it to.
///
/// # Errors
/// When the process cannot be set up, or the role fails.
pub(crate) async fn run<C, F, E>(
    matches: &ArgMatches,
    name: &str,
    run: impl FnOnce(C, CancellationToken) -> F,
) -> anyhow::Result<()>
where
    C: FromArgMatches + Debug,
    F: Future<Output = Result<(), E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let config = C::from_arg_matches(matches)?;
    LogConfig::from_arg_matches(matches)?.install()?;
    roles::tell(name, &config);
    let shutdown = signals::shutdown().context("take signals")?;
    // Boxed: roles are large state machines, and the process has only this role.
    Box::pin(run(config, shutdown))
        .await
        .with_context(|| name.to_owned())
}
