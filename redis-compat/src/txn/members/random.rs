//! Random members, each as likely as any other.
//!
//! Spread members lie in the order of their hashes, and nothing counts them from the front. So the
//! hashes are divided into windows of the same width, with [`WINDOW`] members each in the mean. A
//! draw chooses a window and a place in it, of [`PLACES`]; if the window has no member at that
//! place, the draw begins anew. Each member has a single place, so all are as likely. A draw takes
//! `PLACES / WINDOW` tries on the average, of a seek and a few members each, however many members
//! there are.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::spread::{HASHES, MEMBERS, Spread, first_key, split_key};
use super::walk::Visit;
use super::{Form, Member, Members};
use crate::{EvalError, Fault, Txn, Walk};

/// Members of a window, in the mean.
const WINDOW: u64 = 8;
/// Places of a window. A window with more members than that is as good as impossible: it has a
/// chance of 10^-14.
const PLACES: u64 = 40;
/// With so few members there are no windows.
const LISTED_MAX: u64 = 32;
/// Tries of a draw before all members are listed: nearly all are past their deadlines.
const TRIES_MAX: usize = 256;
/// A walk over all members costs as much as this part of them in draws.
const WALK_PART: u64 = 16;
/// Members that are drawn in one walk.
const DRAWS_MAX: u64 = 1 << 16;

impl Members {
    /// A random member; `None` if there is none.
    pub(crate) fn random(&self, txn: &mut Txn<'_>) -> Result<Option<Member>, EvalError> {
        if let Form::Spread(spread) = &self.form
            && spread.count > LISTED_MAX
        {
            for _ in 0..TRIES_MAX {
                if let Some(member) = try_place(spread, txn)?
                    && txn.is_before_deadline(member.deadline)
                {
                    return Ok(Some(member));
                }
            }
        }
        let len = self.len(txn)?;
        let place = below(txn, len);
        Ok(self.at_places(txn, &[place])?.pop())
    }

    /// Visits `count` different random members, or all if there are fewer.
    pub(crate) fn sample(
        &self,
        txn: &mut Txn<'_>,
        count: u64,
        visit: &mut Visit<'_>,
    ) -> Result<(), EvalError> {
        let len = self.len(txn)?;
        if self.is_walked_for(count) || count >= len {
            return self.sample_in_a_walk(txn, count, len, visit);
        }
        let mut chosen = BTreeSet::new();
        while (chosen.len() as u64) < count {
            if let Some(member) = self.random(txn)?
                && chosen.insert(member.name.clone())
                && !visit(txn, member)?
            {
                break;
            }
        }
        Ok(())
    }

    /// Each member is chosen with the chance of those still wanted among those still ahead.
    fn sample_in_a_walk(
        &self,
        txn: &mut Txn<'_>,
        count: u64,
        len: u64,
        visit: &mut Visit<'_>,
    ) -> Result<(), EvalError> {
        let (mut wanted, mut ahead) = (count, len);
        if wanted == 0 {
            return Ok(());
        }
        self.each(txn, &mut |txn, member| {
            let is_chosen = wanted >= ahead || below(txn, ahead) < wanted;
            ahead = ahead.saturating_sub(1);
            wanted -= u64::from(is_chosen);
            Ok((!is_chosen || visit(txn, member)?) && wanted > 0)
        })
    }

    /// Visits `count` random members for a reply; a member may be drawn again. Errors:
    /// `ReplyTooLong`.
    pub(crate) fn draw(
        &self,
        txn: &mut Txn<'_>,
        count: u64,
        visit: &mut Visit<'_>,
    ) -> Result<(), EvalError> {
        let len = self.len(txn)?;
        let mut left = if len == 0 { 0 } else { count };
        txn.check_reply_len(left)?;
        while left > 0 {
            let now = left.min(DRAWS_MAX);
            left -= now;
            if !self.is_walked_for(now) {
                for _ in 0..now {
                    if let Some(member) = self.random(txn)?
                        && !visit(txn, member)?
                    {
                        return Ok(());
                    }
                }
                continue;
            }
            let mut places: Vec<_> = (0..now).map(|draw| (below(txn, len), draw)).collect();
            places.sort_unstable();
            let sorted: Vec<_> = places.iter().map(|(place, _)| *place).collect();
            let found = self.at_places(txn, &sorted)?;
            // Back into the order of the draws.
            let mut drawn: Vec<_> = places
                .into_iter()
                .map(|(_, draw)| draw)
                .zip(found)
                .collect();
            drawn.sort_unstable_by_key(|(draw, _)| *draw);
            for (_, member) in drawn {
                if !visit(txn, member)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether a walk over all finds so many members at less cost.
    fn is_walked_for(&self, count: u64) -> bool {
        match &self.form {
            Form::Packed(_) => true,
            Form::Spread(spread) => count.saturating_mul(WALK_PART) > spread.count,
        }
    }

    /// The members at these places of a walk, which are sorted and may repeat.
    fn at_places(&self, txn: &mut Txn<'_>, places: &[u64]) -> Result<Vec<Member>, EvalError> {
        let mut wanted = places.iter().copied().peekable();
        let mut found = Vec::with_capacity(places.len());
        let mut place = 0;
        self.each(txn, &mut |_, member| {
            while wanted.next_if_eq(&place).is_some() {
                found.push(member.clone());
            }
            place += 1;
            Ok(wanted.peek().is_some())
        })?;
        Ok(found)
    }
}

/// The member at a random place of a random window, if there is one.
fn try_place(spread: &Spread, txn: &mut Txn<'_>) -> Result<Option<Member>, Fault> {
    let windows = spread.count / WINDOW;
    let width = HASHES.div_ceil(windows);
    let start = below(txn, windows) * width;
    let mut skipped = below(txn, PLACES);
    let (mut found, mut fault) = (None, None);
    let from = first_key(start.min(HASHES - 1));
    let walk = Walk::Up(Bound::Included(&from));
    txn.scan_elements(&spread.of, MEMBERS, walk, &mut |key, cell| {
        match split_key(key) {
            Ok((hash, _)) if hash >= start + width => return false,
            Ok((_, name)) if skipped == 0 => found = Some((name.to_vec(), cell.to_vec())),
            Ok(_) => skipped -= 1,
            Err(broken) => fault = Some(broken),
        }
        found.is_none() && fault.is_none()
    })?;
    if let Some(fault) = fault {
        return Err(fault);
    }
    found
        .map(|(name, cell)| Member::new(name.into(), cell.into()))
        .transpose()
}

/// A random number below `end`, or 0.
fn below(txn: &mut Txn<'_>, end: u64) -> u64 {
    // The product's upper half: as even as 64 bits of chance can be.
    ((u128::from(txn.random()) * u128::from(end)) >> 64) as u64
}
