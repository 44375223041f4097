//! The settings of a measurement of all types.

use clap::Args;
use serde::Serialize;

use crate::plan;

/// The user's settings.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Settings {
    #[command(flatten)]
    pub(super) plan: plan::Settings,
    /// Elements of the list before RPOP is measured.
    #[arg(long, default_value_t = 2_000_000)]
    pub(super) list_elements: usize,
}
