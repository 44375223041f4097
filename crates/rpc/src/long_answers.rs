//! Long answers of a connection that wait to be written: pieces of them leave in turn, so that none
//! waits for the whole of another.
//!
//! Bounds are the business of whoever answers: it holds a permit for the bytes of each answer
//! (`Budget`), which is given back with the last piece.

use std::any::Any;
use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use crate::wire::Head;

/// An answer that is longer goes in pieces.
pub(crate) const LONG_BYTES: usize = 64 << 10;

/// Bytes of one piece.
const PIECE_BYTES: usize = 64 << 10;

/// What goes with a long answer until it is written: permits for its bytes.
pub(crate) type Hold = Option<Box<dyn Any + Send>>;

/// See the module's head.
#[derive(Default)]
pub(crate) struct LongAnswers(VecDeque<LongAnswer>);

/// An answer, or what is left of it.
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

    /// Hands out pieces of about `bytes_max` bytes in all, one of each answer in turn. The holds of
    /// answers that are handed out whole by now.
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
            match answer.rest.has_remaining() {
                true => self.0.push_back(answer),
                false => whole.push(answer.hold),
            }
        }
        whole
    }

    /// Takes out what is left of the answer to call `id`.
    pub(crate) fn remove(&mut self, id: u64) -> Option<LongAnswer> {
        let at = self.0.iter().position(|answer| answer.id == id)?;
        self.0.remove(at)
    }
}
