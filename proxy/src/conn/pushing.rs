//! Puts the messages that a client did not ask for (`pushes`) between the replies to its commands.
//!
//! The output holds whole replies only, so a message may be appended to it at any time. A message
//! about keys that the client reads comes behind the replies to all commands in flight: those may
//! have been made before it.

use super::connection::Connection;
use super::departure::Socket;
use super::state::{Behind, Mode};
use crate::pushes::Turn;

/// Messages are kept in the queue, where they are shared, while so many bytes wait to be written.
const OUTPUT_BYTES_MAX: usize = 16 << 10;

impl<S: Socket> Connection<S> {
    /// Appends the messages whose turn it is to the output; returns whether there were any.
    pub(super) fn poll_pushes(&mut self) -> bool {
        if self.client.pushes.len() == 0 || matches!(self.mode, Mode::Finishing { .. }) {
            return false;
        }
        let resp = self.session.resp;
        let is_alone = self.is_answering_alone();
        let (replies, behind) = (&mut self.pipeline.replies, &mut self.behind);
        self.client.pushes.take(|push| {
            if replies.out.len() >= OUTPUT_BYTES_MAX {
                return false;
            }
            if push.turn == Turn::BehindReplies {
                let expected = behind.get_or_insert(Behind {
                    slot: replies.oldest() + replies.len() as u64,
                    alone: is_alone,
                });
                expected.alone &= is_alone;
                if replies.oldest() < expected.slot || expected.alone {
                    return false;
                }
                *behind = None;
            }
            replies.out.put(push.encoded(resp));
            true
        })
    }

    /// Appends all messages to the output at once.
    pub(super) fn flush_pushes(&mut self) {
        let (resp, out) = (self.session.resp, &mut self.pipeline.replies.out);
        self.behind = None;
        self.client.pushes.take(|push| {
            out.put(push.encoded(resp));
            true
        });
    }

    /// Whether a command runs alone that will be answered soon. A command that waits for data may
    /// take for ever, and its data is not read yet.
    fn is_answering_alone(&self) -> bool {
        matches!(&self.mode, Mode::Alone { call, .. } if !call.row.may_wait())
    }
}
