//! Puts replies in the order of the commands. Each command has a slot; slots are filled in any
//! order and leave from the front. A reply in pieces from several groups is combined in its slot.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use coterie_protocol::Watch;
use coterie_redis_compat::{CommandError, Reply, Resp};
use coterie_types::TableId;

use super::counting::{Answered, Unanswered};
use super::output::Output;
use super::resp;
use crate::router::Failure;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    slots: VecDeque<Slot>,
    /// The number of the front slot.
    first: u64,
    /// Bytes of filled slots that cannot leave yet, and of the pieces of incomplete replies.
    held_bytes: usize,
    /// Answered commands that are not counted yet.
    pub(super) answered: Vec<Answered>,
    pub(crate) out: Output,
}

#[derive(Debug)]
struct Slot {
    /// The client asked for no reply.
    silent: bool,
    /// The call to count when the slot is filled.
    call: Option<Unanswered>,
    state: Filling,
}

#[derive(Debug)]
enum Filling {
    Waiting,
    Filled(Bytes),
    Gathering(Box<Gather>),
}

/// How pieces are combined into a reply.
#[derive(Debug)]
pub(crate) enum Combine {
    /// Integers add up.
    Sum(i64),
    /// Elements in the order of the keys.
    Array(Vec<Bytes>),
    /// `OK`, unless a piece is an error.
    AllOk,
    /// Tokens of watched keys; the watches belong to this generation of the session.
    Watch {
        generation: u64,
        watches: Vec<Watch>,
    },
    /// A group's reply to a transaction of which the proxy runs a part. The slot stays open, as the
    /// proxy runs its part after the group.
    Transaction(Bytes),
}

#[derive(Debug)]
struct Gather {
    missing: usize,
    /// Bytes of the pieces received so far.
    bytes: usize,
    combine: Combine,
    /// Some piece was executed, or may have been.
    any_done: bool,
    failure: Option<Failure>,
    error: Option<Bytes>,
    /// A write: its error must not claim that nothing was done when a part was.
    is_write: bool,
    resp: Resp,
}

/// A completed reply that the session must process.
#[derive(Debug)]
pub(crate) enum Event {
    /// Watches that take effect, if the session's generation has not changed.
    Watched {
        generation: u64,
        watches: Vec<Watch>,
    },
    /// The group's reply to a transaction, from which the slot's reply is made.
    Transacted { slot: u64, reply: Bytes },
}

impl Combine {
    /// Watches of `keys` without their tokens, which the pieces will bring.
    pub(crate) fn watch(generation: u64, table: TableId, keys: &[Bytes]) -> Self {
        // Copies: a watch may live long, and a slice would keep the whole read buffer alive.
        let watch = |key: &Bytes| Watch {
            table,
            key: Bytes::copy_from_slice(key),
            token: Bytes::new(),
        };
        Combine::Watch {
            generation,
            watches: keys.iter().map(watch).collect(),
        }
    }
}

