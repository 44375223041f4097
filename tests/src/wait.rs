//! Waiting for a condition under a deadline. The tests sleep only between two checks of a
//! condition.

use std::time::{Duration, Instant};

use anyhow::bail;

/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(20);

/// Calls `condition` until it returns a value. After `within`, fails with `what` and the last error
/// of `condition`.
pub fn until<T>(
    what: &str,
    within: Duration,
    mut condition: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        match condition() {
            Ok(value) => return Ok(value),
            Err(reason) if started.elapsed() >= within => {
                bail!("waited {within:?} in vain: {what}: {reason:#}")
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}
