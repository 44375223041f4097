//! Fuzzing of decoders in tests: damaged inputs, made from good inputs.
//!
//! [`fuzz`] runs a target on every seed, then on inputs that changes of seeds make: bits flipped,
//! numbers replaced by numbers at which decoders fail, bytes inserted, removed, repeated, or taken
//! from another seed. A target fails by a panic, so it also states what must hold for an input that
//! it accepts. The failing input is made smaller and printed as a byte string, to become a seed.
//!
//! A target runs for [`SECONDS`] seconds, or for as many as the environment variable
//! `COTERIE_FUZZ_SECONDS` says. A target whose seeds are longer than a few kilobytes is slow.
//!
//! Callers: the tests `fuzz` of the crates that decode bytes from sockets and disks. Only tests
//! depend on this crate.

mod change;

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

use change::Change;

/// Seconds for a target, unless the environment says otherwise.
pub const SECONDS: u64 = 1;
/// The environment variable with the seconds for each target.
pub const SECONDS_VARIABLE: &str = "COTERIE_FUZZ_SECONDS";

/// Changes of an input at most.
const CHANGES_MAX: usize = 8;
/// Inputs between two looks at the clock.
const ROUND: u32 = 128;

/// Runs `target` on the seeds and on damaged seeds.
///
/// # Panics
/// If the target panics; the message has the smallest input found.
pub fn fuzz(seeds: &[Vec<u8>], target: impl Fn(&[u8])) {
    fuzz_for(duration(), seeds, target);
}

fn duration() -> Duration {
    let given = std::env::var(SECONDS_VARIABLE).ok();
    let seconds = given.and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(SECONDS))
}

fn fuzz_for(duration: Duration, seeds: &[Vec<u8>], target: impl Fn(&[u8])) {
    assert!(!seeds.is_empty(), "a target has a seed");
    for seed in seeds {
        target(seed);
    }
    let seeds: &'static [Vec<u8>] = Vec::leak(seeds.to_vec());
    let ends = Instant::now() + duration;
    loop {
        // A runner is done after its cases.
        let mut runner = TestRunner::new(Config {
            cases: ROUND,
            failure_persistence: None,
            ..Config::default()
        });
        let run = runner.run(&inputs(seeds), |input| {
            target(&input);
            Ok(())
        });
        match run {
            Ok(()) => {}
            Err(TestError::Fail(reason, input)) => {
                panic!("{reason}; the input: b\"{}\"", input.escape_ascii())
            }
            Err(TestError::Abort(reason)) => panic!("{reason}"),
        }
        if Instant::now() >= ends {
            return;
        }
    }
}

/// Changed seeds, and now and then just any bytes.
fn inputs(seeds: &'static [Vec<u8>]) -> impl Strategy<Value = Vec<u8>> {
    let changes = vec(Change::any(), 0..CHANGES_MAX);
    let changed = (proptest::sample::select(seeds), changes).prop_map(move |(seed, changes)| {
        changes
            .iter()
            .fold(seed, |input, change| change.apply(input, seeds))
    });
    prop_oneof![
        9 => changed,
        1 => vec(any::<u8>(), 0..64),
    ]
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeSet;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    /// Whether fuzzing finds an input at which this holds, and its message.
    fn found(seeds: &[&[u8]], fails: impl Fn(&[u8]) -> bool) -> Option<String> {
        let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
        // Longer than any of these takes to be found; the fuzzing ends as soon as it is.
        let run = || fuzz_for(Duration::from_secs(60), &seeds, |i| assert!(!fails(i)));
        let panicked = catch_unwind(AssertUnwindSafe(run)).err()?;
        panicked.downcast_ref::<String>().cloned()
    }

    #[test]
    fn a_decoder_that_trusts_a_length_is_found() {
        let trusts = |input: &[u8]| {
            let len = input.first().copied().map_or(0, usize::from);
            len > 0 && input.len() <= len
        };
        let message = found(&[b"\x03abc"], trusts).unwrap_or_default();
        assert!(message.contains("the input: b\""), "{message}");
    }

    #[test]
    fn numbers_that_overflow_are_tried() {
        let overflows = |input: &[u8]| {
            let number = input
                .first_chunk()
                .map_or(0, |four| u32::from_le_bytes(*four));
            number > u32::MAX - 4
        };
        assert!(found(&[b"\x01\0\0\0body"], overflows).is_some());
    }

    #[test]
    fn parts_of_two_seeds_are_joined() {
        let joined = |input: &[u8]| {
            let text = String::from_utf8_lossy(input);
            text.contains("left") && text.contains("right")
        };
        assert!(found(&[b"left", b"right"], joined).is_some());
    }

    #[test]
    fn every_seed_is_run_as_it_is() {
        let seen = Cell::new(BTreeSet::new());
        fuzz_for(Duration::ZERO, &[b"a".to_vec(), b"b".to_vec()], |input| {
            let mut all = seen.take();
            all.insert(input.to_vec());
            seen.set(all);
        });
        let seen = seen.take();
        assert!(seen.contains(&b"a"[..]) && seen.contains(&b"b"[..]));
    }
}
