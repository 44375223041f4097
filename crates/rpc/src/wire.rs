//! The frames of a connection, after the handshake. All numbers little endian:
//!
//! ```text
//! length: u32, of all that follows
//! kind: u8
//! kind 1, a call:      id: u64   method: u16   timeout in ms: u32   body
//! kind 2, an answer:   id: u64   body
//! kind 3, a failure:   id: u64   reason in UTF-8
//! kind 4, closing:     nothing; the sender takes no new calls on this connection
//! kind 5, a piece:     id: u64   length of the whole answer: u32   its next bytes
//! kind 6, working:     id: u64   the call is in progress
//! kind 7, cancel:      id: u64   the caller no longer waits for an answer
//! ```
//!
//! The calling side chooses ids; an id names a call until its answer or its deadline. A long answer
//! comes in pieces, in order, with other frames between them; it is whole when its length is
//! reached. An answer to an unknown id is dropped. The calling side sends kinds 1 and 7, the
//! answering side all others. A kind unknown to the receiver ends the connection.

use std::io;

use bytes::{Buf, Bytes, BytesMut};

const KIND_CALL: u8 = 1;
const KIND_ANSWER: u8 = 2;
const KIND_FAILURE: u8 = 3;
const KIND_CLOSING: u8 = 4;
const KIND_PIECE: u8 = 5;
const KIND_WORKING: u8 = 6;
const KIND_CANCEL: u8 = 7;

const LENGTH_BYTES: usize = 4;
const CALL_HEAD_BYTES: usize = 1 + 8 + 2 + 4;
const ANSWER_HEAD_BYTES: usize = 1 + 8;
const PIECE_HEAD_BYTES: usize = 1 + 8 + 4;

/// Most bytes of a frame before its body.
pub(crate) const HEAD_BYTES_MAX: usize = LENGTH_BYTES + CALL_HEAD_BYTES;

/// A frame without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    Call {
        id: u64,
        method: u16,
        timeout_ms: u32,
    },
    Answer {
        id: u64,
    },
    Failure {
        id: u64,
    },
    Closing,
    Piece {
        id: u64,
        /// Bytes of the whole answer.
        total: u32,
    },
    Working {
        id: u64,
    },
    Cancel {
        id: u64,
    },
}

impl Head {
    /// Appends the head of a frame whose body has `body_len` bytes; the body must follow.
    pub(crate) fn encode(self, body_len: usize, out: &mut BytesMut) {
        let put_length = |out: &mut BytesMut, head_bytes: usize| {
            out.extend_from_slice(&((head_bytes + body_len) as u32).to_le_bytes());
        };
        match self {
            Self::Call {
                id,
                method,
                timeout_ms,
            } => {
                put_length(out, CALL_HEAD_BYTES);
                out.extend_from_slice(&[self.kind()]);
                out.extend_from_slice(&id.to_le_bytes());
                out.extend_from_slice(&method.to_le_bytes());
                out.extend_from_slice(&timeout_ms.to_le_bytes());
            }
            Self::Answer { id }
            | Self::Failure { id }
            | Self::Working { id }
            | Self::Cancel { id } => {
                put_length(out, ANSWER_HEAD_BYTES);
                out.extend_from_slice(&[self.kind()]);
                out.extend_from_slice(&id.to_le_bytes());
            }
            Self::Piece { id, total } => {
                put_length(out, PIECE_HEAD_BYTES);
                out.extend_from_slice(&[self.kind()]);
                out.extend_from_slice(&id.to_le_bytes());
                out.extend_from_slice(&total.to_le_bytes());
            }
            Self::Closing => {
                put_length(out, 1);
                out.extend_from_slice(&[self.kind()]);
            }
        }
    }

    fn kind(self) -> u8 {
        match self {
            Self::Call { .. } => KIND_CALL,
            Self::Answer { .. } => KIND_ANSWER,
            Self::Failure { .. } => KIND_FAILURE,
            Self::Closing => KIND_CLOSING,
            Self::Piece { .. } => KIND_PIECE,
            Self::Working { .. } => KIND_WORKING,
            Self::Cancel { .. } => KIND_CANCEL,
        }
    }
}

