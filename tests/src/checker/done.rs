//! The set of placed operations of a list: a bit set that is short when nearly all operations
//! before a point are placed and none after it, as in a search in order of time.
//!
//! Full words at the front and empty words at the end are not stored. So equal sets are equal
//! values and hash alike, which the search's memory relies on.

/// A set of small numbers, dense from 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Done {
    /// The number of full words at the front.
    full: u32,
    /// The words after them; the first is not full, the last is not empty.
    words: Vec<u64>,
}

impl Done {
    /// Whether `item` is in the set.
    pub(super) fn contains(&self, item: usize) -> bool {
        match (item / 64).checked_sub(self.full as usize) {
            None => true,
            Some(word) => self
                .words
                .get(word)
                .is_some_and(|bits| bits >> (item % 64) & 1 == 1),
        }
    }

    /// The set with `item`, which is not in it yet, added.
    pub(super) fn with(&self, item: usize) -> Self {
        let mut next = self.clone();
        let word = item / 64 - self.full as usize;
        if next.words.len() <= word {
            next.words.resize(word + 1, 0);
        }
        next.words[word] |= 1 << (item % 64);
        let full = next.words.iter().take_while(|&&w| w == u64::MAX).count();
        next.words.drain(..full);
        next.full += full as u32;
        next
    }

    /// The smallest number that is not in the set.
    pub(super) fn first_absent(&self) -> usize {
        let ones = self.words.first().map_or(0, |w| w.trailing_ones());
        self.full as usize * 64 + ones as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_members_in_any_order_are_the_same_set() {
        let forward = (0..200).fold(Done::default(), |set, item| set.with(item));
        let backward = (0..200)
            .rev()
            .fold(Done::default(), |set, item| set.with(item));
        assert_eq!(forward, backward);
        assert_eq!(forward.first_absent(), 200);
        assert!((0..200).all(|item| forward.contains(item)));
        assert!(!forward.contains(200) && !forward.contains(1000));
    }

    #[test]
    fn gaps_are_seen() {
        let set = Done::default().with(0).with(2).with(130);
        assert_eq!(set.first_absent(), 1);
        assert!(set.contains(130) && !set.contains(129) && !set.contains(1));
    }
}
