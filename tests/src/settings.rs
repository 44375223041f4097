//! How large a run is: numbers from the environment (see the table in the crate's head).

use std::time::Duration;

/// The number that an environment variable gives, or the default.
#[must_use]
pub fn number(name: &str, default: usize) -> usize {
    let given = std::env::var(name).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// So many milliseconds, from an environment variable.
#[must_use]
pub fn millis(name: &str, default: usize) -> Duration {
    Duration::from_millis(number(name, default) as u64)
}
