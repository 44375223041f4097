//! The size of a run: numbers from the environment (see the table in the crate's head).

use std::time::Duration;

/// The number in an environment variable, or the default.
#[must_use]
pub fn number(name: &str, default: usize) -> usize {
    let given = std::env::var(name).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The duration in milliseconds that an environment variable gives, or the default.
#[must_use]
pub fn millis(name: &str, default: usize) -> Duration {
    Duration::from_millis(number(name, default) as u64)
}
