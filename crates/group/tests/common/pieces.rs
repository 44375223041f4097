//! Pieces of spread collections, as the leader of a destination copies them.

use bytes::Bytes;
use coterie_group::{Elements, Store, Tally, Then, add_element};
use coterie_redis_compat::{Collection, Record, View, Walk};
use coterie_types::{Epoch, RangeId, TableId};

use super::Replica;

/// The next elements, at most `count`, of a spread collection that has not arrived; `None` for
/// other keys.
pub(crate) fn next_piece(
    source: &Replica,
    destination: &Replica,
    (range_id, epoch, table): (RangeId, Epoch, TableId),
    key: &Bytes,
    count: usize,
) -> Option<Elements> {
    let header = source.store.record(table, key).unwrap()?;
    let incarnation = header.incarnation().unwrap()?;
    let (state, store) = (&destination.state, &destination.store);
    let is_known = state.import(range_id)?.known().holds(table, key)
        || store.record(table, key).unwrap().is_some()
        || store.is_marked(range_id, table, key).unwrap();
    if is_known {
        return None;
    }
    let pieces = state.pieces(range_id).and_then(|pieces| pieces.get(key));
    let from = pieces.map(|piece| piece.next.clone());
    let of = Collection {
        table,
        key: key.clone(),
        incarnation,
    };
    let (mut all, mut elements) = (Tally::default(), Vec::new());
    for family in 0..8 {
        let mut visit = |element: &[u8], value: &[u8]| {
            add_element(&mut all, family, element, value);
            let place = (family, Bytes::copy_from_slice(element));
            elements.push((place, Bytes::copy_from_slice(value)));
            true
        };
        let walked = source
            .store
            .scan_elements(&of, family, Walk::ALL, &mut visit);
        walked.unwrap();
    }
    let start = from.as_ref();
    let start = start.map_or(0, |from| {
        elements.partition_point(|(place, _)| place < from)
    });
    let mut elements = elements.split_off(start);
    let later = elements.split_off(count.min(elements.len()));
    let then = match later.first() {
        Some((next, _)) => Then::Next(next.clone()),
        None => Then::Header {
            record: raw(&header),
            all,
        },
    };
    Some(Elements {
        range_id,
        epoch,
        key: key.clone(),
        incarnation,
        from,
        elements,
        then,
    })
}

fn raw(record: &Record) -> Bytes {
    let mut raw = Vec::new();
    record.encode(&mut raw);
    Bytes::from(raw)
}
