//! Answers questions about a frozen copy, asked by the destination of a move.
//!
//! Any replica that has applied the hand-off may answer, without lease or read index. From then on
//! nothing changes the copy until it is dropped, and by then no replica asks any more. Elements
//! that no header names may be reclaimed meanwhile; they are not part of the copy, and nobody asks
//! for them.

use bytes::Bytes;
use coterie_group::Tally;
use coterie_protocol::frozen::{FrozenAnswer, FrozenRead, FrozenRequest};
use coterie_redis_compat::Header;
use coterie_storage::{Engine, Reader, StorageError, layout};
use coterie_types::{KeyRange, RangeDescriptor};

use super::shared::{Published, Shared};
use super::sizes;

mod elements;

/// Bytes of an answer, at most; the last record may exceed it.
const CHUNK_BYTES_MAX: u64 = 16 << 20;
/// Records of an answer, at most.
const RECORDS_MAX: usize = 64 * 1024;

/// Whether the question names few keys, so that it is answered where it arrives.
pub(crate) fn is_short(read: &FrozenRead) -> bool {
    match read {
        FrozenRead::Keys(keys) => keys.len() <= 64,
        FrozenRead::Element { .. } => true,
        _ => false,
    }
}

/// Answers a question.
pub(crate) fn answer(shared: &Shared, request: &FrozenRequest) -> FrozenAnswer {
    let published = shared.published();
    let Some(bounds) = bounds_of(&published, request) else {
        return FrozenAnswer::NotHere;
    };
    let read = read(published.engine.as_ref(), bounds, &request.read);
    // The copy may have been dropped during the read, which then found too few records.
    if bounds_of(&shared.published(), request).is_none() {
        return FrozenAnswer::NotHere;
    }
    read.unwrap_or_else(|error| FrozenAnswer::Failed(error.to_string()))
}

/// The bounds of the requested frozen copy, if it is here.
fn bounds_of<'a>(published: &'a Published, request: &FrozenRequest) -> Option<&'a KeyRange> {
    let mut frozen = published.read.ownership().frozen().iter();
    let is_it = |r: &&RangeDescriptor| r.range_id == request.range_id && r.epoch == request.epoch;
    frozen.find(is_it).map(|range| &range.bounds)
}

fn read(
    engine: &dyn Engine,
    bounds: &KeyRange,
    read: &FrozenRead,
) -> Result<FrozenAnswer, StorageError> {
    match read {
        FrozenRead::Keys(keys) => {
            let (mut records, mut bytes) = (Vec::new(), 0u64);
            for key in keys {
                if bytes >= CHUNK_BYTES_MAX {
                    break;
                }
                let record = engine.get(&layout::header_key(bounds.table, key))?;
                bytes += record.as_ref().map_or(0, Bytes::len) as u64;
                records.push(record);
            }
            Ok(FrozenAnswer::Keys(records))
        }
        FrozenRead::Chunk { from, bytes_max } => {
            let page = Page {
                bytes_max: (*bytes_max).min(CHUNK_BYTES_MAX),
                records_max: RECORDS_MAX,
                values: true,
            };
            page.read(engine, &rest(bounds, from, None))
        }
        FrozenRead::Headers {
            from,
            end,
            count_max,
        } => {
            let page = Page {
                bytes_max: CHUNK_BYTES_MAX,
                records_max: usize::try_from(*count_max)
                    .map_or(RECORDS_MAX, |n| n.min(RECORDS_MAX)),
                values: false,
            };
            page.read(engine, &rest(bounds, from, end.as_ref()))
        }
        FrozenRead::Digest => {
            let mut tally = Tally::default();
            let (start, end) = layout::header_interval(bounds);
            engine.scan(&start, &end, &mut |stored, raw| {
                match layout::parse_header(stored) {
                    // Counted as the destination counts arriving records.
                    Some((_, key)) => tally.add(&key, raw),
                    // The digests differ, as the destination has no such entry.
                    None => tally.add(stored, raw),
                }
                true
            })?;
            Ok(elements::answer_of(&tally))
        }
        FrozenRead::Size => {
            let sizes = sizes::of_ranges(engine, std::iter::once(bounds));
            Ok(FrozenAnswer::Size(sizes.first().copied().unwrap_or(0)))
        }
        FrozenRead::Elements { .. }
        | FrozenRead::ElementsDigest(_)
        | FrozenRead::Element { .. }
        | FrozenRead::Walk { .. } => elements::read(engine, bounds, read, CHUNK_BYTES_MAX),
    }
}

/// The part of `bounds` at or behind `from` and before `end`.
fn rest(bounds: &KeyRange, from: &Bytes, end: Option<&Bytes>) -> KeyRange {
    let end = match (end, &bounds.end) {
        (Some(a), Some(b)) => Some(a.min(b).clone()),
        (a, b) => a.cloned().or_else(|| b.clone()),
    };
    KeyRange {
        table: bounds.table,
        start: from.max(&bounds.start).clone(),
        end,
    }
}

/// Limits of a page of records.
struct Page {
    bytes_max: u64,
    records_max: usize,
    values: bool,
}

