//! How long threads had to wait for a CPU, so that the wait is not blamed on their disk.
//!
//! Linux counts it for each thread (`sched/stats`, the second number of `schedstat`). On other
//! systems the wait reads as zero, and measured times include it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// How long the calling thread has been runnable but not running since it started.
#[must_use]
pub fn cpu_wait() -> Duration {
    thread_local! {
        // The path resolves to the thread that opens it, so each thread opens its own file.
        static SCHEDSTAT: Option<File> = File::open("/proc/thread-self/schedstat").ok();
    }
    SCHEDSTAT.with(|file| file.as_ref().and_then(waited).unwrap_or_default())
}

fn waited(schedstat: &File) -> Option<Duration> {
    let mut text = [0; 96];
    let len = schedstat.read_at(&mut text, 0).ok()?;
    parse(text.get(..len)?)
}

/// `CPU nanoseconds, waiting nanoseconds, slices`.
fn parse(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?;
    let nanos = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_number_is_the_wait() {
        assert_eq!(
            parse(b"893799 2274289 2\n"),
            Some(Duration::from_nanos(2_274_289))
        );
        for odd in ["", "1", "1 x 2", "1 -2 3"] {
            assert_eq!(parse(odd.as_bytes()), None, "{odd}");
        }
    }

    #[test]
    fn a_thread_that_sleeps_does_not_wait() {
        let before = cpu_wait();
        std::thread::sleep(Duration::from_millis(500));
        let waited = cpu_wait() - before;
        // After its sleep the thread may find every CPU busy.
        assert!(waited < Duration::from_millis(400), "{waited:?}");
    }
}
