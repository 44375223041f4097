//! What is asked of every range and put together: counts, keys, emptying, a random key.

use bytes::Bytes;
use coterie_redis_compat::{CommandError, Reply};
use coterie_types::TableId;

use super::calls::unreadable;
use super::key_counts::Counted;
use super::{Calls, KeyCounts};
use crate::conn::{array_items, bulk, integer};
use crate::router::random;

/// Counts the keys of a table, interval by interval.
pub(crate) async fn count(calls: &Calls, table: TableId) -> Result<Vec<Counted>, CommandError> {
    let words = |start, end| vec![Bytes::from_static(b"_count"), start, end];
    let answers = calls.each(table, true, &words).await?;
    let counted = answers.into_iter().map(|(interval, reply)| {
        let keys = integer(&reply).and_then(|keys| u64::try_from(keys).ok());
        Some((interval, keys?))
    });
    counted.collect::<Option<_>>().ok_or_else(unreadable)
}

/// Lists the keys of a table that fit a pattern, in key order.
pub(crate) async fn keys(
    calls: &Calls,
    table: TableId,
    pattern: &Bytes,
) -> Result<Reply, CommandError> {
    let words = |start, end| vec![Bytes::from_static(b"_keys"), start, end, pattern.clone()];
    let answers = calls.each(table, true, &words).await?;
    let mut keys = Vec::new();
    for (_, reply) in answers {
        let found = array_items(&reply).ok_or_else(unreadable)?;
        keys.extend(found.into_iter().map(Reply::Raw));
    }
    Ok(Reply::Array(keys))
}

/// Empties a table, range after range. An error tells of all tables that `calls` has emptied.
pub(crate) async fn flush(calls: &Calls, table: TableId) -> Result<(), CommandError> {
    let words = |start, end| vec![Bytes::from_static(b"_flush"), start, end];
    let flushed = calls.each(table, false, &words).await;
    flushed.map(drop).map_err(|error| calls.in_part(error))
}

/// Any key of a table, or null if there is none. Intervals are chosen by how many keys they were
/// last seen to have; within one, the group chooses.
pub(crate) async fn random_key(
    calls: &Calls,
    counts: &KeyCounts,
    table: TableId,
) -> Result<Reply, CommandError> {
    let map = calls.router.cache.load();
    let mut intervals: Vec<Counted> = match map.entries(table) {
        [entry] => vec![((entry.start.clone(), entry.end.clone()), 1)],
        _ => counts.of(calls, table).await?.intervals.clone(),
    };
    let words = |start, end| vec![Bytes::from_static(b"_random"), start, end];
    while !intervals.is_empty() {
        let at = choose(&intervals);
        let (interval, _) = intervals.swap_remove(at);
        for (_, reply) in calls.walk(table, interval, true, &words).await? {
            if bulk(&reply).ok_or_else(unreadable)?.is_some() {
                return Ok(Reply::Raw(reply));
            }
        }
    }
    Ok(Reply::Null)
}

/// One of the intervals, by weight. Those seen empty come last: they may have keys by now.
fn choose(intervals: &[Counted]) -> usize {
    let total: u64 = intervals.iter().map(|(_, keys)| keys).sum();
    let mut left = random() % total.max(1);
    for (at, (_, keys)) in intervals.iter().enumerate() {
        match left.checked_sub(*keys) {
            Some(rest) if total > 0 => left = rest,
            _ => return at,
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_chosen_by_its_keys() {
        let interval = |keys| ((Bytes::new(), None), keys);
        let mut chosen = [0; 3];
        for _ in 0..1000 {
            chosen[choose(&[interval(0), interval(1), interval(9)])] += 1;
        }
        assert!(
            chosen[0] == 0 && chosen[1] > 20 && chosen[2] > 700,
            "{chosen:?}"
        );
        assert_eq!(choose(&[interval(0), interval(0)]), 0);
    }
}
