//! Scripts by their effects, with an engine for a language in small (`common/toy.rs`).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use coterie_group::{Body, RangeChange, Slot};
use coterie_protocol::{FrameFlags, FrameReply, Watch};
use coterie_types::{GroupId, KeyRange, RangeDescriptor, RangeId};

mod common;

use common::Replica;
use common::toy::{GROUP, T, Two, frame, frame_with, plain, range, text};

#[test]
fn frames_run_over_one_anothers_changes_and_become_one_entry() {
    let mut two = Two::new();
    let frames = (1..=5).map(|seq| frame(seq, &["eval incr,KEY;get,KEY 1 k"]));
    let run = two.run(frames.collect());
    assert_eq!(run.slots, vec![Slot::InEntry; 5]);
    let answers = two.apply_effects(run.effects.unwrap());
    let replies: Vec<_> = answers.iter().map(text).collect();
    assert_eq!(replies, ["$1 1 ", "$1 2 ", "$1 3 ", "$1 4 ", "$1 5 "]);
    assert_eq!(
        two.now(frame(6, &["get k", "eval get,k 0", "del k"])),
        "$1 5 $1 5 :1 "
    );
}

#[test]
fn large_collections_arrive_with_their_elements() {
    let mut two = Two::new();
    let fill = |seq: u64| {
        let value = "v".repeat(50);
        let pairs: Vec<_> = (0..400).map(|at| format!("f{seq}-{at},{value}")).collect();
        frame(seq, &[&format!("eval hset,KEY,{} 1 h", pairs.join(","))])
    };
    assert_eq!(two.now(fill(1)), ":400 ");
    assert_eq!(two.now(fill(2)), ":400 ");
    assert_eq!(two.now(frame(3, &["eval hlen,KEY 1 h"])), ":800 ");
    assert_eq!(two.now(frame(4, &["eval del,KEY;exists,KEY 1 h"])), ":0 ");
}

#[test]
fn effects_over_another_state_are_refused_and_change_nothing() {
    let mut two = Two::new();
    let incr = || vec![frame(1, &["eval incr,KEY 1 k"])];
    // Another write came between.
    let stale = two.run(incr());
    assert_eq!(
        text(&two.apply(Body::Frames(vec![plain(9, "set k 7")]))[0]),
        "+OK "
    );
    let answers = two.apply_effects(stale.effects.unwrap());
    assert_eq!(text(&answers[0]), "put off");
    // A later clock came between: readers may have seen a record expire.
    let stale = two.run(incr());
    two.leader.clock += 5;
    two.follower.clock += 5;
    two.apply(Body::Tick);
    two.leader.clock -= 5;
    two.follower.clock -= 5;
    let answers = two.apply_effects(stale.effects.unwrap());
    assert_eq!(text(&answers[0]), "put off");
    // The range was split, and might have been given away.
    two.leader.clock += 5;
    two.follower.clock += 5;
    let stale = two.run(incr());
    two.apply(Body::Change(RangeChange::Split {
        range: range(GROUP, 1),
        at: Bytes::from_static(b"m"),
        right_id: RangeId(2),
    }));
    let answers = two.apply_effects(stale.effects.unwrap());
    assert_eq!(text(&answers[0]), "put off");
    assert_eq!(two.now(incr().remove(0)), ":8 ");
}

#[test]
fn a_frame_that_was_applied_gets_its_first_answer_and_the_others_run_again() {
    let mut two = Two::new();
    let line = ["eval incr,KEY 1 k"];
    assert_eq!(two.now(frame(1, &line)), ":1 ");
    // Its proxy has not heard the answer, and sends it again, together with another.
    let run = two.run(vec![frame(1, &line), frame(2, &line)]);
    let answers = two.apply_effects(run.effects.unwrap());
    assert_eq!(
        (text(&answers[0]), text(&answers[1])),
        (":1 ".into(), "put off".into())
    );
    assert_eq!(two.now(frame(2, &line)), ":2 ");
    // Two copies in a run: the second waits for the next run.
    let run = two.run(vec![frame(3, &line), frame(3, &line), frame(4, &line)]);
    assert_eq!(run.slots, [Slot::InEntry, Slot::PutOff, Slot::PutOff]);
    assert_eq!(text(&two.apply_effects(run.effects.unwrap())[0]), ":3 ");
}

#[test]
fn the_same_entry_twice_applies_once() {
    let mut two = Two::new();
    let run = two.run(vec![frame(1, &["eval incr,KEY 1 k"])]);
    let effects = run.effects.unwrap();
    assert_eq!(text(&two.apply_effects(effects.clone())[0]), ":1 ");
    assert_eq!(text(&two.apply_effects(effects)[0]), ":1 ", "remembered");
    assert_eq!(two.now(frame(2, &["eval get,KEY 1 k"])), "$1 1 ");
}

