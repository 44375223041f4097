//! How long conditions have lasted.

use std::time::Duration;

/// Since when a condition has held for each of some keys. Sorted by key, and updated in a single
/// walk.
#[derive(Debug, Clone)]
pub(super) struct Since<K>(Vec<(K, Duration)>);

impl<K> Default for Since<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord + Copy> Since<K> {
    /// Notes the keys for which the condition holds now, in order. A key that was noted before
    /// keeps its time.
    pub(super) fn keep(&mut self, now: Duration, keys: impl IntoIterator<Item = K>) {
        let mut before = std::mem::take(&mut self.0).into_iter().peekable();
        let since = keys.into_iter().map(|key| {
            while before.next_if(|(old, _)| *old < key).is_some() {}
            let old = before.next_if(|(old, _)| *old == key);
            (key, old.map_or(now, |(_, since)| since))
        });
        self.0 = since.collect();
    }

    /// How long the condition has held for a key. `None` if it does not hold.
    pub(super) fn age(&self, key: K, now: Duration) -> Option<Duration> {
        let place = self.0.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        Some(now.saturating_sub(self.0[place].1))
    }

    pub(super) fn has(&self, key: K) -> bool {
        self.0.binary_search_by_key(&key, |(key, _)| *key).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_keeps_its_time_and_what_returns_begins_anew() {
        let (mut since, at) = (Since::default(), Duration::from_secs);
        since.keep(at(1), [1, 3]);
        since.keep(at(2), [1, 2]);
        since.keep(at(3), [1, 2, 3]);
        let ages = [1, 2, 3, 4].map(|key| since.age(key, at(4)));
        assert_eq!(ages, [Some(at(3)), Some(at(2)), Some(at(1)), None]);
    }
}
