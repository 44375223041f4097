//! Asks every range and combines the replies: a list of keys, a random key.

use bytes::{BufMut, Bytes, BytesMut};
use coterie_redis_compat::acl::User;
use coterie_redis_compat::{CommandError, Reply};
use coterie_types::TableId;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::Mutex;

use super::calls::{CONCURRENT, unreadable};
use super::count::Counted;
use super::pages::Pages;
use super::{Calls, KeyCounts};
use crate::client_memory::Beyond;
use crate::conn::{array_body, array_items, bulk};
use crate::router::random;

/// Bytes of memory taken before a list of keys begins.
const KEYS_BYTES_FIRST: usize = 1 << 20;
/// How often a key is drawn before all that a user may see are listed.
const DRAWS: usize = 8;
/// Most bytes of a list of keys; as long as a group's own replies may be.
const KEYS_BYTES_MAX: usize = 512 << 20;

/// Lists the keys of a table that match a pattern, in key order. Also returns the right to go
/// beyond the memory bound, if it was used, to be held until the client has taken the reply. A user
/// who is given sees the names of some keys only.
pub(crate) async fn keys(
    calls: &Calls,
    table: TableId,
    pattern: &Bytes,
    seen_by: Option<&User>,
) -> Result<(Reply, Option<Beyond>), CommandError> {
    let words = |start, end| vec![Bytes::from_static(b"_keys"), start, end, pattern.clone()];
    let gathering = calls.router.replies.gather(KEYS_BYTES_FIRST).await;
    let gathered = Mutex::new((gathering, 0));
    let intervals = calls.intervals(table).into_iter().map(async |interval| {
        let (mut pages, mut parts) = (Pages::new(calls, table, interval, &words), Vec::new());
        let mut len = 0;
        while let Some(page) = pages.next().await? {
            let reply = match seen_by {
                Some(user) => seen(&page.reply, user)?,
                None => page.reply,
            };
            let (count, body) = array_body(&reply).ok_or_else(unreadable)?;
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

/// The list without the keys that the user may not see.
fn seen(list: &Bytes, user: &User) -> Result<Bytes, CommandError> {
    let items = seen_items(list, user)?;
    let mut out = BytesMut::from(format!("*{}\r\n", items.len()).as_bytes());
    items.iter().for_each(|item| out.put_slice(item));
    Ok(out.freeze())
}

/// The keys in a list that the user may see, each as a reply.
fn seen_items(list: &Bytes, user: &User) -> Result<Vec<Bytes>, CommandError> {
    let mut items = array_items(list).ok_or_else(unreadable)?;
    items.retain(|item| bulk(item).flatten().is_some_and(|key| user.may_see(&key)));
    Ok(items)
}

/// A random key of those that the user may see, or null if there is none. If a few draws find no
/// such key, the keys that fit a pattern of the user are listed.
pub(crate) async fn random_seen_key(
    calls: &Calls,
    counts: &KeyCounts,
    table: TableId,
    user: &User,
) -> Result<Reply, CommandError> {
    for _ in 0..DRAWS {
        let Reply::Raw(reply) = random_key(calls, counts, table).await? else {
            return Ok(Reply::Null);
        };
        if bulk(&reply).flatten().is_some_and(|key| user.may_see(&key)) {
            return Ok(Reply::Raw(reply));
        }
    }
    let (mut drawn, mut found) = (None, 0);
    for pattern in user.seen_patterns().unwrap_or_default() {
        let words = |start, end| vec![Bytes::from_static(b"_keys"), start, end, pattern.clone()];
        for interval in calls.intervals(table) {
            let mut pages = Pages::new(calls, table, interval, &words);
            while let Some(page) = pages.next().await? {
                for key in seen_items(&page.reply, user)? {
                    found += 1;
                    // Each of the keys so far has the same chance.
                    if random().is_multiple_of(found) {
                        drawn = Some(Bytes::copy_from_slice(&key));
                    }
                }
            }
        }
    }
    Ok(drawn.map_or(Reply::Null, Reply::Raw))
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
