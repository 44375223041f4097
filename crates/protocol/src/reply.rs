//! What a server answers to a frame: the RESP replies of its commands, or a refusal.
//!
//! Layout: a tag byte; 0: reply count, each reply's length (LEB128), then the replies' bytes one
//! after another, as they go to the client; 1: a [`Refusal`] in postcard. The lengths let the
//! proxy split replies without parsing them.

use bytes::{BufMut, Bytes, BytesMut};
use coterie_types::varint;

use crate::{DecodeError, Refusal, decode, encode};

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameReply {
    /// One reply per command (one in all for a transaction), RESP encoded.
    Done(Vec<Bytes>),
    /// Nothing was executed, or the fate is unknown.
    Refused(Refusal),
}

impl FrameReply {
    /// The reply's bytes. `Done` is usually built with [`FrameReply::encode_done`].
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Done(replies) => {
                let ends: Vec<usize> = replies
                    .iter()
                    .scan(0, |end, reply| {
                        *end += reply.len();
                        Some(*end)
                    })
                    .collect();
                Self::encode_done(&ends, &replies.concat())
            }
            Self::Refused(refusal) => {
                let body = encode(refusal);
                let mut out = BytesMut::with_capacity(1 + body.len());
                out.put_u8(1);
                out.put_slice(&body);
                out.freeze()
            }
        }
    }

    /// The bytes of `Done` from replies written one after another into `bytes`, the n-th ending at
    /// `ends[n]`.
    #[must_use]
    pub fn encode_done(ends: &[usize], bytes: &[u8]) -> Bytes {
        if bytes == b"+OK\r\n" && ends == [bytes.len()] {
            // What most writes are answered with takes no memory.
            return Bytes::from_static(b"\x00\x01\x05+OK\r\n");
        }
        let mut out = BytesMut::with_capacity(bytes.len() + 3 * ends.len() + 4);
        out.put_u8(0);
        varint::put(&mut out, ends.len() as u64);
        let mut start = 0;
        for end in ends {
            varint::put(&mut out, (end - start) as u64);
            start = *end;
        }
        out.put_slice(bytes);
        out.freeze()
    }

    /// A reply from its bytes, sharing their memory.
    pub fn decode(mut input: Bytes) -> Result<Self, DecodeError> {
        let malformed = || DecodeError::new("frame reply", "cut short or malformed");
        match input.first() {
            Some(0) => {
                let mut lengths = input.slice(1..);
                let count = varint::take(&mut lengths)
                    .and_then(|count| usize::try_from(count).ok())
                    .filter(|count| *count <= lengths.len())
                    .ok_or_else(malformed)?;
                let mut lens = Vec::with_capacity(count);
                for _ in 0..count {
                    let len = varint::take(&mut lengths).ok_or_else(malformed)?;
                    lens.push(usize::try_from(len).map_err(|_| malformed())?);
                }
                let mut rest = lengths;
                let mut replies = Vec::with_capacity(count);
                for len in lens {
                    if len > rest.len() {
                        return Err(malformed());
                    }
                    replies.push(rest.split_to(len));
                }
                if rest.is_empty() {
                    Ok(Self::Done(replies))
                } else {
                    Err(malformed())
                }
            }
            Some(1) => Ok(Self::Refused(decode(&input.split_off(1))?)),
            _ => Err(malformed()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn replies_and_refusals_survive_the_round_trip() {
        let done = FrameReply::Done(vec![
            Bytes::from_static(b"+OK\r\n"),
            Bytes::new(),
            Bytes::from_static(b":1\r\n"),
        ]);
        assert_eq!(FrameReply::decode(done.encode()).unwrap(), done);
        let refused = FrameReply::Refused(Refusal::Overloaded);
        assert_eq!(FrameReply::decode(refused.encode()).unwrap(), refused);
        assert!(FrameReply::decode(done.encode().slice(..8)).is_err());
    }
}
