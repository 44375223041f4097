//! Every Rust file opens with a head comment: `//!` comes before anything else.

use super::{File, rust};

/// Files without a head comment.
pub(super) fn check(files: &[File]) -> Vec<String> {
    let headless = rust(files).filter(|file| !file.text.trim_start().starts_with("//!"));
    headless
        .map(|file| {
            format!(
                "{}:1: does not open with a `//!` comment that says what it is",
                file.path
            )
        })
        .collect()
}
