//! The tally of a set of records: a count and sums by which two copies can be compared.
//!
//! The sum of hashes does not depend on the order nor on how the records were cut into chunks.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// The tally of the records added so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Number of records.
    pub records: u64,
    /// Bytes of their keys and stored values.
    pub bytes: u64,
    /// The sum of their XXH3 hashes, modulo 2^64.
    pub checksum: u64,
}

impl Tally {
    /// Adds a record: its key, and its bytes as stored.
    pub fn add(&mut self, key: &[u8], record: &[u8]) {
        let mut hash = Xxh3::new();
        hash.update(&(key.len() as u64).to_le_bytes());
        hash.update(key);
        hash.update(record);
        self.records += 1;
        self.bytes += (key.len() + record.len()) as u64;
        self.checksum = self.checksum.wrapping_add(hash.digest());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(records: &[(&[u8], &[u8])]) -> Tally {
        let mut tally = Tally::default();
        for (key, record) in records {
            tally.add(key, record);
        }
        tally
    }

    #[test]
    fn the_order_does_not_matter_and_everything_else_does() {
        let one = tally(&[(b"a", b"1"), (b"b", b"2")]);
        assert_eq!(one, tally(&[(b"b", b"2"), (b"a", b"1")]));
        assert_ne!(one, tally(&[(b"a", b"2"), (b"b", b"1")]));
        assert_ne!(tally(&[(b"ab", b"c")]), tally(&[(b"a", b"bc")]));
        assert_eq!((one.records, one.bytes), (2, 4));
    }
}