#[test]
fn a_failing_command_keeps_what_was_written_and_a_killed_script_nothing() {
    let mut two = Two::new();
    let kept = frame(1, &["eval set,a,1;incr,a;lpush,a,x 0"]);
    assert!(two.now(kept).starts_with("-WRONGTYPE"));
    assert_eq!(two.now(frame(2, &["eval get,a 0"])), "$1 2 ");
    assert_eq!(
        two.now(frame(3, &["set b 1", "eval set,a,9;die 0"])),
        "+OK -ERR killed "
    );
    assert_eq!(two.now(frame(4, &["get a", "eval get,b 0"])), "$1 2 $1 1 ");
}

#[test]
fn a_stopped_frame_leaves_nothing_and_is_remembered_nowhere() {
    let mut two = Two::new();
    let run = two.run(vec![
        frame(1, &["set a 1", "eval set,b,1;stop 0"]),
        frame(2, &["eval exists,a,b 0"]),
    ]);
    let Slot::Answered(answer) = &run.slots[0] else {
        panic!("{:?}", run.slots)
    };
    assert_eq!(text(answer), "Refused(Overloaded)");
    assert_eq!(text(&two.apply_effects(run.effects.unwrap())[0]), ":0 ");
    assert_eq!(two.now(frame(1, &["eval set,a,2 0"])), "+OK ");
}

#[test]
fn keys_elsewhere_are_an_error_within_a_script_and_a_refusal_when_declared() {
    let mut two = Two::new();
    let reply = two.now(frame(1, &["eval get,z 0"]));
    assert!(
        reply.starts_with("-ERR Script attempted to access a non local key"),
        "{reply}"
    );
    let reply = two.now(frame(2, &["eval get,KEY 1 z"]));
    assert!(reply.starts_with("Refused(Moved"), "{reply}");
    // It is remembered: a late copy must not be applied after the key came here.
    let runs = two.toy.runs;
    two.apply(Body::AddRanges(vec![RangeDescriptor {
        range_id: RangeId(9),
        bounds: KeyRange {
            start: Bytes::from_static(b"x"),
            ..KeyRange::all(T)
        },
        ..range(GROUP, 1)
    }]));
    let reply = two.now(frame(2, &["eval set,KEY,late 1 z"]));
    assert!(reply.starts_with("Refused(Moved"), "{reply}");
    assert_eq!(two.toy.runs, runs + 1, "it ran, and was not applied");
    assert_eq!(two.now(frame(3, &["eval get,KEY 1 z"])), "$-1 ");
}

#[test]
fn a_range_that_left_is_not_seen_through_its_frozen_copy() {
    let mut two = Two::new();
    assert_eq!(two.now(frame(1, &["eval set,k,old 0"])), "+OK ");
    two.apply(Body::Change(RangeChange::HandOff {
        range: range(GroupId(2), 2),
    }));
    for line in [
        "eval get,k 0",
        "eval mget,k,k 0",
        "eval copy,k,l 0",
        "eval sort,k,by,k* 0",
    ] {
        let reply = two.now(frame(2, &[line]));
        assert!(
            reply.starts_with("-ERR Script attempted to access a non local key"),
            "{reply}"
        );
        two = {
            let mut again = Two::new();
            again.now(frame(1, &["eval set,k,old 0"]));
            again.apply(Body::Change(RangeChange::HandOff {
                range: range(GroupId(2), 2),
            }));
            again
        };
    }
}

#[test]
fn scripts_call_no_command_that_is_not_for_them() {
    let mut two = Two::new();
    for (seq, (line, error)) in (1..).zip([
        (
            "eval nonsense 0",
            "-ERR Unknown Redis command called from script ",
        ),
        (
            "eval get 0",
            "-ERR Wrong number of args calling Redis command from script ",
        ),
        (
            "eval _expired,k 0",
            "-ERR Unknown Redis command called from script ",
        ),
        (
            "eval watch,k 0",
            "-ERR This Redis command is not allowed from script ",
        ),
        (
            "eval eval,get,0 0",
            "-ERR This Redis command is not allowed from script ",
        ),
        (
            "eval dbsize 0",
            "-ERR This Redis command is not allowed from script ",
        ),
        (
            "eval readonly;set,k,1 0",
            "-ERR Write commands are not allowed from read-only scripts. ",
        ),
        (
            "eval_ro set,k,1 0",
            "-ERR Write commands are not allowed from read-only scripts. ",
        ),
        (
            "evalsha 0 0",
            "-NOSCRIPT No matching script. Please use EVAL. ",
        ),
        ("fcall f 0", "-ERR Function not found "),
        ("eval xread,block,0,streams,k,$ 0", "*-1 "),
        ("eval ping 0", "+PONG "),
        (
            "eval select,3;set,k,1 0",
            "-ERR Script attempted to access a non local key in a cluster node ",
        ),
        ("eval time 0", "*2 $1 1 $1 0 "),
    ]) {
        assert_eq!(two.now(frame(seq, &[line])), error, "{line}");
    }
}

