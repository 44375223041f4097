//! How long threads had to wait for a CPU: the machine's doing, and no fault of their disk.
//!
//! Linux counts it for each thread (`sched/stats`, the second number of `schedstat`). Where it does
//! not, the wait is nothing, and times include it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// How long the calling thread could have run since it started, and did not.
#[must_use]
pub fn cpu_wait() -> Duration {
    thread_local! {
        // The name leads to the thread that opens it, so each has a file of its own.
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
        // The end of its sleep may find every CPU busy.
        assert!(waited < Duration::from_millis(400), "{waited:?}");
    }
}
