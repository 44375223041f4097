//! The checker against histories with known verdicts, and against a brute force over small
//! histories.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::history::{Action, Observed};

fn text(s: &str) -> Bytes {
    Bytes::copy_from_slice(s.as_bytes())
}

fn set(value: &str) -> Action {
    Action::Set(text(value))
}

fn saw(value: &str) -> Observed {
    Observed::Value(Some(text(value)))
}

fn nil() -> Observed {
    Observed::Value(None)
}

/// An operation on key `k` from `began` to `ended`.
fn op(began: u64, ended: u64, action: Action, observed: Observed) -> Operation {
    Operation {
        client: 0,
        key: text("k"),
        action,
        began,
        ended: Some((ended, observed)),
    }
}

/// An operation of unknown fate.
fn lost(began: u64, action: Action) -> Operation {
    Operation {
        client: 0,
        key: text("k"),
        action,
        began,
        ended: None,
    }
}

#[track_caller]
fn good(history: &[Operation]) {
    check(history).expect_linearizable();
}

#[track_caller]
fn bad(history: &[Operation]) {
    assert!(matches!(check(history), Verdict::Violation { .. }));
}

#[test]
fn overlapping_reads_may_see_either_side_of_a_write() {
    good(&[
        op(0, 10, set("a"), Observed::Ok),
        op(1, 2, Action::Get, nil()),
        op(3, 4, Action::Get, saw("a")),
    ]);
}

#[test]
fn a_value_once_seen_does_not_vanish() {
    bad(&[
        op(0, 10, set("a"), Observed::Ok),
        op(1, 2, Action::Get, saw("a")),
        op(3, 4, Action::Get, nil()),
    ]);
}

#[test]
fn a_stale_read_is_found() {
    bad(&[
        op(0, 1, set("old"), Observed::Ok),
        op(2, 3, set("new"), Observed::Ok),
        op(4, 5, Action::Get, saw("old")),
    ]);
}

#[test]
fn a_lost_update_is_found() {
    bad(&[
        op(0, 1, Action::Incr, Observed::Integer(1)),
        op(2, 5, Action::Incr, Observed::Integer(2)),
        op(3, 6, Action::Incr, Observed::Integer(2)),
    ]);
    bad(&[
        op(0, 1, set("a"), Observed::Ok),
        op(2, 3, Action::Get, nil()),
    ]);
}

#[test]
fn a_double_increment_is_found() {
    bad(&[
        op(0, 1, Action::Incr, Observed::Integer(1)),
        op(2, 3, Action::Incr, Observed::Integer(3)),
    ]);
}

#[test]
fn two_winners_of_setnx_are_found() {
    bad(&[
        op(0, 5, Action::SetNx(text("a")), Observed::Integer(1)),
        op(1, 6, Action::SetNx(text("b")), Observed::Integer(1)),
    ]);
    good(&[
        op(0, 5, Action::SetNx(text("a")), Observed::Integer(1)),
        op(1, 6, Action::SetNx(text("b")), Observed::Integer(0)),
        op(7, 8, Action::Get, saw("a")),
    ]);
}

#[test]
fn getset_forms_a_chain() {
    let swap = |v: &str| Action::GetSet(text(v));
    good(&[
        op(0, 9, swap("a"), saw("b")),
        op(1, 8, swap("b"), nil()),
        op(2, 7, swap("c"), saw("a")),
        op(10, 11, Action::Get, saw("c")),
    ]);
    bad(&[op(0, 9, swap("a"), nil()), op(1, 8, swap("b"), nil())]);
}

#[test]
fn an_unknown_write_may_have_happened_or_not() {
    good(&[lost(0, set("a")), op(1, 2, Action::Get, nil())]);
    good(&[lost(0, set("a")), op(1, 2, Action::Get, saw("a"))]);
}

#[test]
fn an_unknown_write_may_surface_late_but_only_once() {
    good(&[
        lost(0, set("a")),
        op(1, 2, set("b"), Observed::Ok),
        op(3, 4, Action::Get, saw("b")),
        op(5, 6, Action::Get, saw("a")),
        op(7, 8, Action::Get, saw("a")),
    ]);
    bad(&[
        lost(0, set("a")),
        op(1, 2, Action::Get, saw("a")),
        op(3, 4, set("b"), Observed::Ok),
        op(5, 6, Action::Get, saw("a")),
    ]);
}

#[test]
fn an_unknown_increment_explains_one_step_and_not_two() {
    let after = |count| {
        [
            op(0, 1, Action::Incr, Observed::Integer(1)),
            lost(2, Action::Incr),
            op(3, 4, Action::Incr, Observed::Integer(count)),
        ]
    };
    good(&after(2));
    good(&after(3));
    bad(&after(4));
}

#[test]
fn an_unknown_write_has_no_effect_before_it_began() {
    bad(&[op(0, 1, Action::Get, saw("a")), lost(2, set("a"))]);
}

#[test]
fn appends_and_deletions_are_understood() {
    good(&[
        op(0, 1, Action::Append(text("ab")), Observed::Integer(2)),
        op(2, 3, Action::Incr, Observed::Rejected),
        op(4, 5, Action::Del, Observed::Integer(1)),
        op(6, 7, Action::Del, Observed::Integer(0)),
        op(8, 9, Action::Incr, Observed::Integer(1)),
    ]);
}

