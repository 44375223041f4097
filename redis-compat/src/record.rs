//! A key's record on disk: a short header, then the value as it is.
//!
//! ```text
//! byte 0      kind in bits 0-3, 0x20 = has an expiry, 0x40 = the expiry is wide;
//!             of strings: 0x10 = kept as `embstr`, 0x80 = kept as `raw`, neither = as if
//!             freshly set, both = spread; of others: 0x10 = spread, 0x80 = kept as a large
//!             collection (`hashtable`, `quicklist`, `skiplist`)
//! varint      version: the group that changed it last
//! varint      version: that group's change counter
//! 6 bytes     expiry in Unix ms, big endian, if 0x20 (8 bytes if 0x40, for years past 10889)
//! rest        the value: of hashes the packed fields ([`crate::txn::elements`]); if it is spread,
//!             its header ([`crate::txn::spread`])
//! ```
//!
//! The layout is on disk: pinned by the tests below, described in `docs/disk-format.md`. Decoding
//! never copies the value and never panics; bytes that do not fit are a [`Fault`].

use bytes::{Buf, BufMut, Bytes};
use coterie_types::{GroupId, UnixMillis, Version, varint};

use crate::{Encoding, Fault};

const KIND_MASK: u8 = 0x0f;
const KEPT_EMBSTR: u8 = 0x10;
const HAS_EXPIRY: u8 = 0x20;
const WIDE_EXPIRY: u8 = 0x40;
const KEPT_RAW: u8 = 0x80;
/// A collection kept as a large one.
const KEPT_LARGE: u8 = 0x80;
const SPREAD: u8 = 0x10;
/// A string is kept in one way, unless it is spread.
const SPREAD_STRING: u8 = KEPT_EMBSTR | KEPT_RAW;
/// The first expiry that needs the wide form.
const WIDE_FROM: u64 = 1 << 48;

/// The type of a key's value. The number is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A string of bytes.
    String = 0,
    /// Fields and their values.
    Hash = 1,
    /// Values in the order of their places.
    List = 2,
    /// Members.
    Set = 3,
    /// Members in the order of their scores.
    SortedSet = 4,
    /// Entries in the order of their ids.
    Stream = 5,
}

impl Kind {
    /// The reply of `TYPE`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Hash => "hash",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::SortedSet => "zset",
            Kind::Stream => "stream",
        }
    }
}

impl TryFrom<u8> for Kind {
    type Error = Fault;

    fn try_from(byte: u8) -> Result<Self, Fault> {
        match byte {
            0 => Ok(Kind::String),
            1 => Ok(Kind::Hash),
            2 => Ok(Kind::List),
            3 => Ok(Kind::Set),
            4 => Ok(Kind::SortedSet),
            5 => Ok(Kind::Stream),
            other => Err(Fault::corrupt(format!("record of unknown kind {other}"))),
        }
    }
}

/// The value and header stored under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The type of the value.
    pub kind: Kind,
    /// The last change.
    pub version: Version,
    /// From this time on the key is absent to every command.
    pub expires_at: Option<UnixMillis>,
    /// How Redis would keep the value, where that is not as a string that was just set
    /// ([`Encoding::when_set`]), or as a small collection.
    pub kept: Option<Encoding>,
    /// The value is the header of a spread collection.
    pub is_spread: bool,
    /// The value; for a string, its bytes or its header; for a collection, its packed elements or
    /// its header.
    pub value: Bytes,
}

