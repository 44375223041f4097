//! `cargo xtask test`: every test of the workspace, doc tests too.
//!
//! The tests themselves are debug builds, with all debug assertions. Whole-cluster tests run the
//! release build of `coterie`, the binary that `cargo xtask dev` runs and people install;
//! `COTERIE_BIN_PROFILE=dev` makes them run the debug build.
//!
//! Runs `cargo nextest run` where it is installed, because it runs the tests of all crates in
//! parallel and kills tests that hang (`.config/nextest.toml`); otherwise `cargo test`. Doc tests,
//! which nextest cannot run, go first, so the runner's summary is the last output.

use std::process::Command;

use crate::{Result, cargo, paths, setup, shell};

/// Runs the tests. `args` go to the runner; with `args`, doc tests are left out.
pub(crate) fn run(args: &[String]) -> Result {
    setup::tests()?;
    let mut documented = Ok(());
    if args.is_empty() {
        let mut docs = cargo::cargo()?;
        documented = shell::run(docs.args(["test", "--doc", "--workspace"]));
    }
    let mut tests = cargo::cargo()?;
    let clients = setup::clients_dir()?;
    tests
        .env("COTERIE_TEST_PYTHON_PATH", clients.join("python"))
        .env("COTERIE_TEST_NODE_PATH", clients.join("node/node_modules"));
    if runs_clusters(args) && std::env::var_os("COTERIE_BIN").is_none() {
        // Built here, because a test that has to build it runs against its own time limit.
        let profile = cargo::build_binary(!asks_for_debug())?;
        tests.env("COTERIE_BIN", paths::binary(profile)?);
    }
    let ran = if cargo::has("nextest") {
        nextest(tests, args)
    } else {
        plain(tests, args)
    };
    ran.and(documented)
}

fn nextest(mut tests: Command, args: &[String]) -> Result {
    tests.args(["nextest", "run"]);
    if std::env::var_os("CI").is_some() {
        tests.args(["--profile", "ci"]);
    }
    shell::run(tests.args(scope(args)).args(args))
}

fn plain(mut tests: Command, args: &[String]) -> Result {
    eprintln!("xtask: cargo-nextest is not installed, running `cargo test` instead");
    tests.args(["test", "--all-targets", "--no-fail-fast"]);
    let mut totals = Totals::default();
    let ran = shell::run_reading(tests.args(scope(args)).args(args), |line| totals.add(line));
    let Totals { passed, failed } = totals;
    println!("test result, all crates: {passed} passed; {failed} failed");
    ran
}

/// Whether `args` surely select tests of whole clusters, which start the real binary. If this
/// function misses such a test, the test builds the binary itself.
fn runs_clusters(args: &[String]) -> bool {
    args.is_empty() || args.iter().any(|arg| arg.ends_with("coterie-tests"))
}

/// Whether whole clusters run the debug build; `tests/src/binary.rs` reads the same variable.
fn asks_for_debug() -> bool {
    std::env::var_os("COTERIE_BIN_PROFILE").is_some_and(|profile| profile == "dev")
}

/// The whole workspace, unless packages are named.
fn scope(args: &[String]) -> Option<&'static str> {
    let named = |arg: &String| arg == "-p" || arg.starts_with("--package");
    (!args.iter().any(named)).then_some("--workspace")
}

/// The sum over the `test result:` lines of the test binaries.
#[derive(Default)]
struct Totals {
    passed: u64,
    failed: u64,
}

impl Totals {
    fn add(&mut self, line: &str) {
        // `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; …`
        let Some(counts) = line.strip_prefix("test result: ") else {
            return;
        };
        for part in counts.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let count: Option<u64> = words.next().and_then(|word| word.parse().ok());
            match (count, words.next()) {
                (Some(count), Some("passed")) => self.passed += count,
                (Some(count), Some("failed")) => self.failed += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_built_for_tests_of_whole_clusters() {
        let asks =
            |args: &[&str]| runs_clusters(&args.iter().map(|&a| a.to_owned()).collect::<Vec<_>>());
        assert!(asks(&[]));
        assert!(asks(&["-p", "coterie-tests", "--test", "moves"]));
        assert!(asks(&["--package=coterie-tests"]));
        assert!(!asks(&["-p", "coterie-proxy"]));
        assert!(!asks(&["keys_are_sorted"]));
    }

    #[test]
    fn results_are_summed() {
        let mut totals = Totals::default();
        totals.add("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        totals.add("test some::test ... ok");
        totals.add("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured");
        assert_eq!((totals.passed, totals.failed), (15, 2));
    }
}
