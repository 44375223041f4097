//! Sends a command for each of many intervals, with all commands for a group in a common frame.
//!
//! So the cost of a command over many ranges is that of its groups. A group that does not own an
//! interval refuses its whole frame, and the caller splits those intervals again by the map, which
//! is newer by then.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use coterie_redis_compat::CommandError;
use coterie_types::{GroupId, TableId, varint};
use futures_util::stream::{self, StreamExt};

use super::Calls;
use super::calls::{CONCURRENT, Interval, Words, refused, unreadable};
use crate::client_memory::SHORT_BYTES;
use crate::router::{GroupRoute, Prepared, RangeMap, new_commands, put_command};

/// Bytes of commands after which a group gets a further frame.
const FRAME_BYTES_MAX: usize = 256 << 10;

/// The part of an interval that a group owns, by the map.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) table: TableId,
    pub(super) interval: Interval,
    group: Arc<GroupRoute>,
}

/// Splits an interval by its owners: into at most `pieces_max` pieces in key order, without gaps.
/// Also returns the rest of the interval behind them.
pub(super) fn by_owner(
    map: &RangeMap,
    table: TableId,
    (mut start, end): Interval,
    pieces_max: usize,
) -> (Vec<Piece>, Option<Interval>) {
    let mut pieces = Vec::new();
    while pieces.len() < pieces_max {
        let Some(entry) = map.locate(table, &start) else {
            break;
        };
        let piece_end = match (&entry.end, &end) {
            (Some(a), Some(b)) => Some(a.min(b).clone()),
            (a, b) => a.clone().or_else(|| b.clone()),
        };
        pieces.push(Piece {
            table,
            interval: (start, piece_end.clone()),
            group: Arc::clone(&entry.group),
        });
        match piece_end {
            Some(at) if end.as_ref().is_none_or(|end| at < *end) => start = at,
            _ => return (pieces, None),
        }
    }
    (pieces, Some((start, end)))
}

/// A frame under construction, and the indices of the pieces that its commands are for.
struct Frame {
    group: Arc<GroupRoute>,
    pieces: Vec<usize>,
    commands: BytesMut,
}

impl Calls {
    /// Sends each piece's owner, by this map, a command for it. Returns the replies in the order of
    /// the pieces; `None` where the owner has changed, or where replies had no room.
    ///
    /// Waits for every frame, even after a failure: writes in flight must not be applied after the
    /// client has its reply.
    pub(super) async fn in_frames(
        &self,
        map: &RangeMap,
        pieces: &[Piece],
        is_read: bool,
        words: Words<'_>,
    ) -> Result<Vec<Option<Bytes>>, CommandError> {
        let frames = stream::iter(frames(pieces, words).into_iter().map(|frame| async move {
            let prepared = Prepared {
                reply_room: SHORT_BYTES,
                tracker: None,
                flags: self.flags(is_read),
                watches: Vec::new(),
                count: frame.pieces.len(),
                commands: frame.commands,
                deadline: self.deadline,
            };
            let sent = self.send(&frame.group, map.generation, prepared).await;
            (frame.pieces, sent)
        }));
        let sent: Vec<_> = frames.buffered(CONCURRENT).collect().await;
        let mut answers = vec![None; pieces.len()];
        for (asked, replies) in sent {
            let Some(replies) = replies? else {
                continue;
            };
            let replies = replies_in(replies).ok_or_else(unreadable)?;
            for (piece, reply) in asked.into_iter().zip(replies) {
                answers[piece] = Some(refused(reply)?);
            }
        }
        Ok(answers)
    }
}

fn frames(pieces: &[Piece], words: Words<'_>) -> Vec<Frame> {
    let mut full = Vec::new();
    let mut open = BTreeMap::<GroupId, Frame>::new();
    for (at, piece) in pieces.iter().enumerate() {
        let frame = open.entry(piece.group.id).or_insert_with(|| Frame {
            group: Arc::clone(&piece.group),
            pieces: Vec::new(),
            commands: new_commands(),
        });
        let (start, end) = piece.interval.clone();
        let args = words(start, end.unwrap_or_default());
        put_command(&mut frame.commands, piece.table, &args);
        frame.pieces.push(at);
        if frame.commands.len() >= FRAME_BYTES_MAX {
            full.extend(open.remove(&piece.group.id));
        }
    }
    full.into_iter().chain(open.into_values()).collect()
}

/// The replies of a frame.
fn replies_in(mut rest: Bytes) -> Option<Vec<Bytes>> {
    let count = usize::try_from(varint::take(&mut rest)?).ok()?;
    // Each reply has at least a byte of length.
    let mut replies = Vec::with_capacity(count.min(rest.len()));
    let mut lengths = Vec::with_capacity(count.min(rest.len()));
    for _ in 0..count {
        lengths.push(usize::try_from(varint::take(&mut rest)?).ok()?);
    }
    for len in lengths {
        if len > rest.len() {
            return None;
        }
        replies.push(rest.split_to(len));
    }
    Some(replies)
}