/// Removes the next whole frame from the front of `input`, its body sharing the input's memory;
/// `None` if more bytes are needed, for which space is reserved.
pub(crate) fn take_frame(
    input: &mut BytesMut,
    frame_bytes_max: usize,
) -> io::Result<Option<(Head, Bytes)>> {
    let Some(length) = input.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length == 0 || length > frame_bytes_max {
        return Err(invalid(format!(
            "a frame of {length} bytes, where 1 to {frame_bytes_max} are allowed"
        )));
    }
    if input.len() < LENGTH_BYTES + length {
        input.reserve(LENGTH_BYTES + length - input.len());
        return Ok(None);
    }
    input.advance(LENGTH_BYTES);
    let mut frame = input.split_to(length).freeze();
    let kind = frame.get_u8();
    let head_bytes = match kind {
        KIND_CALL => CALL_HEAD_BYTES,
        KIND_ANSWER | KIND_FAILURE | KIND_WORKING | KIND_CANCEL => ANSWER_HEAD_BYTES,
        KIND_PIECE => PIECE_HEAD_BYTES,
        KIND_CLOSING => 1,
        _ => return Err(invalid(format!("a frame of unknown kind {kind}"))),
    };
    if length < head_bytes {
        return Err(invalid(format!(
            "a frame of kind {kind} in {length} bytes, where its head takes {head_bytes}"
        )));
    }
    let head = match kind {
        KIND_CALL => Head::Call {
            id: frame.get_u64_le(),
            method: frame.get_u16_le(),
            timeout_ms: frame.get_u32_le(),
        },
        KIND_ANSWER => Head::Answer {
            id: frame.get_u64_le(),
        },
        KIND_FAILURE => Head::Failure {
            id: frame.get_u64_le(),
        },
        KIND_PIECE => Head::Piece {
            id: frame.get_u64_le(),
            total: frame.get_u32_le(),
        },
        KIND_WORKING => Head::Working {
            id: frame.get_u64_le(),
        },
        KIND_CANCEL => Head::Cancel {
            id: frame.get_u64_le(),
        },
        _ => Head::Closing,
    };
    Ok(Some((head, frame)))
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_round_trip_however_they_are_cut() {
        let call = Head::Call {
            id: u64::MAX - 1,
            method: 48,
            timeout_ms: 1500,
        };
        let heads = [
            (call, "body"),
            (Head::Answer { id: 7 }, ""),
            (Head::Failure { id: 8 }, "why"),
            (Head::Closing, ""),
            (Head::Piece { id: 9, total: 77 }, "part"),
            (Head::Working { id: 10 }, ""),
            (Head::Cancel { id: 11 }, ""),
        ];
        let mut bytes = BytesMut::new();
        for (head, body) in heads {
            head.encode(body.len(), &mut bytes);
            bytes.extend_from_slice(body.as_bytes());
        }
        let mut input = BytesMut::new();
        let mut taken = Vec::new();
        for byte in bytes {
            input.extend_from_slice(&[byte]);
            while let Some((head, body)) = take_frame(&mut input, 100).unwrap() {
                taken.push((head, String::from_utf8(body.to_vec()).unwrap()));
            }
        }
        assert_eq!(taken, heads.map(|(head, body)| (head, body.to_owned())));
    }

    #[test]
    fn the_layout_is_pinned() {
        let mut out = BytesMut::new();
        let head = Head::Call {
            id: 2,
            method: 0x0102,
            timeout_ms: 3,
        };
        head.encode(1, &mut out);
        assert_eq!(
            out.as_ref(),
            [16, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 2, 1, 3, 0, 0, 0]
        );
        out.clear();
        Head::Piece { id: 2, total: 3 }.encode(1, &mut out);
        assert_eq!(
            out.as_ref(),
            [14, 0, 0, 0, 5, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]
        );
    }

    #[test]
    fn oversize_short_and_unknown_frames_are_refused() {
        for bytes in [
            &[101, 0, 0, 0][..],
            &[0, 0, 0, 0],
            &[2, 0, 0, 0, 1, 0],
            &[1, 0, 0, 0, 9],
        ] {
            assert!(take_frame(&mut BytesMut::from(bytes), 100).is_err());
        }
    }
}