impl Page {
    fn read(&self, reader: &dyn Reader, bounds: &KeyRange) -> Result<FrozenAnswer, StorageError> {
        let (start, end) = layout::header_interval(bounds);
        let (mut records, mut bytes, mut next) = (Vec::new(), 0u64, None);
        let (mut is_damaged, mut is_over) = (false, false);
        reader.scan(&start, &end, &mut |stored, raw| {
            let Some((_, key)) = layout::parse_header(stored) else {
                is_damaged = true;
                return false;
            };
            let key = Bytes::from(key.into_owned());
            let is_full = records.len() >= self.records_max || bytes >= self.bytes_max;
            // The header of a spread collection stands alone: its elements come before it.
            let is_alone = self.values && Header::decode(raw).is_ok_and(|(h, _)| h.is_spread);
            if !records.is_empty() && (is_full || is_alone || is_over) {
                next = Some(key);
                return false;
            }
            is_over = is_alone;
            let raw = if self.values {
                Bytes::copy_from_slice(raw)
            } else {
                header(raw)
            };
            bytes += (key.len() + raw.len()) as u64;
            records.push((key, raw));
            true
        })?;
        if is_damaged {
            let reason = "a store key that is no header's";
            return Err(StorageError::corrupt("read a frozen range", reason));
        }
        Ok(FrozenAnswer::Records { records, next })
    }
}

/// The record without its value. An undecodable record stays as it is, for the destination to
/// report.
fn header(raw: &[u8]) -> Bytes {
    let value = Header::decode(raw).map_or(0, |(_, value)| value.len());
    Bytes::copy_from_slice(&raw[..raw.len() - value])
}

#[cfg(test)]
mod tests {
    use coterie_storage::{Batch, MemEngine};
    use coterie_types::TableId;

    use super::*;

    fn engine(keys: &[&str]) -> MemEngine {
        let engine = MemEngine::default();
        let mut batch = Batch::default();
        for key in keys {
            batch.put(
                layout::header_key(TableId(0), key.as_bytes()),
                b"\x00\x01\x01value".to_vec(),
            );
        }
        engine.write(batch).unwrap();
        engine
    }

    fn bounds() -> KeyRange {
        KeyRange {
            table: TableId(0),
            start: Bytes::from_static(b"b"),
            end: Some(Bytes::from_static(b"x")),
        }
    }

    #[test]
    fn chunks_follow_one_another_to_the_end_of_the_range() {
        let engine = engine(&["a", "b", "c", "d", "x"]);
        let (mut from, mut seen) = (Bytes::new(), Vec::new());
        loop {
            let bytes_max = 10;
            let chunk = read(&engine, &bounds(), &FrozenRead::Chunk { from, bytes_max });
            let FrozenAnswer::Records { records, next } = chunk.unwrap() else {
                panic!("no records");
            };
            seen.extend(records.into_iter().map(|(key, raw)| (key, raw.len())));
            match next {
                Some(next) => from = next,
                None => break,
            }
        }
        let expected = ["b", "c", "d"].map(|key| (Bytes::from(key), 8));
        assert_eq!(seen, expected);
    }

    #[test]
    fn the_header_of_a_spread_collection_is_a_chunk_of_its_own() {
        let engine = engine(&["b", "d"]);
        let mut batch = Batch::default();
        // A spread hash of two elements, of incarnation 1, 1.
        batch.put(
            layout::header_key(TableId(0), b"c"),
            b"\x11\x01\x01\x01\x01\x02".to_vec(),
        );
        engine.write(batch).unwrap();
        let (mut from, mut chunks) = (Bytes::new(), Vec::new());
        loop {
            let bytes_max = 1000;
            let chunk = read(&engine, &bounds(), &FrozenRead::Chunk { from, bytes_max });
            let FrozenAnswer::Records { records, next } = chunk.unwrap() else {
                panic!("no records");
            };
            chunks.push(records.into_iter().map(|(key, _)| key).collect::<Vec<_>>());
            match next {
                Some(next) => from = next,
                None => break,
            }
        }
        assert_eq!(chunks, [["b"], ["c"], ["d"]]);
    }

    #[test]
    fn keys_are_answered_as_far_as_an_answer_goes() {
        let engine = MemEngine::default();
        let mut batch = Batch::default();
        let large = vec![0; usize::try_from(CHUNK_BYTES_MAX).unwrap()];
        batch.put(layout::header_key(TableId(0), b"c"), large);
        engine.write(batch).unwrap();
        let keys = ["b", "c", "d"].map(Bytes::from).to_vec();
        let answer = read(&engine, &bounds(), &FrozenRead::Keys(keys)).unwrap();
        let FrozenAnswer::Keys(records) = answer else {
            panic!("no keys");
        };
        assert!(records.len() == 2 && records[0].is_none() && records[1].is_some());
    }

    #[test]
    fn headers_have_no_values_and_end_where_they_are_told() {
        let engine = engine(&["b", "c", "d"]);
        let headers = FrozenRead::Headers {
            from: Bytes::new(),
            end: Some(Bytes::from_static(b"d")),
            count_max: 9,
        };
        let FrozenAnswer::Records { records, next } = read(&engine, &bounds(), &headers).unwrap()
        else {
            panic!("no records");
        };
        assert_eq!((records.len(), next), (2, None));
        assert!(
            records
                .iter()
                .all(|(_, raw)| raw.as_ref() == b"\x00\x01\x01")
        );
    }
}