impl Replies {
    /// Whether every command has been answered.
    pub(crate) fn is_settled(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many commands wait for their replies to leave.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Bytes of replies held here.
    pub(crate) fn bytes(&self) -> usize {
        self.held_bytes + self.out.len()
    }

    /// The number of the oldest unanswered command, or of the next command if all are answered.
    pub(crate) fn oldest(&self) -> u64 {
        self.first
    }

    /// Bytes of replies and pieces that wait for other replies before they can leave.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// How many replies are complete and wait for an earlier reply.
    pub(crate) fn held(&self) -> usize {
        if self.held_bytes == 0 {
            return 0;
        }
        let is_filled = |slot: &&Slot| matches!(slot.state, Filling::Filled(_));
        self.slots.iter().filter(is_filled).count()
    }

    /// Opens a slot behind all others; returns its number.
    pub(crate) fn open(&mut self, silent: bool) -> u64 {
        self.slots.push_back(Slot {
            silent,
            call: None,
            state: Filling::Waiting,
        });
        self.first + self.slots.len() as u64 - 1
    }

    /// Counts `call` when the slot opened last is filled.
    pub(super) fn count_last(&mut self, call: Unanswered) {
        if let Some(slot) = self.slots.back_mut() {
            slot.call = Some(call);
        }
    }

    /// Removes the slot opened last.
    pub(crate) fn close_last(&mut self) {
        self.slots.pop_back();
    }

    /// Appends a reply that is known at once.
    pub(crate) fn push(&mut self, reply: &Reply, resp: Resp, silent: bool) {
        if silent {
            return;
        }
        if self.slots.is_empty() {
            match reply {
                Reply::Spliced { len, parts } => {
                    let head = format!("*{len}\r\n");
                    self.out.tail().put_slice(head.as_bytes());
                    // The parts are long: they are not copied.
                    parts.iter().for_each(|part| self.out.put(part.clone()));
                }
                reply => reply.encode(resp, self.out.tail()),
            }
        } else {
            let mut bytes = BytesMut::new();
            reply.encode(resp, &mut bytes);
            self.held_bytes += bytes.len();
            self.slots.push_back(Slot {
                silent,
                call: None,
                state: Filling::Filled(bytes.freeze()),
            });
        }
    }

    /// Fills a slot with its whole reply.
    pub(crate) fn fill(&mut self, slot: u64, reply: Bytes) {
        let Some(slot) = slot_mut(&mut self.slots, self.first, slot) else {
            return;
        };
        if let Some(call) = slot.call.take() {
            self.answered.push(Answered::by(call, &reply));
        }
        if slot.silent {
            slot.state = Filling::Filled(Bytes::new());
        } else {
            self.held_bytes += reply.len();
            slot.state = Filling::Filled(reply);
        }
        self.release();
    }

    /// Fills a slot with an error.
    pub(crate) fn fail(&mut self, slot: u64, error: CommandError) {
        self.fill(slot, encoded(error));
    }

    /// Makes the slot wait for `pieces`.
    pub(crate) fn gather(
        &mut self,
        slot: u64,
        combine: Combine,
        pieces: usize,
        is_write: bool,
        resp: Resp,
    ) {
        if let Some(slot) = slot_mut(&mut self.slots, self.first, slot) {
            slot.state = Filling::Gathering(Box::new(Gather {
                missing: pieces,
                bytes: 0,
                combine,
                any_done: false,
                failure: None,
                error: None,
                is_write,
                resp,
            }));
        }
    }

    /// Splits a piece of the slot into `pieces`.
    pub(crate) fn cut_piece(&mut self, slot: u64, pieces: usize) {
        if let Some(Filling::Gathering(gather)) =
            slot_mut(&mut self.slots, self.first, slot).map(|slot| &mut slot.state)
        {
            gather.missing += pieces - 1;
        }
    }

    /// Adds a piece to a slot: a group's reply for these keys, or why there is none. The last piece
    /// may return an event for the session.
    pub(crate) fn fill_piece(
        &mut self,
        slot: u64,
        keys: &[u32],
        piece: Result<Bytes, Failure>,
    ) -> Option<Event> {
        let found = slot_mut(&mut self.slots, self.first, slot);
        let Some(Filling::Gathering(gather)) = found.map(|slot| &mut slot.state) else {
            return None;
        };
        let bytes = piece.as_ref().map_or(0, Bytes::len);
        gather.bytes += bytes;
        self.held_bytes += bytes;
        gather.take(keys, piece);
        gather.missing -= 1;
        if gather.missing > 0 {
            return None;
        }
        let (reply, event) = gather.finish();
        self.held_bytes -= gather.bytes;
        if matches!(gather.combine, Combine::Transaction(_)) {
            return Some(Event::Transacted { slot, reply });
        }
        self.fill(slot, reply);
        event
    }

    fn release(&mut self) {
        while let Some(Slot {
            state: Filling::Filled(reply),
            ..
        }) = self.slots.front_mut()
        {
            let reply = std::mem::take(reply);
            self.held_bytes -= reply.len();
            self.out.put(reply);
            self.slots.pop_front();
            self.first += 1;
        }
        if self.slots.is_empty() && self.slots.capacity() > 4096 {
            self.slots.shrink_to(64);
        }
    }
}

fn slot_mut(slots: &mut VecDeque<Slot>, first: u64, slot: u64) -> Option<&mut Slot> {
    slots.get_mut(usize::try_from(slot.checked_sub(first)?).ok()?)
}

/// An error line, which both protocols encode alike.
fn encoded(error: CommandError) -> Bytes {
    let mut bytes = BytesMut::new();
    Reply::from(error).encode(Resp::V2, &mut bytes);
    bytes.freeze()
}

impl Gather {
    fn take(&mut self, keys: &[u32], piece: Result<Bytes, Failure>) {
        let reply = match piece {
            Err(failure) => {
                self.any_done |= matches!(failure, Failure::Unknown(_));
                // The first failure is nearest to the cause. But a failure that says that something
                // may have been done takes precedence.
                let known = matches!(self.failure, Some(Failure::Unknown(_)));
                if self.failure.is_none() || (!known && matches!(failure, Failure::Unknown(_))) {
                    self.failure = Some(failure);
                }
                return;
            }
            Ok(reply) if reply.first() == Some(&b'-') => {
                self.error = Some(reply);
                return;
            }
            Ok(reply) => reply,
        };
        self.any_done = true;
        if self.combine.add(keys, &reply).is_none() {
            let reason = "a group's answer cannot be read".to_owned();
            self.failure = Some(Failure::Unknown(reason));
        }
    }

