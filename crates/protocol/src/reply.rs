//! A server's answer to a frame: the RESP replies of its commands, or a refusal.
//!
//! Layout: a tag byte; 0: reply count, each reply's length (LEB128), then the replies' bytes in
//! order, as they go to the client; 1: a [`Refusal`] in postcard; 2: the frame waits, with the
//! epoch of the proxy's link (u64 little endian); 3: the command's words, postcard. The lengths let
//! the proxy split replies without parsing them.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use coterie_types::varint;

use crate::{DecodeError, Refusal, decode, encode};

/// Most bytes of an encoded reply length: replies of a frame have less than 2^35 bytes.
const REPLY_LEN_BYTES_MAX: usize = 5;
/// The tag of [`FrameReply::Waits`].
const WAITS: u8 = 2;

/// The answer to a frame; see the module's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameReply {
    /// A reply per command (a single reply for a transaction), RESP encoded.
    Done(Vec<Bytes>),
    /// Nothing was executed, or the fate is unknown.
    Refused(Refusal),
    /// The command found nothing, and nothing was executed. The frame waits at this leader, and its
    /// answer is asked for with [`crate::waits::WaitPoll`].
    Waits {
        /// As in [`crate::waits::WaitNews`]; 0 in the answer of a log entry.
        epoch: u64,
    },
    /// Nothing was executed: the command is to be sent with these words, which do not depend on the
    /// moment (`$` of XREAD).
    Resolved(Vec<Bytes>),
}

impl FrameReply {
    /// Encodes the answer. `Done` is usually built with [`FrameReply::encode_done`].
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
            Self::Waits { epoch } => {
                let mut out = BytesMut::with_capacity(9);
                out.put_u8(WAITS);
                out.put_u64_le(*epoch);
                out.freeze()
            }
            Self::Resolved(words) => {
                let body = encode(words);
                let mut out = BytesMut::with_capacity(1 + body.len());
                out.put_u8(3);
                out.put_slice(&body);
                out.freeze()
            }
        }
    }

    /// Whether an encoded answer says that the frame waits.
    #[must_use]
    pub fn is_waits(answer: &[u8]) -> bool {
        answer.first() == Some(&WAITS)
    }

    /// Encodes `Done` from replies written in order into `bytes`, the n-th ending at `ends[n]`.
    #[must_use]
    pub fn encode_done(ends: &[usize], bytes: &[u8]) -> Bytes {
        let mut replies = DoneReplies::new(ends.len());
        let mut start = 0;
        for end in ends {
            replies.out().put_slice(&bytes[start..*end]);
            replies.end_reply();
            start = *end;
        }
        replies.finish()
    }

    /// Decodes an answer; its replies share the memory of `input`.
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
            Some(&WAITS) if input.len() == 9 => {
                let epoch = input.split_off(1).get_u64_le();
                Ok(Self::Waits { epoch })
            }
            Some(3) => Ok(Self::Resolved(decode(&input.split_off(1))?)),
            _ => Err(malformed()),
        }
    }
}

/// Builds the bytes of [`FrameReply::Done`] in place: space for the head is reserved before the
/// replies, so that nothing is copied.
#[derive(Debug)]
pub struct DoneReplies {
    /// Space for the head, then the replies.
    out: BytesMut,
    /// Offset of the first reply.
    first: usize,
    /// End offset of each reply.
    ends: Vec<usize>,
}

impl DoneReplies {
    /// No replies yet, with space for the head of up to `replies_max`.
    #[must_use]
    pub fn new(replies_max: usize) -> Self {
        let first = 1 + varint::len(replies_max as u64) + REPLY_LEN_BYTES_MAX * replies_max;
        Self {
            out: BytesMut::zeroed(first),
            first,
            ends: Vec::with_capacity(replies_max),
        }
    }

    /// The buffer to which the next reply is to be appended.
    pub fn out(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    /// Bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.out.len() - self.first
    }

    /// Number of finished replies.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// Ends the reply: the bytes written since the last reply.
    pub fn end_reply(&mut self) {
        self.ends.push(self.out.len());
    }

    /// Removes the bytes written since the last reply.
    pub fn take_back(&mut self) {
        self.out
            .truncate(self.ends.last().copied().unwrap_or(self.first));
    }

    /// The bytes of [`FrameReply::Done`].
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        if self.ends.len() == 1 && &self.out[self.first..] == b"+OK\r\n" {
            // The answer to most writes needs no allocation.
            return Bytes::from_static(b"\x00\x01\x05+OK\r\n");
        }
        let starts = std::iter::once(&self.first).chain(&self.ends);
        let lens = self.ends.iter().zip(starts).map(|(end, start)| end - start);
        let lens_bytes: usize = lens.clone().map(|len| varint::len(len as u64)).sum();
        let count = self.ends.len() as u64;
        let begin = self.first - lens_bytes - varint::len(count) - 1;
        let mut head = Vec::with_capacity(self.first - begin);
        head.put_u8(0);
        varint::put(&mut head, count);
        for len in lens {
            varint::put(&mut head, len as u64);
        }
        self.out[begin..self.first].copy_from_slice(&head);
        self.out.freeze().slice(begin..)
    }
}

#[cfg(test)]
mod tests {
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
        let words = vec![Bytes::from_static(b"xread"), Bytes::new()];
        for answer in [FrameReply::Waits { epoch: 7 }, FrameReply::Resolved(words)] {
            assert_eq!(FrameReply::decode(answer.encode()).unwrap(), answer);
        }
        assert!(FrameReply::is_waits(
            &FrameReply::Waits { epoch: 0 }.encode()
        ));
        assert!(FrameReply::decode(Bytes::from_static(b"\x02\x02")).is_err());
        assert!(FrameReply::decode(done.encode().slice(..8)).is_err());
        for replies in [vec![], vec![Bytes::from_static(b"+OK\r\n")]] {
            let done = FrameReply::Done(replies);
            assert_eq!(FrameReply::decode(done.encode()).unwrap(), done);
        }
    }

    #[test]
    fn replies_are_built_in_place_with_less_than_there_was_room_for() {
        let mut replies = DoneReplies::new(1000);
        let long = Bytes::from(vec![b'x'; 1 << 20]);
        for reply in [&b":1\r\n"[..], &long] {
            replies.out().put_slice(reply);
            replies.end_reply();
        }
        replies.out().put_slice(b"given up");
        replies.take_back();
        assert_eq!((replies.count(), replies.bytes()), (2, 4 + long.len()));
        let done = FrameReply::Done(vec![Bytes::from_static(b":1\r\n"), long]);
        assert_eq!(FrameReply::decode(replies.finish()).unwrap(), done);
        let mut none = DoneReplies::new(3);
        none.take_back();
        assert_eq!(
            FrameReply::decode(none.finish()).unwrap(),
            FrameReply::Done(vec![])
        );
    }
}
