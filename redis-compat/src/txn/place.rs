//! The places of members in an order of their own: by a keyed hash.
//!
//! A place is the first 48 bits of SipHash-1-3, big endian. The cursor of a scan is such a place:
//! it fits into 53 bits, and means the same on every replica. The key comes from the chance of the
//! entry that spread the collection, so nobody can choose members that share a place.

use siphasher::sip::SipHasher13;

/// Bytes of a place.
pub(crate) const PLACE_BYTES: usize = 6;

/// The key of the hash.
pub(crate) type PlaceKey = [u8; 16];

/// The place of a member.
pub(crate) fn place(key: &PlaceKey, member: &[u8]) -> [u8; PLACE_BYTES] {
    let [first @ .., _, _] = SipHasher13::new_with_key(key).hash(member).to_be_bytes();
    first
}

/// A place as the number that a cursor shows.
pub(crate) fn number(place: [u8; PLACE_BYTES]) -> u64 {
    place
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The place of a cursor; `None` if it is behind all places.
pub(crate) fn at(cursor: u64) -> Option<[u8; PLACE_BYTES]> {
    match cursor.to_be_bytes() {
        [0, 0, place @ ..] => Some(place),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_on_disk_and_pinned() {
        let key: PlaceKey = std::array::from_fn(|at| at as u8);
        // The first bytes of the reference vector of SipHash-1-3 for no bytes at all.
        assert_eq!(place(&key, b""), [0xab, 0xac, 0x01, 0x58, 0x05, 0x0f]);
        assert_ne!(place(&key, b"a"), place(&[0; 16], b"a"));
    }

    #[test]
    fn cursors_are_places() {
        let place = [1, 2, 3, 4, 5, 6];
        assert_eq!(number(place), 0x0102_0304_0506);
        assert_eq!(at(number(place)), Some(place));
        assert_eq!(at(1 << 48), None);
    }
}