    fn finish(&mut self) -> (Bytes, Option<Event>) {
        let mut out = BytesMut::new();
        if let Some(error) = self.error() {
            return (error, None);
        }
        match &mut self.combine {
            Combine::Sum(sum) => Reply::Integer(*sum).encode(self.resp, &mut out),
            Combine::AllOk => out.put_slice(b"+OK\r\n"),
            Combine::Array(items) => {
                out.reserve(items.iter().map(Bytes::len).sum::<usize>() + 16);
                out.put_slice(format!("*{}\r\n", items.len()).as_bytes());
                items.iter().for_each(|item| out.put_slice(item));
            }
            Combine::Watch {
                generation,
                watches,
            } => {
                let watched = Event::Watched {
                    generation: *generation,
                    watches: std::mem::take(watches),
                };
                return (Bytes::from_static(b"+OK\r\n"), Some(watched));
            }
            Combine::Transaction(reply) => return (std::mem::take(reply), None),
        }
        (out.freeze(), None)
    }

    /// The error line, if a piece has failed.
    fn error(&mut self) -> Option<Bytes> {
        let line = match (self.failure.take(), self.error.take()) {
            (None, None) => return None,
            (Some(failure), _) => encoded(failure.error()),
            (None, Some(error)) => error,
        };
        let says_so = line.starts_with(b"-UNKNOWN ");
        if says_so || !(self.is_write && self.any_done) {
            return Some(line);
        }
        // Some groups did their part: the error must not sound as if nothing was done.
        let reason = String::from_utf8_lossy(&line[1..]);
        let reason = format!("only some groups did their part: {}", reason.trim_end());
        Some(encoded(Failure::Unknown(reason).error()))
    }
}

impl Combine {
    /// Adds a group's reply; `None` if it is not of the expected kind.
    fn add(&mut self, keys: &[u32], reply: &Bytes) -> Option<()> {
        match self {
            Combine::Sum(sum) => *sum += resp::integer(reply)?,
            Combine::AllOk => {}
            Combine::Array(items) => {
                let found = resp::array_items(reply).filter(|found| found.len() == keys.len())?;
                for (key, item) in keys.iter().zip(found) {
                    *items.get_mut(*key as usize)? = item;
                }
            }
            Combine::Watch { watches, .. } => {
                let watch = watches.get_mut(*keys.first()? as usize)?;
                watch.token = Bytes::copy_from_slice(&resp::bulk(reply)??);
            }
            Combine::Transaction(kept) => *kept = reply.clone(),
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(replies: &mut Replies) -> String {
        String::from_utf8_lossy(replies.out.tail()).into_owned()
    }

    fn b(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn replies_leave_in_order() {
        let mut replies = Replies::default();
        let (one, two) = (replies.open(false), replies.open(false));
        replies.push(&Reply::OK, Resp::V2, false);
        let silent = replies.open(true);
        replies.fill(two, b(":2\r\n"));
        replies.fill(silent, b(":9\r\n"));
        assert_eq!((written(&mut replies).as_str(), replies.bytes()), ("", 9));
        replies.fill(one, b(":1\r\n"));
        assert_eq!(written(&mut replies), ":1\r\n:2\r\n+OK\r\n");
        assert!(replies.is_settled());
        replies.push(&Reply::Integer(4), Resp::V2, false);
        assert_eq!(written(&mut replies), ":1\r\n:2\r\n+OK\r\n:4\r\n");
    }

    #[test]
    fn pieces_are_put_together() {
        let mut replies = Replies::default();
        let (sum, array) = (replies.open(false), replies.open(false));
        replies.gather(sum, Combine::Sum(0), 2, true, Resp::V2);
        replies.gather(
            array,
            Combine::Array(vec![Bytes::new(); 3]),
            1,
            false,
            Resp::V2,
        );
        replies.cut_piece(array, 2);
        replies.fill_piece(array, &[2, 0], Ok(b("*2\r\n$1\r\nc\r\n$-1\r\n")));
        replies.fill_piece(array, &[1], Ok(b("*1\r\n$1\r\nb\r\n")));
        replies.fill_piece(sum, &[0], Ok(b(":3\r\n")));
        replies.fill_piece(sum, &[1], Ok(b(":4\r\n")));
        assert_eq!(
            written(&mut replies),
            ":7\r\n*3\r\n$-1\r\n$1\r\nb\r\n$1\r\nc\r\n"
        );
    }

    #[test]
    fn a_write_that_was_done_in_part_does_not_claim_that_it_was_not() {
        let mut replies = Replies::default();
        let slot = replies.open(false);
        replies.gather(slot, Combine::AllOk, 2, true, Resp::V2);
        replies.fill_piece(slot, &[0], Ok(b("+OK\r\n")));
        replies.fill_piece(slot, &[1], Err(Failure::TryAgain("no leader".to_owned())));
        assert!(written(&mut replies).starts_with("-UNKNOWN "));
        let pieces = [
            Ok(b("-OOM too much\r\n")),
            Err(Failure::DiskFull),
            Err(Failure::Refused("too long".to_owned())),
        ];
        for failed in pieces {
            let mut replies = Replies::default();
            let slot = replies.open(false);
            replies.gather(slot, Combine::AllOk, 2, true, Resp::V2);
            replies.fill_piece(slot, &[0], failed);
            replies.fill_piece(slot, &[1], Ok(b("+OK\r\n")));
            assert!(written(&mut replies).starts_with("-UNKNOWN "));
        }
        let mut replies = Replies::default();
        let slot = replies.open(false);
        replies.gather(slot, Combine::AllOk, 2, true, Resp::V2);
        replies.fill_piece(slot, &[0], Err(Failure::Unknown("silence".to_owned())));
        replies.fill_piece(slot, &[1], Err(Failure::DiskFull));
        assert!(written(&mut replies).starts_with("-UNKNOWN "));
    }

    #[test]
    fn of_several_failures_the_first_is_told_unless_one_may_have_been_done() {
        let failed = |failures: [Failure; 2]| {
            let mut replies = Replies::default();
            let slot = replies.open(false);
            let combine = Combine::Array(vec![Bytes::new(); 2]);
            replies.gather(slot, combine, 2, false, Resp::V2);
            for (key, failure) in (0..).zip(failures) {
                replies.fill_piece(slot, &[key], Err(failure));
            }
            written(&mut replies)
        };
        let again = |reason: &str| Failure::TryAgain(reason.to_owned());
        assert!(failed([again("cause"), again("effect")]).contains(": cause"));
        let unknown = || Failure::Unknown("silence".to_owned());
        assert!(failed([unknown(), again("effect")]).contains(": silence"));
        assert!(failed([again("cause"), unknown()]).contains(": silence"));
    }

    #[test]
    fn watches_come_with_their_tokens() {
        let mut replies = Replies::default();
        let slot = replies.open(false);
        let combine = Combine::watch(5, TableId(1), &[b("a"), b("b")]);
        replies.gather(slot, combine, 2, false, Resp::V2);
        assert!(
            replies
                .fill_piece(slot, &[1], Ok(b("$2\r\ntb\r\n")))
                .is_none()
        );
        let watched = replies.fill_piece(slot, &[0], Ok(b("$2\r\nta\r\n")));
        let Some(Event::Watched { watches, .. }) = watched else {
            panic!("no watches: {watched:?}")
        };
        let tokens: Vec<_> = watches.iter().map(|watch| watch.token.clone()).collect();
        assert_eq!(tokens, [b("ta"), b("tb")]);
    }

    #[test]
    fn a_transaction_that_is_not_the_groups_alone_keeps_its_place() {
        let mut replies = Replies::default();
        let slot = replies.open(false);
        let combine = Combine::Transaction(Bytes::new());
        replies.gather(slot, combine, 1, true, Resp::V2);
        replies.push(&Reply::OK, Resp::V2, false);
        let event = replies.fill_piece(slot, &[], Ok(b("*1\r\n:1\r\n")));
        let Some(Event::Transacted { slot: at, reply }) = event else {
            panic!("nobody is told: {event:?}")
        };
        assert_eq!((at, reply), (slot, b("*1\r\n:1\r\n")));
        assert_eq!(written(&mut replies), "");
        replies.fill(slot, b(":7\r\n"));
        assert_eq!(written(&mut replies), ":7\r\n+OK\r\n");
    }
}