impl Record {
    /// Bytes of the record as it is stored.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let expiry = match self.expires_at {
            None => 0,
            Some(at) if at.0 >= WIDE_FROM => 8,
            Some(_) => 6,
        };
        let version = varint::len(self.version.group.0) + varint::len(self.version.change);
        1 + version + expiry + self.value.len()
    }

    /// Appends the record as it is stored.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let wide = self.expires_at.is_some_and(|at| at.0 >= WIDE_FROM);
        let expiry_flags = match self.expires_at {
            None => 0,
            Some(_) if wide => HAS_EXPIRY | WIDE_EXPIRY,
            Some(_) => HAS_EXPIRY,
        };
        out.reserve(self.encoded_len());
        let kept_flag = match self.kept {
            Some(Encoding::Embstr) => KEPT_EMBSTR,
            Some(Encoding::Raw) => KEPT_RAW,
            Some(Encoding::Hashtable | Encoding::Quicklist | Encoding::Skiplist) => KEPT_LARGE,
            // No record notes these.
            None | Some(Encoding::Int | Encoding::Listpack) => 0,
            Some(Encoding::Intset | Encoding::Stream) => 0,
        };
        let spread_flag = match (self.is_spread, self.kind) {
            (false, _) => 0,
            (true, Kind::String) => SPREAD_STRING,
            (true, _) => SPREAD,
        };
        out.put_u8(self.kind as u8 | kept_flag | spread_flag | expiry_flags);
        varint::put(out, self.version.group.0);
        varint::put(out, self.version.change);
        if let Some(at) = self.expires_at {
            out.put_uint(at.0, if wide { 8 } else { 6 });
        }
        out.put_slice(&self.value);
        debug_assert!(
            self.is_told_by(&out[start..]),
            "a record that is not read as it was written: {:?}",
            self.header()
        );
    }

    /// Whether decoding these bytes gives the header of this record, and a value of its length.
    fn is_told_by(&self, raw: &[u8]) -> bool {
        let decoded = Header::decode(raw);
        let is_same = |(header, value): (Header, &[u8])| {
            header == self.header() && value.len() == self.value.len()
        };
        raw.len() == self.encoded_len() && decoded.is_ok_and(is_same)
    }

    /// Reads a stored record; the value shares memory with `raw`.
    pub fn decode(mut raw: Bytes) -> Result<Self, Fault> {
        let header = decode_header(&mut raw)?;
        Ok(Self {
            kind: header.kind,
            version: header.version,
            expires_at: header.expires_at,
            kept: header.kept,
            is_spread: header.is_spread,
            value: raw,
        })
    }

    /// The record but for its value.
    #[must_use]
    pub fn header(&self) -> Header {
        Header {
            kind: self.kind,
            version: self.version,
            expires_at: self.expires_at,
            kept: self.kept,
            is_spread: self.is_spread,
        }
    }

    /// How Redis would keep the value.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.kept.unwrap_or_else(|| match self.kind {
            Kind::String if self.is_spread => Encoding::Raw,
            Kind::String => Encoding::when_set(&self.value),
            Kind::Hash | Kind::List | Kind::Set | Kind::SortedSet => Encoding::Listpack,
            Kind::Stream => Encoding::Stream,
        })
    }

    /// Whether the key is absent at `now`.
    #[must_use]
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.header().is_expired(now)
    }
}

/// A record but for its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// See [`Record::kind`].
    pub kind: Kind,
    /// See [`Record::version`].
    pub version: Version,
    /// See [`Record::expires_at`].
    pub expires_at: Option<UnixMillis>,
    /// See [`Record::kept`].
    pub kept: Option<Encoding>,
    /// See [`Record::is_spread`].
    pub is_spread: bool,
}

impl Header {
    /// The header of a stored record, and the bytes of its value.
    pub fn decode(mut raw: &[u8]) -> Result<(Self, &[u8]), Fault> {
        let header = decode_header(&mut raw)?;
        Ok((header, raw))
    }

