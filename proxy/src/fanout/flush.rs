//! `FLUSHDB`, `FLUSHALL`: a frame for each group, whatever the number of its ranges.

use bytes::Bytes;
use coterie_redis_compat::CommandError;
use coterie_types::TableId;

use super::Calls;
use super::calls::Interval;
use super::frames::by_owner;

/// Empties tables. After an error some of their ranges may be empty, and the error says so.
pub(crate) async fn flush(calls: &Calls, tables: &[TableId]) -> Result<(), CommandError> {
    let flushed = flush_all(calls, tables).await;
    flushed.map_err(|error| calls.in_part(error))
}

async fn flush_all(calls: &Calls, tables: &[TableId]) -> Result<(), CommandError> {
    let words = |start, end| vec![Bytes::from_static(b"_flush"), start, end];
    let whole = |table: &TableId| (*table, (Bytes::new(), None));
    let mut left: Vec<(TableId, Interval)> = tables.iter().map(whole).collect();
    loop {
        let map = calls.router.cache.load();
        let (mut pieces, mut unknown) = (Vec::new(), Vec::new());
        for (table, interval) in left {
            let (found, rest) = by_owner(&map, table, interval, usize::MAX);
            pieces.extend(found);
            unknown.extend(rest.map(|rest| (table, rest)));
        }
        let answers = calls.in_frames(&map, &pieces, false, &words).await?;
        let missed = pieces.into_iter().zip(answers);
        let missed = missed.filter(|(_, answer)| answer.is_none());
        left = missed
            .map(|(piece, _)| (piece.table, piece.interval))
            .collect();
        if !unknown.is_empty() {
            calls.wait_for_map(map.generation, map.is_empty()).await?;
            left.append(&mut unknown);
        }
        if left.is_empty() {
            return Ok(());
        }
    }
}
