//! How sets are put together. Scores are added in the order of Redis, so that sums are rounded
//! alike: from the smallest set to the largest.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::aggregate::Aggregate;
use super::source::Source;
use crate::zset::listing::Listing;
use crate::zset::order::Item;
use crate::{EvalError, Txn};

/// A set, and the factor of its scores.
pub(super) struct Input {
    pub(super) source: Source,
    pub(super) weight: f64,
}

/// The members of any of the sets.
pub(super) fn union(
    txn: &mut Txn<'_>,
    inputs: Vec<Input>,
    aggregate: Aggregate,
    listing: &mut Listing,
) -> Result<(), EvalError> {
    let mut scores: BTreeMap<Bytes, f64> = BTreeMap::new();
    for Input { mut source, weight } in by_len(txn, inputs)? {
        source.walk(txn, &mut |txn, item| {
            let value = aggregate.weighted(item.score, weight);
            let value = if value.is_nan() { 0.0 } else { value };
            if let Some(score) = scores.get_mut(&item.member) {
                *score = aggregate.join(*score, value);
            } else {
                listing.take_room(txn, &item.member)?;
                scores.insert(item.member, value);
            }
            Ok(true)
        })?;
    }
    listing.extend(
        scores
            .into_iter()
            .map(|(member, score)| Item { score, member }),
    );
    Ok(())
}

/// The members of all of the sets.
pub(super) fn intersection(
    txn: &mut Txn<'_>,
    inputs: Vec<Input>,
    aggregate: Aggregate,
    listing: &mut Listing,
) -> Result<(), EvalError> {
    common(txn, inputs, aggregate, &mut |txn, item| {
        listing.add(txn, item)?;
        Ok(true)
    })
}

/// How many members all of the sets have, up to a limit.
pub(super) fn card(txn: &mut Txn<'_>, inputs: Vec<Input>, limit: u64) -> Result<u64, EvalError> {
    let mut count = 0;
    common(txn, inputs, Aggregate::Sum, &mut |_, _| {
        count += 1;
        Ok(count < limit)
    })?;
    Ok(count)
}

/// Visits the members of all of the sets, until `visit` returns false.
fn common(
    txn: &mut Txn<'_>,
    inputs: Vec<Input>,
    aggregate: Aggregate,
    visit: &mut dyn FnMut(&mut Txn<'_>, Item) -> Result<bool, EvalError>,
) -> Result<(), EvalError> {
    let mut inputs = by_len(txn, inputs)?;
    let Some((smallest, others)) = inputs.split_first_mut() else {
        return Ok(());
    };
    let weight = smallest.weight;
    smallest.source.walk(txn, &mut |txn, item| {
        let score = aggregate.weighted(item.score, weight);
        let mut score = if score.is_nan() { 0.0 } else { score };
        for other in others.iter_mut() {
            let Some(value) = other.source.score(txn, &item.member)? else {
                return Ok(true);
            };
            score = aggregate.join(score, aggregate.weighted(value, other.weight));
        }
        let member = item.member;
        visit(txn, Item { score, member })
    })
}

/// The members of the first set that are in no other, with its scores.
pub(super) fn difference(
    txn: &mut Txn<'_>,
    mut inputs: Vec<Input>,
    listing: &mut Listing,
) -> Result<(), EvalError> {
    let Some((first, others)) = inputs.split_first_mut() else {
        return Ok(());
    };
    first.source.walk(txn, &mut |txn, item| {
        for other in others.iter_mut() {
            if other.source.score(txn, &item.member)?.is_some() {
                return Ok(true);
            }
        }
        listing.add(txn, item)?;
        Ok(true)
    })
}

/// The smallest first.
fn by_len(txn: &mut Txn<'_>, inputs: Vec<Input>) -> Result<Vec<Input>, EvalError> {
    let mut sized = Vec::with_capacity(inputs.len());
    for input in inputs {
        sized.push((input.source.len(txn)?, input));
    }
    sized.sort_by_key(|(len, _)| *len);
    Ok(sized.into_iter().map(|(_, input)| input).collect())
}

impl Aggregate {
    fn weighted(self, score: f64, weight: f64) -> f64 {
        match self {
            Self::Count => weight,
            Self::Sum | Self::Min | Self::Max => score * weight,
        }
    }

    /// Source: Redis `t_zset.c`, `zunionInterAggregate`.
    fn join(self, score: f64, value: f64) -> f64 {
        match self {
            Self::Sum | Self::Count => {
                let sum = score + value;
                // Both infinities together are 0.
                if sum.is_nan() { 0.0 } else { sum }
            }
            Self::Min => {
                if value < score {
                    value
                } else {
                    score
                }
            }
            Self::Max => {
                if value > score {
                    value
                } else {
                    score
                }
            }
        }
    }
}
