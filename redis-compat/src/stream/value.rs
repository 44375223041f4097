//! The handle of streams.
//!
//! A stream is packed into the record of its key while it is small, and spread over records of its
//! elements else ([`super::body`]). Commands see neither. Unlike other collections a stream without
//! entries stays.

use bytes::Bytes;
use coterie_types::{TableId, UnixMillis};

use super::body::{Body, Packed, corrupt};
use super::head::Head;
use crate::errors::{COLLECTION_TOO_LARGE, WRONG_TYPE};
use crate::txn::spread::{COPY_BYTES_MAX, SpreadHeader};
use crate::{Collection, Encoding, EvalError, Fault, Kind, Record, Txn};

/// The longest packed stream. Each `XADD` writes all of it, so it is shorter than that of other
/// collections.
pub(super) const PACKED_BYTES_MAX: usize = crate::txn::spread::PACKED_BYTES_MAX / 4;

/// A stream, and the expiry of its key.
pub(crate) struct Stream {
    pub(super) head: Head,
    pub(super) body: Body,
    expires_at: Option<UnixMillis>,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            head: Head::default(),
            body: Body::Packed(Packed::default()),
            expires_at: None,
        }
    }
}

impl Stream {
    /// The stream of a record, until it is told its key ([`Stream::under`]).
    pub(crate) fn of(record: &Record) -> Result<Self, Fault> {
        debug_assert_eq!(record.kind, Kind::Stream);
        let (head, body) = if record.is_spread {
            let mut header = SpreadHeader::decode(&record.value)?;
            let head = Head::take_rest(header.count, &mut header.rest).ok_or_else(corrupt)?;
            let of = header.of(TableId(0), &Bytes::new());
            (head, Body::Spread(of))
        } else {
            let mut value = record.value.clone();
            let head = Head::take(&mut value).ok_or_else(corrupt)?;
            let packed = Packed::decode(value).ok_or_else(corrupt)?;
            (head, Body::Packed(packed))
        };
        Ok(Self {
            head,
            body,
            expires_at: record.expires_at,
        })
    }

    /// A stream that a payload brings.
    pub(super) fn restored(head: Head, body: Body) -> Self {
        Self {
            head,
            body,
            expires_at: None,
        }
    }

    /// The same, under its key.
    pub(super) fn under(mut self, table: TableId, key: &Bytes) -> Self {
        if let Body::Spread(of) = &mut self.body {
            *of = Collection {
                table,
                key: key.clone(),
                incarnation: of.incarnation,
            };
        }
        self
    }

    /// How Redis would keep it.
    #[expect(clippy::unused_self, reason = "as the handles of other types")]
    pub(crate) fn encoding(&self) -> Encoding {
        Encoding::Stream
    }

    /// The same with this expiry.
    pub(crate) fn expiring(mut self, expires_at: Option<UnixMillis>) -> Self {
        self.expires_at = expires_at;
        self
    }
}

impl Txn<'_> {
    /// The stream under a key, if the key is there. Errors: `WRONG_TYPE`, `UNDECLARED_KEY`.
    pub(crate) fn stream(&mut self, key: &Bytes) -> Result<Option<Stream>, EvalError> {
        match self.record(key)? {
            None => Ok(None),
            Some(record) if record.kind == Kind::Stream => {
                Ok(Some(Stream::of(&record)?.under(self.table(), key)))
            }
            Some(_) => Err(WRONG_TYPE.into()),
        }
    }

    /// Stores a changed stream, or one that a payload brought. A packed stream that has grown too
    /// long is spread. Errors: `COLLECTION_TOO_LARGE`, `UNDECLARED_KEY`.
    pub(crate) fn put_stream(&mut self, key: Bytes, stream: &Stream) -> Result<(), EvalError> {
        let expires_at = stream.expires_at;
        let of = match &stream.body {
            Body::Spread(of) => of.clone(),
            Body::Packed(packed) => {
                let mut value = Vec::new();
                stream.head.put(&mut value);
                packed.encode(&mut value);
                if value.len() <= PACKED_BYTES_MAX {
                    let value = Bytes::from(value);
                    return Ok(self.put_new(key, Kind::Stream, value, None, expires_at)?);
                }
                if value.len() > COPY_BYTES_MAX {
                    return Err(COLLECTION_TOO_LARGE.into());
                }
                let of = self.begin_collection(&key);
                for (family, element, value) in packed.all() {
                    self.put_element(&of, family, element.clone(), value.clone());
                }
                of
            }
        };
        let mut rest = Vec::new();
        stream.head.put_rest(&mut rest);
        let header = SpreadHeader {
            incarnation: of.incarnation,
            count: stream.head.length,
            rest: Bytes::from(rest),
        };
        Ok(self.put_header(key, Kind::Stream, &header, None, expires_at)?)
    }
}
