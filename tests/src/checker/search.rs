//! The search for an order of a key's operations that a single register could have produced.
//!
//! Wing and Gong's search with Lowe's memory ("Testing for linearizability", 2017): take any
//! operation that began before every other operation ended, apply it to the register, compare the
//! result with its reply, and go on; go back when stuck, and never enter the same (operations
//! placed, value) twice. Three facts keep it short:
//!
//! - An operation whose reply shows that it changed nothing can be placed as soon as the reply
//!   fits: in any order that has it later, it may stand here as well. No other choice need be tried
//!   at that point. (A `SET` of the present value is different: placed later, it would undo the
//!   writes before it.)
//! - An operation of unknown fate has no end, forbids nothing, and need not be placed at all: the
//!   search is done when all *known* operations are placed. Unknown operations are tried after the
//!   known ones.
//! - Of several equal unknown operations only the earliest need be tried.

use std::collections::HashSet;

use super::done::Done;
use super::register::{Value, step};
use crate::history::{Action, Observed, Operation};

/// The outcome of a search.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// An order exists.
    Order,
    /// No order exists; the furthest point of any order.
    NoOrder(Stuck<'a>),
    /// The bound on visited states was reached.
    TooMany,
}

/// The furthest point of a failed search: the placed operations, the value of the key, and the
/// operations that could not follow.
#[derive(Debug)]
pub(super) struct Stuck<'a> {
    pub(super) placed: usize,
    pub(super) value: Value,
    pub(super) cannot_follow: Vec<&'a Operation>,
}

/// Whether an operation with this reply changes nothing, wherever it is placed.
fn is_read(action: &Action, observed: &Observed) -> bool {
    matches!(
        (action, observed),
        (Action::Get, _)
            | (Action::SetNx(_) | Action::Del, Observed::Integer(0))
            | (Action::Incr, Observed::Rejected)
    )
}

/// A point of the search.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Point {
    known: Done,
    unknown: Done,
    value: Value,
}

/// A point and its untried successors, best last.
struct Frame {
    point: Point,
    placed: usize,
    ways: Vec<Point>,
}

struct Known<'a> {
    operation: &'a Operation,
    ended: u64,
    observed: &'a Observed,
}

/// The operations of a key in two lists, each sorted by their begin.
pub(super) struct Search<'a> {
    known: Vec<Known<'a>>,
    unknown: Vec<&'a Operation>,
}

impl<'a> Search<'a> {
    /// `operations` must be of the same key and sorted by their begin.
    pub(super) fn new(operations: &[&'a Operation]) -> Self {
        let known = operations.iter().filter_map(|operation| {
            let (ended, observed) = operation.ended.as_ref()?;
            Some(Known {
                operation,
                ended: *ended,
                observed,
            })
        });
        let unknown = operations.iter().filter(|o| o.ended.is_none());
        Self {
            known: known.collect(),
            unknown: unknown.copied().collect(),
        }
    }

    /// Searches for an order that starts with the key holding `initial`; visits at most
    /// `states_max` points.
    pub(super) fn run(&self, initial: Value, states_max: usize) -> Found<'a> {
        let start = Point {
            known: Done::default(),
            unknown: Done::default(),
            value: initial,
        };
        let mut furthest = (0, start.clone());
        let mut visited = HashSet::from([start.clone()]);
        let mut stack = vec![self.frame(start, 0)];
        while let Some(frame) = stack.last_mut() {
            if frame.placed == self.known.len() {
                return Found::Order;
            }
            if frame.placed > furthest.0 {
                furthest = (frame.placed, frame.point.clone());
            }
            let Some(next) = frame.ways.pop() else {
                stack.pop();
                continue;
            };
            // Only known operations are counted.
            let placed = frame.placed + usize::from(next.known != frame.point.known);
            if visited.insert(next.clone()) {
                if visited.len() > states_max {
                    return Found::TooMany;
                }
                stack.push(self.frame(next, placed));
            }
        }
        let (placed, point) = furthest;
        Found::NoOrder(Stuck {
            placed,
            cannot_follow: self
                .window(&point.known)
                .map(|i| self.known[i].operation)
                .collect(),
            value: point.value,
        })
    }

    fn frame(&self, point: Point, placed: usize) -> Frame {
        let ways = self.ways(&point);
        Frame {
            point,
            placed,
            ways,
        }
    }

    /// The unplaced known operations that began before every other unplaced known operation ended.
    fn window<'s>(&'s self, done: &'s Done) -> impl Iterator<Item = usize> + 's {
        let mut first_end = u64::MAX;
        (done.first_absent()..self.known.len())
            .filter(|&i| !done.contains(i))
            .take_while(move |&i| {
                // Sorted by begin: an operation that begins after the first end cannot be a
                // candidate, and the operation that ends first begins before that end.
                let candidate = self.known[i].operation.began < first_end;
                first_end = first_end.min(self.known[i].ended);
                candidate
            })
    }

    /// The successors of a point; the successor to try first is last.
    fn ways(&self, point: &Point) -> Vec<Point> {
        let mut ways = Vec::new();
        let mut first_end = u64::MAX;
        for i in self.window(&point.known) {
            let known = &self.known[i];
            first_end = first_end.min(known.ended);
            let (value, answer) = step(&point.value, &known.operation.action);
            if answer != *known.observed {
                continue;
            }
            let changes_nothing = is_read(&known.operation.action, known.observed);
            let next = Point {
                known: point.known.with(i),
                unknown: point.unknown.clone(),
                value,
            };
            if changes_nothing {
                return vec![next];
            }
            ways.push(next);
        }
        ways.reverse();
        self.unknown_ways(point, first_end, &mut ways);
        ways
    }

    /// Puts the unknown operations that change the value in front of `ways`, to be tried last.
    fn unknown_ways(&self, point: &Point, first_end: u64, ways: &mut Vec<Point>) {
        let open: Vec<usize> = (point.unknown.first_absent()..self.unknown.len())
            .take_while(|&i| self.unknown[i].began < first_end)
            .filter(|&i| !point.unknown.contains(i))
            .collect();
        let mut late = Vec::new();
        for (nth, &i) in open.iter().enumerate() {
            let action = &self.unknown[i].action;
            let (value, _) = step(&point.value, action);
            let repeated = open[..nth]
                .iter()
                .any(|&j| self.unknown[j].action == *action);
            if value != point.value && !repeated {
                late.push(Point {
                    known: point.known.clone(),
                    unknown: point.unknown.with(i),
                    value,
                });
            }
        }
        late.reverse();
        ways.splice(0..0, late);
    }
}
