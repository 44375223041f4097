//! Asks every range and combines the replies: a list of keys, a random key.

use bytes::Bytes;
use coterie_redis_compat::{CommandError, Reply};
use coterie_types::TableId;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::Mutex;

use super::calls::{CONCURRENT, unreadable};
use super::count::Counted;
use super::pages::Pages;
use super::{Calls, KeyCounts};
use crate::client_memory::Beyond;
use crate::conn::{array_body, bulk};
use crate::router::random;

/// Bytes of memory taken before a list of keys begins.
const KEYS_BYTES_FIRST: usize = 1 << 20;
/// Most bytes of a list of keys; as long as a group's own replies may be.
const KEYS_BYTES_MAX: usize = 512 << 20;

/// Lists the keys of a table that match a pattern, in key order. Also returns the right to go
/// beyond the memory bound, if it was used, to be held until the client has taken the reply.
pub(crate) async fn keys(
    calls: &Calls,
    table: TableId,
    pattern: &Bytes,
) -> Result<(Reply, Option<Beyond>), CommandError> {
    let words = |start, end| vec![Bytes::from_static(b"_keys"), start, end, pattern.clone()];
    let gathering = calls.router.replies.gather(KEYS_BYTES_FIRST).await;
    let gathered = Mutex::new((gathering, 0));
    let intervals = calls.intervals(table).into_iter().map(async |interval| {
        let (mut pages, mut parts) = (Pages::new(calls, table, interval, &words), Vec::new());
        let mut len = 0;
        while let Some(page) = pages.next().await? {
            let (count, body) = array_body(&page.reply).ok_or_else(unreadable)?;
            if count == 0 {
                continue;
            }
            let mut gathered = gathered.lock().await;
            let (gathering, bytes) = &mut *gathered;
            *bytes += body.len();
            if *bytes > KEYS_BYTES_MAX {
                return Err(CommandError::reply_too_long(KEYS_BYTES_MAX));
            }
            gathering.reach(*bytes).await;
            len += count;
            parts.push(body);
        }
        Ok((len, parts))
    });
    let found: Vec<(usize, Vec<Bytes>)> = stream::iter(intervals)
        .buffered(CONCURRENT)
        .try_collect()
        .await?;
    let reply = Reply::Spliced {
        len: found.iter().map(|(len, _)| len).sum(),
        parts: found.into_iter().flat_map(|(_, parts)| parts).collect(),
    };
    let (gathering, _) = gathered.into_inner();
    Ok((reply, gathering.finish()))
}

/// A random key of a table, or null if there is none. Intervals are chosen by their last known
/// number of keys; within an interval, the group chooses.
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

/// Chooses an interval by weight. Intervals counted as empty come last: they may have keys by now.
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
