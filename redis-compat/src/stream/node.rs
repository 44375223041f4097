//! The nodes in which Redis would keep the entries of a stream.
//!
//! Redis packs entries into nodes, listpacks of at most 100 entries or 4096 bytes, and `MAXLEN ~`
//! and `MINID ~` remove whole nodes. Here entries are alone, but each knows the number of its node,
//! and the head of the stream knows the last node, so that as many entries go as would in Redis.
//!
//! Source: Redis `t_stream.c`, `streamAppendItem`.

use bytes::{Buf, BufMut, Bytes};
use coterie_types::varint;
use xxhash_rust::xxh3::Xxh3Default;

use super::id::StreamId;
use crate::rdb::listpack;

/// `stream-node-max-entries`.
pub(super) const NODE_ENTRIES_MAX: u64 = 100;
/// `stream-node-max-bytes`.
const NODE_BYTES_MAX: u64 = 4096;

/// The last node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tail {
    /// Its number: each node has the next one.
    pub(super) number: u64,
    /// Its entries that are there.
    pub(super) live: u64,
    /// Its entries, deleted ones too.
    pub(super) total: u64,
    /// Bytes of the listpack.
    bytes: u64,
    /// The id it began with.
    first: StreamId,
    /// The id that it ends with, deleted or not.
    pub(super) last: StreamId,
    /// A hash of the fields that it began with: entries with the same are shorter.
    fields: u64,
}

impl Tail {
    /// A node of this number that begins with this entry.
    pub(super) fn begin(number: u64, id: StreamId, words: &[Bytes]) -> Self {
        let fields = words.iter().step_by(2);
        let names: usize = fields.map(|field| listpack::len_of(field)).sum();
        // How many entries, how many deleted, how many fields, the fields, and a zero.
        let head =
            3 * listpack::len_of_integer(0) + listpack::len_of_integer(words.len() as i64 / 2);
        let mut tail = Self {
            number,
            live: 0,
            total: 0,
            bytes: (listpack::EMPTY_BYTES + head + names) as u64,
            first: id,
            last: id,
            fields: hash_of_fields(words),
        };
        tail.add(id, words);
        tail
    }

    /// Whether an entry of these words goes into the node, or begins another.
    pub(super) fn has_room(&self, words: &[Bytes]) -> bool {
        let more: usize = words.iter().map(Bytes::len).sum();
        self.bytes.saturating_add(more as u64) < NODE_BYTES_MAX && self.total < NODE_ENTRIES_MAX
    }

    /// Adds an entry.
    pub(super) fn add(&mut self, id: StreamId, words: &[Bytes]) {
        let int = |number: u64| listpack::len_of_integer(number as i64);
        let count = words.len() as u64 / 2;
        let ids = int(id.ms.wrapping_sub(self.first.ms)) + int(id.seq.wrapping_sub(self.first.seq));
        let len_of = |words: &mut dyn Iterator<Item = &Bytes>| -> usize {
            words.map(|word| listpack::len_of(word)).sum()
        };
        // Flags, the id, the values, and how many elements the entry has.
        let own = if hash_of_fields(words) == self.fields {
            len_of(&mut words.iter().skip(1).step_by(2)) + int(count + 3)
        } else {
            int(count) + len_of(&mut words.iter()) + int(2 * count + 4)
        };
        self.bytes += (int(0) + ids + own) as u64;
        self.live += 1;
        self.total += 1;
        self.last = id;
    }

    /// A node of a payload: its bytes and fields as they came.
    pub(super) fn restored(
        number: u64,
        (live, deleted): (u64, u64),
        bytes: usize,
        (first, last): (StreamId, StreamId),
        fields: &[Bytes],
    ) -> Self {
        Self {
            number,
            live,
            total: live.saturating_add(deleted),
            bytes: bytes as u64,
            first,
            last,
            fields: hash_of(fields.iter()),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        for number in [self.number, self.live, self.bytes] {
            varint::put(out, number);
        }
        self.first.put(out);
        self.last.put(out);
        out.put_u64_le(self.fields);
    }

    /// Takes a node of so many entries.
    pub(super) fn take(total: u64, input: &mut impl Buf) -> Option<Self> {
        Some(Self {
            number: varint::take(input)?,
            live: varint::take(input)?,
            bytes: varint::take(input)?,
            total,
            first: StreamId::take(input)?,
            last: StreamId::take(input)?,
            fields: input.try_get_u64_le().ok()?,
        })
    }
}

/// A hash of the fields of an entry, whose words are fields and values.
fn hash_of_fields(words: &[Bytes]) -> u64 {
    hash_of(words.iter().step_by(2))
}

fn hash_of<'a>(fields: impl Iterator<Item = &'a Bytes>) -> u64 {
    let mut hash = Xxh3Default::new();
    for field in fields {
        hash.update(&(field.len() as u64).to_le_bytes());
        hash.update(field);
    }
    hash.digest()
}