    /// Whether the key is absent at `now`.
    #[must_use]
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

fn decode_header(raw: &mut impl Buf) -> Result<Header, Fault> {
    let cut = || Fault::corrupt("record header is cut short");
    if !raw.has_remaining() {
        return Err(cut());
    }
    let first = raw.get_u8();
    let kind = Kind::try_from(first & KIND_MASK)?;
    let spread_flag = match kind {
        Kind::String => SPREAD_STRING,
        _ => SPREAD,
    };
    let is_spread = first & spread_flag == spread_flag;
    let spread_flag = if is_spread { spread_flag } else { 0 };
    let kept_flags = first & (KEPT_EMBSTR | KEPT_RAW | KEPT_LARGE) & !spread_flag;
    let kept = match (kind, kept_flags) {
        (_, 0) => None,
        (Kind::String, KEPT_EMBSTR) => Some(Encoding::Embstr),
        (Kind::String, KEPT_RAW) => Some(Encoding::Raw),
        (Kind::Hash | Kind::Set, KEPT_LARGE) => Some(Encoding::Hashtable),
        (Kind::List, KEPT_LARGE) => Some(Encoding::Quicklist),
        (Kind::SortedSet, KEPT_LARGE) => Some(Encoding::Skiplist),
        _ => return Err(Fault::corrupt("record is kept in an unknown way")),
    };
    let group = GroupId(varint::take(raw).ok_or_else(cut)?);
    let change = varint::take(raw).ok_or_else(cut)?;
    let width = match (first & HAS_EXPIRY != 0, first & WIDE_EXPIRY != 0) {
        (false, false) => 0,
        (true, wide) => 6 + 2 * usize::from(wide),
        (false, true) => return Err(Fault::corrupt("record has a wide expiry and no expiry")),
    };
    if raw.remaining() < width {
        return Err(cut());
    }
    let expires_at = (width > 0).then(|| UnixMillis(raw.get_uint(width)));
    Ok(Header {
        kind,
        version: Version { group, change },
        expires_at,
        kept,
        is_spread,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(expires_at: Option<u64>, value: &'static [u8]) -> Record {
        Record {
            kind: Kind::String,
            version: Version {
                group: GroupId(3),
                change: 300,
            },
            expires_at: expires_at.map(UnixMillis),
            kept: None,
            is_spread: false,
            value: Bytes::from_static(value),
        }
    }

    fn encoded(record: &Record) -> Vec<u8> {
        let mut out = Vec::new();
        record.encode(&mut out);
        out
    }

    #[test]
    fn the_layout_on_disk_is_pinned() {
        assert_eq!(encoded(&record(None, b"v")), b"\x00\x03\xac\x02v");
        assert_eq!(
            encoded(&record(Some(0x0192_0304_0506), b"")),
            b"\x20\x03\xac\x02\x01\x92\x03\x04\x05\x06"
        );
        assert_eq!(
            encoded(&record(Some(1 << 48), b"v")),
            b"\x60\x03\xac\x02\x00\x01\x00\x00\x00\x00\x00\x00v"
        );
        let kept = |kept| Record {
            kept: Some(kept),
            ..record(None, b"5")
        };
        assert_eq!(encoded(&kept(Encoding::Raw)), b"\x80\x03\xac\x025");
        assert_eq!(encoded(&kept(Encoding::Embstr)), b"\x10\x03\xac\x025");
        let hash = |kept| Record {
            kind: Kind::Hash,
            kept,
            ..record(None, b"\x01\x01f\x01v")
        };
        assert_eq!(encoded(&hash(None)), b"\x01\x03\xac\x02\x01\x01f\x01v");
        let large = hash(Some(Encoding::Hashtable));
        assert_eq!(encoded(&large), b"\x81\x03\xac\x02\x01\x01f\x01v");
        let spread = Record {
            is_spread: true,
            ..large.clone()
        };
        assert_eq!(encoded(&spread), b"\x91\x03\xac\x02\x01\x01f\x01v");
        let string = Record {
            is_spread: true,
            ..record(None, b"\x01\x05\x01\x07")
        };
        assert_eq!(encoded(&string), b"\x90\x03\xac\x02\x01\x05\x01\x07");
        for record in [large, spread, string] {
            assert_eq!(
                Record::decode(Bytes::from(encoded(&record))).unwrap(),
                record
            );
        }
    }

    #[test]
    fn records_survive_the_round_trip() {
        for at in [
            None,
            Some(0),
            Some((1 << 48) - 1),
            Some(1 << 48),
            Some(u64::MAX),
        ] {
            for kept in [None, Some(Encoding::Embstr), Some(Encoding::Raw)] {
                let before = Record {
                    kept,
                    ..record(at, b"5")
                };
                let raw = encoded(&before);
                assert_eq!(raw.len(), before.encoded_len());
                let header = Header::decode(&raw).unwrap();
                assert_eq!(header, (before.header(), &before.value[..]));
                assert_eq!(Record::decode(Bytes::from(raw)).unwrap(), before);
            }
        }
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "not read as it was written")]
    fn a_header_without_a_form_on_disk_is_noticed() {
        let int = Record {
            kept: Some(Encoding::Int),
            ..record(None, b"5")
        };
        encoded(&int);
    }

    #[test]
    fn bytes_that_do_not_fit_are_a_fault() {
        let whole = encoded(&record(Some(5), b""));
        for len in 0..whole.len() {
            assert!(
                Record::decode(Bytes::copy_from_slice(&whole[..len])).is_err(),
                "{len}"
            );
        }
        assert!(
            Record::decode(Bytes::from_static(b"\x0f\x01\x01")).is_err(),
            "unknown kind"
        );
        assert!(
            Record::decode(Bytes::from_static(b"\x85\x01\x01")).is_err(),
            "a stream kept as a large collection"
        );
        assert!(
            Record::decode(Bytes::from_static(b"\x40\x01\x01")).is_err(),
            "wide without expiry"
        );
    }
}
