//! Trimming: entries are removed from the front, as many as Redis would remove.
//!
//! Source: Redis `t_stream.c`, `streamTrim` and `streamParseAddOrTrimArgsOrReply`.

use super::Stream;
use super::body::ENTRIES;
use super::entry::{Entry, Range};
use super::head::Front;
use super::id::StreamId;
use super::node::NODE_ENTRIES_MAX;
use super::refs::{References, Refs};
use crate::command::Part;
use crate::errors::{SYNTAX, error_lines};
use crate::txn::spread::COPY_BYTES_MAX;
use crate::{CommandError, EvalError, Fault, Txn, Words};

pub(super) const PART: Part = Part::new(&[], LINES);

error_lines! {
    TWO_STRATEGIES = "ERR syntax error, MAXLEN and MINID options at the same time are not \
        compatible";
    NEGATIVE_MAXLEN = "ERR The MAXLEN argument must be >= 0.";
    NEGATIVE_LIMIT = "ERR The LIMIT argument must be >= 0.";
    LIMIT_ALONE = "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy";
    LIMIT_OF_EXACT = "ERR syntax error, LIMIT cannot be used without the special ~ option";
    /// More entries than a command may remove.
    TRIM_TOO_LARGE = "ERR too many entries to be trimmed by a single command: trim with ~ several \
        times";
}

/// The entries that `~` removes at most, unless there is a `LIMIT`.
const LIMIT: u64 = 100 * NODE_ENTRIES_MAX;

/// About what an entry that is removed takes in a log entry.
const REMOVED_BYTES: usize = 64;

/// How a stream is to be trimmed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trim {
    to: Target,
    /// Whole nodes only, at most so many entries; 0 = any number.
    approx: Option<u64>,
    refs: Refs,
}

/// What is left of the stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// The last so many.
    Length(u64),
    /// Those from this id on.
    From(StreamId),
}

/// The options of `XADD` and `XTRIM` about trimming, as they are read.
#[derive(Default)]
pub(super) struct TrimOptions {
    to: Option<Target>,
    is_approx: bool,
    limit: Option<u64>,
    refs: Option<Refs>,
}

