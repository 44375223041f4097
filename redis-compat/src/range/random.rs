//! A random key of an interval, without reading all of it.
//!
//! Up to [`WINDOW`] records are read and a key is chosen evenly. In a larger interval a key is
//! found by descent: jumps through the store tell which bytes follow the prefix so far, a byte is
//! chosen, and the prefix grows by it until few records are left. So every key has a chance, though
//! not the same, at a cost that depends on the length of keys and not on their number.

use bytes::Bytes;
use coterie_types::KeyRange;

use super::bounds::bounds;
use super::list::{narrow, visit_live};
use crate::command::{Command, Part, Topic, command};
use crate::{Args, EvalError, Fault, Flags as F, Reply, Txn};

pub(super) const PART: Part = Part::new(&[RANDOM], &[]);

const WINDOW: usize = 128;

const RANDOM: Command = command(Topic::Coterie, "_random")
    .syntax("start:key end:key")
    .flags(F::INTERNAL_READ)
    .over_interval()
    .runs(random)
    .docs("0.1.0", "O(1)", "Returns a random key of an interval.");

/// `_RANDOM start end`: a key, or null if there is none. Bounded as described above; an interval
/// that begins with a great many expired records is read further.
fn random(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let bounds = bounds(txn, args);
    let first = window(txn, &bounds)?;
    if first.whole {
        return Ok(choose(txn, first.live));
    }
    let (mut here, mut prefix) = (bounds.clone(), Vec::new());
    loop {
        let branches = branches(txn, &here, &prefix)?;
        let branch = branches.get(pick(txn, branches.len())).copied().flatten();
        match branch {
            Some(byte) => {
                prefix.push(byte);
                narrow(&mut here, &prefix);
            }
            None => here.end = Some(just_after(&prefix)),
        }
        let found = window(txn, &here)?;
        if found.whole && !found.live.is_empty() {
            return Ok(choose(txn, found.live));
        }
        if found.whole {
            break;
        }
    }
    // Nothing is alive where the descent ended.
    if first.live.is_empty() {
        first_live(txn, &bounds)
    } else {
        Ok(choose(txn, first.live))
    }
}

struct Window {
    live: Vec<Bytes>,
    /// Whether the interval has no more records.
    whole: bool,
}

fn window(txn: &mut Txn<'_>, bounds: &KeyRange) -> Result<Window, EvalError> {
    let mut found = Window {
        live: Vec::new(),
        whole: true,
    };
    let mut visited = 0;
    visit_live(txn, bounds, &mut |key, _, live| {
        found.whole = visited < WINDOW;
        visited += 1;
        if live {
            found.live.push(Bytes::copy_from_slice(key));
        }
        found.whole
    })?;
    Ok(found)
}

/// The bytes that follow `prefix` in the keys of an interval whose keys all begin with it; `None`
/// stands for the key that is the prefix.
fn branches(txn: &Txn<'_>, bounds: &KeyRange, prefix: &[u8]) -> Result<Vec<Option<u8>>, Fault> {
    let mut rest = bounds.clone();
    let mut branches = Vec::new();
    loop {
        let mut next = None;
        txn.scan_keys(&rest, &mut |key, _| {
            next = Some(key.get(prefix.len()).copied());
            false
        })?;
        let Some(branch) = next else {
            return Ok(branches);
        };
        branches.push(branch);
        rest.start = match branch {
            None => just_after(prefix),
            Some(u8::MAX) => return Ok(branches),
            Some(byte) => [prefix, &[byte + 1]].concat().into(),
        };
    }
}

/// The least key above `key`.
fn just_after(key: &[u8]) -> Bytes {
    [key, b"\0"].concat().into()
}

fn first_live(txn: &mut Txn<'_>, bounds: &KeyRange) -> Result<Reply, EvalError> {
    let mut found = None;
    visit_live(txn, bounds, &mut |key, _, live| {
        found = live.then(|| Bytes::copy_from_slice(key));
        !live
    })?;
    Ok(Reply::bulk_or_null(found))
}

fn choose(txn: &mut Txn<'_>, mut keys: Vec<Bytes>) -> Reply {
    if keys.is_empty() {
        return Reply::Null;
    }
    let at = pick(txn, keys.len());
    Reply::Bulk(keys.swap_remove(at))
}

fn pick(txn: &mut Txn<'_>, count: usize) -> usize {
    (txn.random() % count.max(1) as u64) as usize
}
