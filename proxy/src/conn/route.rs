//! Finds the groups of a command: a single group for all keys, or several that each get their keys.
//!
//! Only commands whose row says so are split (`Route`). Each piece is the same command with some of
//! the keys, so a piece can be split again if its range is split meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use coterie_redis_compat::{Command, CommandError, Route};
use coterie_types::TableId;

use crate::router::{GroupRoute, RangeMap};

/// The groups that a command goes to.
#[derive(Debug)]
pub(crate) enum Destination<'m> {
    /// A single group owns all keys.
    One(&'m Arc<GroupRoute>),
    /// Each group gets the keys with these ordinals.
    Many(Vec<(&'m Arc<GroupRoute>, Vec<u32>)>),
}

/// Why a command cannot be routed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unroutable {
    /// The map does not know the owner of a key; a newer map may.
    NoRange,
    /// No map will route it.
    Refused(CommandError),
}

/// Finds the groups for a command that a group runs.
pub(crate) fn destination<'m>(
    map: &'m RangeMap,
    command: &Command,
    table: TableId,
    args: &[Bytes],
) -> Result<Destination<'m>, Unroutable> {
    let (mut group, mut several, mut unknown) = (None::<&Arc<GroupRoute>>, false, false);
    let mut visit = |table, key: &Bytes| match (map.locate(table, key), group) {
        (None, _) => unknown = true,
        (Some(entry), None) => group = Some(&entry.group),
        (Some(entry), Some(group)) => several |= group.id != entry.group.id,
    };
    let visited = command.visit_keys(table, args, &mut visit);
    if unknown || several || visited.is_err() {
        // No group gets the whole command, so no group would report its errors.
        command.validate(args).map_err(Unroutable::Refused)?;
    }
    visited.map_err(Unroutable::Refused)?;
    if unknown {
        return Err(Unroutable::NoRange);
    }
    if several {
        return scatter(map, command, table, args);
    }
    // A command without keys may go to any group.
    let anyone = || map.entries(table).first().map(|entry| &entry.group);
    let group = group.or_else(anyone).ok_or(Unroutable::NoRange)?;
    Ok(Destination::One(group))
}

/// Divides a command over the groups of its keys.
fn scatter<'m>(
    map: &'m RangeMap,
    command: &Command,
    table: TableId,
    args: &[Bytes],
) -> Result<Destination<'m>, Unroutable> {
    if step(command).is_none() {
        return Err(Unroutable::Refused(CommandError::CrossGroup));
    }
    let positions = command.positions(args).map_err(Unroutable::Refused)?;
    let mut pieces: Vec<(&Arc<GroupRoute>, Vec<u32>)> = Vec::new();
    for (ordinal, at) in (0u32..).zip(positions) {
        let entry = map.locate(table, &args[at]).ok_or(Unroutable::NoRange)?;
        match pieces
            .iter_mut()
            .find(|(group, _)| group.id == entry.group.id)
        {
            Some((_, keys)) => keys.push(ordinal),
            None => pieces.push((&entry.group, vec![ordinal])),
        }
    }
    Ok(Destination::Many(pieces))
}

/// Whether the command has no keys, so that any group can run it.
pub(crate) fn has_no_keys(command: &Command, args: &[Bytes]) -> bool {
    let mut found = false;
    let visited = command.visit_keys(TableId(0), args, &mut |_, _| found = true);
    visited.is_ok() && !found
}

/// How many words belong to each key of a command that may be split.
fn step(command: &Command) -> Option<usize> {
    match command.route {
        Route::SumOverKeys | Route::ArrayOverKeys => Some(1),
        Route::PairsOverKeys => Some(2),
        Route::Local | Route::Keys | Route::EachRange => None,
    }
}

/// The words of a part: the name, and the words of the keys with these ordinals.
pub(crate) fn words_of(command: &Command, args: &[Bytes], ordinals: &[u32]) -> Vec<Bytes> {
    let step = step(command).unwrap_or(1);
    let mut words = Vec::with_capacity(1 + ordinals.len() * step);
    words.push(args[0].clone());
    for ordinal in ordinals {
        let at = 1 + *ordinal as usize * step;
        words.extend_from_slice(&args[at..at + step]);
    }
    words
}