impl TrimOptions {
    /// Reads an option, if this word begins one; returns whether it does. Errors: `SYNTAX`,
    /// `NOT_AN_INTEGER`, `INVALID_ID`, `TWO_STRATEGIES`, `NEGATIVE_MAXLEN`, `NEGATIVE_LIMIT`.
    pub(super) fn read(
        &mut self,
        keyword: &str,
        words: &mut Words<'_>,
    ) -> Result<bool, CommandError> {
        if words.left() > 0 && matches!(keyword, "maxlen" | "minid") {
            self.read_target(keyword, words)?;
        } else if words.left() > 0 && keyword == "limit" {
            let limit = u64::try_from(words.int()?).map_err(|_| NEGATIVE_LIMIT)?;
            self.limit = Some(limit);
        } else if let Some(refs) = Refs::of_keyword(keyword) {
            if self.refs.is_some_and(|before| before != refs) {
                return Err(SYNTAX);
            }
            self.refs = Some(refs);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn read_target(&mut self, keyword: &str, words: &mut Words<'_>) -> Result<(), CommandError> {
        if self.to.is_some() {
            return Err(TWO_STRATEGIES);
        }
        let mut ahead = words.clone();
        let operator = ahead.next().filter(|_| words.left() >= 2);
        self.is_approx = operator.is_some_and(|word| word.0 == "~");
        if self.is_approx || operator.is_some_and(|word| word.0 == "=") {
            words.next();
        }
        self.to = Some(if keyword == "maxlen" {
            Target::Length(u64::try_from(words.int()?).map_err(|_| NEGATIVE_MAXLEN)?)
        } else {
            Target::From(StreamId::parse(words.value()?)?)
        });
        Ok(())
    }

    /// The options together. Errors: `LIMIT_ALONE`, `LIMIT_OF_EXACT`.
    pub(super) fn finish(self) -> Result<Option<Trim>, CommandError> {
        match (self.to, self.limit) {
            (None, Some(1..)) => Err(LIMIT_ALONE),
            (_, Some(_)) if !self.is_approx => Err(LIMIT_OF_EXACT),
            (to, limit) => Ok(to.map(|to| Trim {
                to,
                approx: self.is_approx.then(|| limit.unwrap_or(LIMIT)),
                refs: self.refs.unwrap_or_default(),
            })),
        }
    }

    /// Whether they say nothing that can be wrong, and name no strategy.
    pub(super) fn is_none(&self) -> bool {
        self.to.is_none() && !matches!(self.limit, Some(1..))
    }
}

impl Stream {
    /// Trims the stream; returns how many entries went. Errors: `TRIM_TOO_LARGE`.
    pub(super) fn trim(&mut self, txn: &mut Txn<'_>, trim: &Trim) -> Result<u64, EvalError> {
        if !self.is_longer(trim) {
            return Ok(0);
        }
        let mut references = References::new(self, txn, trim.refs)?;
        let removed = match trim.approx {
            Some(limit) => self.trim_nodes(txn, trim, limit, &mut references)?,
            None => self.trim_exactly(txn, trim, &mut references)?,
        };
        references.finish(self, txn);
        Ok(removed)
    }

    fn trim_nodes(
        &mut self,
        txn: &mut Txn<'_>,
        trim: &Trim,
        limit: u64,
        references: &mut References,
    ) -> Result<u64, EvalError> {
        let mut removed = 0;
        while self.is_longer(trim) {
            let front = self.front(txn)?;
            let entries = front.live;
            if limit > 0 && removed + entries > limit {
                break;
            }
            let is_whole = match trim.to {
                Target::Length(max) => self.head.length.saturating_sub(entries) >= max,
                Target::From(id) => self.last_of_node(front) < id,
            };
            if !is_whole {
                break;
            }
            let range = Range::up(self.head.first_entry, front.last);
            let gone = self.remove_front(txn, range, entries, references, false)?;
            removed += gone;
            // An entry that stays in front is in the way of the next node.
            if gone < entries {
                break;
            }
        }
        Ok(removed)
    }

    fn trim_exactly(
        &mut self,
        txn: &mut Txn<'_>,
        trim: &Trim,
        references: &mut References,
    ) -> Result<u64, EvalError> {
        let (end, max, leaves_node) = match trim.to {
            Target::Length(max) => (StreamId::MAX, self.head.length - max, false),
            Target::From(id) => {
                // Redis leaves a last node without entries if it ends with a deleted entry that
                // would have stayed.
                let leaves = self.head.tail.as_ref().is_some_and(|tail| tail.last >= id);
                (id.previous().unwrap_or_default(), u64::MAX, leaves)
            }
        };
        let range = Range::up(self.head.first_entry, end);
        self.remove_front(txn, range, max, references, leaves_node)
    }

    /// Whether there is anything to remove.
    fn is_longer(&self, trim: &Trim) -> bool {
        match trim.to {
            Target::Length(max) => self.head.length > max,
            Target::From(id) => self.head.length > 0 && self.head.first_entry < id,
        }
    }

    /// The first node, counted.
    fn front(&mut self, txn: &Txn<'_>) -> Result<Front, Fault> {
        if let Some(front) = self.head.front {
            return Ok(front);
        }
        let mut range = Range::ALL;
        let mut front: Option<Front> = None;
        'pages: loop {
            let page = self.entries(txn, &mut range, NODE_ENTRIES_MAX as usize + 1)?;
            if page.is_empty() {
                break;
            }
            for Entry { id, node, .. } in page {
                let front = front.get_or_insert(Front {
                    number: node,
                    live: 0,
                    last: id,
                });
                if front.number != node {
                    break 'pages;
                }
                front.live += 1;
                front.last = id;
            }
        }
        let front = front.ok_or_else(super::body::corrupt)?;
        self.head.front = Some(front);
        Ok(front)
    }

    /// The last id of the first node: of the last node, it may be deleted.
    fn last_of_node(&self, front: Front) -> StreamId {
        match &self.head.tail {
            Some(tail) if tail.number == front.number => tail.last,
            _ => front.last,
        }
    }

    /// Removes the first entries of a range, of at most `max`. Errors: `TRIM_TOO_LARGE`.
    fn remove_front(
        &mut self,
        txn: &mut Txn<'_>,
        mut range: Range,
        max: u64,
        references: &mut References,
        leaves_node: bool,
    ) -> Result<u64, EvalError> {
        let (mut looked_at, mut removed, mut room) = (0, 0, COPY_BYTES_MAX);
        let (mut last, mut kept) = (None, None);
        while looked_at < max {
            let page = (max - looked_at).min(256) as usize;
            let page = self.entries(txn, &mut range, page)?;
            if page.is_empty() {
                break;
            }
            looked_at += page.len() as u64;
            for entry in page {
                if !references.let_go(self, txn, entry.id)? {
                    let (first, _) = kept.unwrap_or((entry.id, entry.id));
                    kept = Some((first, entry.id));
                    continue;
                }
                room = room.checked_sub(REMOVED_BYTES).ok_or(TRIM_TOO_LARGE)?;
                self.body.remove(txn, ENTRIES, &entry.id.to_bytes());
                self.head.delete(entry.id, entry.node, leaves_node);
                removed += 1;
                last = Some(entry.id);
            }
        }
        let Some(last) = last else {
            return Ok(0);
        };
        match kept {
            None => self.find_ends(txn, self.head.first_entry, last)?,
            Some((first_kept, last_kept)) => {
                self.head.first_entry = first_kept;
                if self.head.last_entry <= last {
                    self.head.last_entry = last_kept;
                }
            }
        }
        Ok(removed)
    }
}