#[test]
fn keys_are_judged_apart() {
    let mut other = op(2, 3, Action::Get, nil());
    other.key = text("other");
    good(&[op(0, 1, set("a"), Observed::Ok), other]);
}

/// A long history of many clients on one key, as a correct server would make it: each operation
/// takes effect at a moment within its interval.
fn long_history(operations: u64, clients: u64, seed: u64) -> Vec<Operation> {
    let mut rng = crate::rng::Rng::new(seed);
    let mut value = None;
    let mut history = Vec::new();
    for i in 0..operations {
        let action = match rng.below(5) {
            0 => set(&rng.below(100).to_string()),
            1 => Action::Incr,
            2 => Action::SetNx(text("7")),
            3 => Action::GetSet(text(&rng.below(100).to_string())),
            _ => Action::Get,
        };
        let (after, answer) = step(&value, &action);
        value = after;
        // Effects are 100 moments apart; an interval overlaps those of some neighbours.
        let reach = |rng: &mut crate::rng::Rng| rng.below(50 * clients as usize) as u64 + 1;
        let effect = 1_000_000 + i * 100;
        let (began, ended) = (effect - reach(&mut rng), effect + reach(&mut rng));
        let unknown = action != Action::Get && rng.below(500) == 0;
        let observed = (!unknown).then_some((ended, answer));
        let (client, key) = (0, text("k"));
        history.push(Operation {
            client,
            key,
            action,
            began,
            ended: observed,
        });
    }
    history.sort_by_key(|operation| operation.began);
    history
}

#[test]
fn ten_thousand_operations_on_one_key_are_judged() {
    good(&long_history(10_000, 20, 1));
}

#[test]
fn one_wrong_answer_among_ten_thousand_is_found() {
    let mut history = long_history(10_000, 10, 2);
    let reads = |o: &Operation| matches!(o.ended, Some((_, Observed::Value(Some(_)))));
    let at = (5_000..).find(|&i| reads(&history[i])).expect("a read");
    history[at].ended = Some((history[at].began + 1, saw("never written")));
    bad(&history);
}

/// Tries every order of every choice of unknown operations.
fn brute_force(history: &[Operation]) -> bool {
    fn extend(history: &[Operation], placed: &mut Vec<usize>, value: &Value) -> bool {
        let left: Vec<usize> = (0..history.len()).filter(|i| !placed.contains(i)).collect();
        if left.iter().all(|&i| history[i].ended.is_none()) {
            return true;
        }
        left.iter().any(|&i| {
            let too_early = left.iter().any(|&j| {
                j != i
                    && history[j]
                        .ended
                        .as_ref()
                        .is_some_and(|(at, _)| *at < history[i].began)
            });
            let (after, answer) = step(value, &history[i].action);
            let wrong = history[i]
                .ended
                .as_ref()
                .is_some_and(|(_, saw)| *saw != answer);
            if too_early || wrong {
                return false;
            }
            placed.push(i);
            let found = extend(history, placed, &after);
            placed.pop();
            found
        })
    }
    extend(history, &mut Vec::new(), &None)
}

fn any_action() -> impl Strategy<Value = Action> {
    let value = || prop_oneof![Just("1"), Just("2"), Just("x")].prop_map(text);
    prop_oneof![
        3 => Just(Action::Get),
        2 => value().prop_map(Action::Set),
        1 => value().prop_map(Action::SetNx),
        1 => value().prop_map(Action::GetSet),
        2 => Just(Action::Incr),
        1 => value().prop_map(Action::Append),
        1 => Just(Action::Del),
    ]
}

/// Up to seven operations with random intervals. Each reply is correct for some value of the key,
/// so that about as many histories are good as bad.
fn any_history() -> impl Strategy<Value = Vec<Operation>> {
    let held = prop_oneof![
        2 => Just(None),
        1 => Just(Some("1")),
        1 => Just(Some("2")),
        1 => Just(Some("3")),
        1 => Just(Some("x")),
    ];
    let one = (any_action(), 0u64..12, 1u64..8, held, 0u8..5);
    proptest::collection::vec(one, 1..8).prop_map(|drawn| {
        let moments = drawn
            .into_iter()
            .enumerate()
            .map(|(i, (action, began, len, held, fate))| {
                let (_, answer) = step(&held.map(text), &action);
                // Distinct moments, like those of the shared counter.
                let (began, ended) = (began * 16 + i as u64, (began + len) * 16 + 8 + i as u64);
                let ended = (fate > 0).then_some((ended, answer));
                Operation {
                    client: i,
                    key: text("k"),
                    action,
                    began,
                    ended,
                }
            });
        moments.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn the_search_agrees_with_brute_force(history in any_history()) {
        let fast = check(&history) == Verdict::Linearizable;
        prop_assert_eq!(fast, brute_force(&history));
    }
}

#[test]
fn the_property_test_meets_both_kinds() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let verdicts: Vec<bool> = (0..1000)
        .map(|_| {
            brute_force(
                &any_history()
                    .new_tree(&mut runner)
                    .expect("draws")
                    .current(),
            )
        })
        .collect();
    let good = verdicts.iter().filter(|good| **good).count();
    assert!(
        (100..900).contains(&good),
        "{good} of 1000 are linearizable"
    );
}
