//! The random source of the tests, and its seed.
//!
//! The seed comes from `COTERIE_SEED`, else from the system; every test that uses chance prints it.

pub use coterie_grammar::Rng;

/// The seed of this run: `COTERIE_SEED`, or a fresh seed; printed, so that a failure can be
/// repeated.
#[must_use]
pub fn seed() -> u64 {
    let given = std::env::var("COTERIE_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| getrandom::u64().unwrap_or(1));
    println!("seed: COTERIE_SEED={seed}");
    seed
}
