//! Walks over all members: in the order in which they came while they are packed, in the order of
//! their hashes when they are spread.

use std::ops::Bound;

use bytes::Bytes;
use coterie_types::UnixMillis;

use super::spread::{HASHES, MEMBERS, first_key, split_key};
use super::{Cell, Form, Members};
use crate::{EvalError, Fault, Txn, Walk};

/// Members that are read at once.
const PAGE: usize = 256;
/// Bytes of members after which a page ends.
const PAGE_BYTES: usize = 1 << 20;
/// Bytes of members after which a page of a scan ends.
const SCAN_BYTES: usize = 4 << 20;

/// A member of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: Bytes,
    /// Of sets, empty.
    pub(crate) value: Bytes,
    pub(crate) deadline: Option<UnixMillis>,
}

impl Member {
    pub(super) fn new(name: Bytes, cell: Bytes) -> Result<Self, Fault> {
        let Cell { value, deadline } = Cell::decode(cell)?;
        Ok(Self {
            name,
            value,
            deadline,
        })
    }
}

/// How a command visits members; it returns false to end the walk.
pub(crate) type Visit<'v> = dyn FnMut(&mut Txn<'_>, Member) -> Result<bool, EvalError> + 'v;

impl Members {
    /// Visits each member. Reads a spread collection page by page.
    pub(crate) fn each(&self, txn: &mut Txn<'_>, visit: &mut Visit<'_>) -> Result<(), EvalError> {
        let mut visit = |txn: &mut Txn<'_>, member: Member| {
            Ok::<_, EvalError>(!txn.is_before_deadline(member.deadline) || visit(txn, member)?)
        };
        match &self.form {
            Form::Packed(elements) => {
                for (name, cell) in elements.to_vec()? {
                    if !visit(txn, Member::new(name, cell)?)? {
                        break;
                    }
                }
            }
            Form::Spread(_) => {
                let mut after = Bytes::new();
                loop {
                    let page = self.page(txn, Bound::Excluded(&after), PAGE, PAGE_BYTES, false)?;
                    for (name, cell) in page.found {
                        if !visit(txn, Member::new(name, cell)?)? {
                            return Ok(());
                        }
                    }
                    match page.last {
                        Some(last) if page.next.is_some() => after = last,
                        _ => break,
                    }
                }
            }
        }
        Ok(())
    }

    /// A page of a scan: about `count` members from a cursor on, and the cursor of the next page,
    /// 0 at the end. Packed members are a page of their own, whatever the cursor.
    ///
    /// A cursor is a hash: the page begins with its first member. Members with the same hash are
    /// on the same page, so each member that stays is on a single page.
    pub(crate) fn scan(
        &self,
        txn: &mut Txn<'_>,
        cursor: u64,
        count: usize,
    ) -> Result<(u64, Vec<Member>), EvalError> {
        let mut members = Vec::new();
        let Form::Spread(_) = &self.form else {
            self.each(txn, &mut |_, member| {
                members.push(member);
                Ok(true)
            })?;
            return Ok((0, members));
        };
        if cursor >= HASHES {
            return Ok((0, members));
        }
        let from = first_key(cursor);
        let page = self.page(txn, Bound::Included(&from), count, SCAN_BYTES, true)?;
        for (name, cell) in page.found {
            let member = Member::new(name, cell)?;
            if txn.is_before_deadline(member.deadline) {
                members.push(member);
            }
        }
        Ok((page.next.unwrap_or(0), members))
    }

    /// Names and cells of a spread collection from a place on: at most `count`, of about `bytes`;
    /// or, to the end of a hash, some more.
    fn page(
        &self,
        txn: &Txn<'_>,
        from: Bound<&[u8]>,
        count: usize,
        bytes: usize,
        to_end_of_hash: bool,
    ) -> Result<Page, Fault> {
        let mut page = Page::default();
        let Form::Spread(spread) = &self.form else {
            return Ok(page);
        };
        let (mut room, mut hash_before, mut fault) = (bytes, None, None);
        txn.scan_elements(&spread.of, MEMBERS, Walk::Up(from), &mut |key, cell| {
            let (hash, name) = match split_key(key) {
                Ok(split) => split,
                Err(broken) => {
                    fault = Some(broken);
                    return false;
                }
            };
            let is_full = page.found.len() >= count || room == 0;
            if is_full && !(to_end_of_hash && hash_before == Some(hash)) {
                page.next = Some(hash);
                return false;
            }
            hash_before = Some(hash);
            room = room.saturating_sub(key.len() + cell.len());
            let key = Bytes::copy_from_slice(key);
            let found = (
                key.slice_ref(&key[key.len() - name.len()..]),
                Bytes::copy_from_slice(cell),
            );
            page.found.push(found);
            page.last = Some(key);
            true
        })?;
        match fault {
            Some(fault) => Err(fault),
            None => Ok(page),
        }
    }
}

/// Members as they are stored.
#[derive(Default)]
struct Page {
    found: Vec<(Bytes, Bytes)>,
    /// The key of the last of them.
    last: Option<Bytes>,
    /// The hash of the member behind it, if any.
    next: Option<u64>,
}
