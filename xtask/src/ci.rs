//! `cargo xtask ci`: the checks that CI runs, cheapest first, tests last. Never writes to the tree.

use std::time::Instant;

use crate::{Result, cargo, deny, setup, shell, test, tidy};

/// A check and its name.
type Step = (&'static str, fn() -> Result);

/// Runs every check; stops at the first that fails.
pub(crate) fn run() -> Result {
    let steps: [Step; 6] = [
        ("format", format),
        ("tidy", || tidy::run(&[])),
        ("deny", deny::run),
        ("clippy", clippy),
        ("docs", docs),
        ("tests", || test::run(&[])),
    ];
    let mut times = Vec::new();
    for (name, step) in steps {
        eprintln!("\nxtask: {name}");
        let started = Instant::now();
        if let Err(error) = step() {
            return Err(format!("{name}: {error}").into());
        }
        times.push(format!("{name} {}s", started.elapsed().as_secs()));
    }
    eprintln!("\nxtask: all checks passed: {}", times.join(", "));
    Ok(())
}

fn format() -> Result {
    setup::component("fmt", "rustfmt")?;
    shell::run(cargo::plain().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result {
    setup::native()?;
    setup::component("clippy", "clippy")?;
    let mut clippy = cargo::cargo()?;
    clippy.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]);
    shell::run(&mut clippy)
}

fn docs() -> Result {
    setup::native()?;
    let mut docs = cargo::cargo()?;
    docs.args(["doc", "--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "--deny warnings");
    shell::run(&mut docs)
}