#[test]
fn a_transaction_with_scripts_holds_only_while_its_watches_do() {
    let mut two = Two::new();
    let exec = FrameFlags::TRANSACTION;
    let token = |two: &mut Two, seq: u64| {
        let answers = two.apply(Body::Frames(vec![plain(seq, "_watch k")]));
        let FrameReply::Done(replies) = FrameReply::decode(answers[0].clone()).unwrap() else {
            panic!("refused")
        };
        // A bulk string.
        let at = replies[0].iter().position(|byte| *byte == b'\n').unwrap() + 1;
        replies[0].slice(at..replies[0].len() - 2)
    };
    let lines = ["set k 1", "eval incr,k 0"];
    for (seq, is_touched) in [(1, false), (2, true), (3, false)] {
        let token = token(&mut two, 10 * seq);
        if is_touched {
            two.apply(Body::Frames(vec![plain(10 * seq + 1, "set k 5")]));
        }
        let watch = Watch {
            table: T,
            key: Bytes::from_static(b"k"),
            token,
        };
        let expected = if is_touched { "*-1 " } else { "*2 +OK :2 " };
        let reply = two.now(frame_with(seq, &lines, exec, vec![watch]));
        assert_eq!(reply, expected, "{seq}");
    }
    // A removal and a new key: only the state's own memory of removals can tell.
    two.apply(Body::Frames(vec![plain(50, "del k")]));
    let absent = token(&mut two, 51);
    for (seq, line) in (52..).zip(["set k 1", "del k"]) {
        two.apply(Body::Frames(vec![plain(seq, line)]));
    }
    let watch = Watch {
        table: T,
        key: Bytes::from_static(b"k"),
        token: absent,
    };
    let run = two.run(vec![
        frame(60, &["eval set,k,x 0"]),
        frame_with(61, &lines, exec, vec![watch.clone()]),
    ]);
    assert_eq!(
        run.slots,
        [Slot::InEntry, Slot::PutOff],
        "it has an entry of its own"
    );
    let reply = two.now(frame_with(61, &lines, exec, vec![watch]));
    assert_eq!(reply, "*-1 ");
    assert_eq!(two.now(frame(62, &["eval exists,k 0"])), ":0 ");
}

#[test]
fn what_no_entry_can_hold_is_refused_in_words_and_changes_nothing() {
    let mut two = Two::new();
    let value = "v".repeat(1 << 20);
    let sets: Vec<_> = (0..70).map(|at| format!("set,k{at},{value}")).collect();
    let reply = two.now(frame(1, &[&format!("eval {} 0", sets.join(";"))]));
    assert!(reply.starts_with("-OOM a script may change"), "{reply}");
    assert_eq!(two.now(frame(2, &["eval exists,k0 0"])), ":0 ");
    // Those behind a large one wait for the next entry.
    let few = format!("eval {} 0", sets[..3].join(";"));
    let run = two.run(vec![frame(3, &[&few]), frame(4, &["eval exists,k0 0"])]);
    assert_eq!(run.slots, [Slot::InEntry, Slot::PutOff]);
}

#[test]
fn a_crash_between_entries_leaves_the_state_after_one_of_them() {
    let mut two = Two::new();
    let lines = ["eval incr,KEY;rpush,l,x 1 k"];
    for seq in 1..5 {
        let before = (two.leader.state.encode(), two.leader.store.clone());
        let run = two.run(vec![frame(seq, &lines)]);
        let effects = run.effects.unwrap();
        two.apply_effects(effects.clone());
        // A replica that had not persisted the entry applies it again, over the state before.
        let mut again = Replica::new(GROUP);
        again.state = coterie_group::GroupState::decode(&before.0).unwrap();
        again.store = before.1;
        again.apply(Body::Effects(Box::new(effects)));
        assert_eq!(again.state, two.leader.state);
        assert_eq!(again.store, two.leader.store);
    }
}
