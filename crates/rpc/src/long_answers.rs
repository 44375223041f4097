//! Long answers that wait to be written on a connection: their pieces are written in turn, so that
//! no answer waits for the whole of another.
//!
//! The bound is the handler's responsibility: it holds a permit for the bytes of each answer
//! (`Budget`), which is released with the last piece.

use std::any::Any;
use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use crate::wire::Head;

/// Answers longer than this are sent in pieces.
pub(crate) const LONG_BYTES: usize = 64 << 10;

/// Bytes of a piece.
const PIECE_BYTES: usize = 64 << 10;

/// Permits for the bytes of a long answer, held until it is written.
pub(crate) type Hold = Option<Box<dyn Any + Send>>;

/// The long answers of a connection; see the module's head.
#[derive(Default)]
pub(crate) struct LongAnswers(VecDeque<LongAnswer>);

/// The unwritten rest of an answer.
pub(crate) struct LongAnswer {
    id: u64,
    total: u32,
    rest: Bytes,
    hold: Hold,
}

impl LongAnswers {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an answer of fewer than 4 GiB.
    pub(crate) fn push(&mut self, id: u64, body: Bytes, hold: Hold) {
        self.0.push_back(LongAnswer {
            id,
            total: body.len() as u32,
            rest: body,
            hold,
        });
    }

    /// Passes pieces of about `bytes_max` bytes in all to `put`, a piece of each answer in turn.
    /// Returns the holds of answers whose last piece was passed.
    pub(crate) fn take_pieces(
        &mut self,
        bytes_max: usize,
        put: &mut dyn FnMut(Head, Bytes),
    ) -> Vec<Hold> {
        let (mut bytes, mut whole) = (0, Vec::new());
        while bytes < bytes_max
            && let Some(mut answer) = self.0.pop_front()
        {
            let LongAnswer { id, total, .. } = answer;
            let piece = answer.rest.split_to(answer.rest.len().min(PIECE_BYTES));
            bytes += piece.len();
            put(Head::Piece { id, total }, piece);
            if answer.rest.has_remaining() {
                self.0.push_back(answer)
            } else {
                whole.push(answer.hold)
            }
        }
        whole
    }

    /// Removes the rest of the answer to call `id`.
    pub(crate) fn remove(&mut self, id: u64) -> Option<LongAnswer> {
        let at = self.0.iter().position(|answer| answer.id == id)?;
        self.0.remove(at)
    }
}
