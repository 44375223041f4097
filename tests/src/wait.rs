//! Waiting for a condition under a deadline. Nothing in the tests sleeps for any other reason than
//! to ask again.

use std::time::{Duration, Instant};

use anyhow::bail;

/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks `condition` until it gives a value. When `within` has passed, fails with `what` and the last
/// reason it gave why not.
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
