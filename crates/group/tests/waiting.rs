//! Frames that wait for data, in a leader in small: entries are gathered, wait in flight, are
//! applied in order, and their answers are handed out in any order.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use coterie_group::{Body, Limits};
use coterie_protocol::{FrameReply, Refusal, Stage};

mod common;

use common::leader::{Leader, To, WAITS, frame, wait};

#[test]
fn a_push_that_comes_before_the_first_try_is_applied_serves_it_all_the_same() {
    let mut leader = Leader::new();
    let waits = leader.wait("blpop k 0");
    leader.put(&["rpush k x"]);
    let steals = leader.put(&["lpop k"]);
    leader.settle();
    assert_eq!(leader.reply(waits), Some("*2 $1 k $1 x "));
    assert_eq!(leader.reply(steals), Some("$-1 "));
    assert!(leader.waiters.is_empty());
}

#[test]
fn pushes_in_flight_serve_one_after_the_other() {
    let mut leader = Leader::new();
    let waits: Vec<u64> = (0..4).map(|_| leader.wait("blpop k 0")).collect();
    leader.settle();
    for element in ["a", "b", "c"] {
        leader.put(&[&format!("rpush k {element}")]);
    }
    let steals = leader.put(&["lpop k"]);
    leader.settle();
    for (waits, element) in waits.iter().zip(["a", "b", "c"]) {
        let reply = format!("*2 $1 k $1 {element} ");
        assert_eq!(leader.reply(*waits), Some(reply.as_str()));
    }
    assert_eq!(leader.reply(steals), Some("$-1 "));
    assert_eq!(leader.waiters.len(), 1);
}

#[test]
fn a_push_that_fails_does_not_lose_the_wake_up_of_the_next() {
    let mut leader = Leader::new();
    let first = leader.wait("blpop k 0");
    let second = leader.wait("blpop k 0");
    leader.settle();
    // Both listen, and it brings nothing. They listen to the next push, too.
    leader.put(&["lpushx k x y"]);
    leader.put(&["rpush k a b"]);
    leader.settle();
    assert_eq!(leader.reply(first), Some("*2 $1 k $1 a "));
    assert_eq!(leader.reply(second), Some("*2 $1 k $1 b "));
}

#[test]
fn a_pipeline_is_cut_behind_a_push_and_a_transaction_is_not() {
    let mut leader = Leader::new();
    let waits = leader.wait("blpop k 0");
    leader.settle();
    let pipeline = leader.put(&["set a 1", "rpush k x", "lpop k", "set a 2"]);
    leader.settle();
    assert_eq!(
        leader.reply(pipeline),
        Some("+OK :1 "),
        "the proxy sends the rest again"
    );
    assert_eq!(leader.reply(waits), Some("*2 $1 k $1 x "));
}

#[test]
fn an_entry_without_room_puts_copies_off_and_they_come_first_in_the_next() {
    let mut leader = Leader::new();
    let waits = leader.wait("blpop k 0");
    leader.settle();
    leader.put(&["rpush k x"]);
    let entry = leader.in_flight.pop_front().unwrap();
    let frames: Vec<Bytes> = entry.iter().map(|(_, frame)| frame.clone()).collect();
    leader.replica.limits.changed_bytes = 0;
    let answers = leader.replica.apply(Body::Frames(frames)).replies;
    leader.replica.limits = Limits::default();
    assert!(coterie_group::is_put_off(&answers[0]));
    let targets = entry.into_iter().map(|(to, _)| to);
    leader.answers.extend(targets.zip(answers));
    leader.settle();
    assert_eq!(leader.reply(waits), Some("*2 $1 k $1 x "));
}

#[test]
fn a_withdrawn_frame_is_never_applied_again() {
    let mut leader = Leader::new();
    let line = "blpop k 0";
    let waits = leader.wait(line);
    leader.settle();
    leader.withdraw(waits, line);
    leader.settle();
    assert_eq!(leader.reply(waits), Some(""), "no reply");
    assert_eq!(leader.run("rpush k x"), ":1 ");
    // A late copy, which an old leader may have kept.
    let late = frame(WAITS, waits, &[line], wait(Stage::Waited));
    leader.in_flight.push_back(vec![(To::Client(waits), late)]);
    leader.settle();
    assert_eq!(leader.reply(waits), Some(""));
    assert_eq!(leader.run("llen k"), ":1 ");
    // The other way round: what was served before counts.
    let served = leader.wait(line);
    leader.withdraw(served, line);
    leader.settle();
    assert_eq!(leader.reply(served), Some("*2 $1 k $1 x "));
}

#[test]
fn malformed_frames_that_wait_are_refused_and_do_not_wait() {
    let mut leader = Leader::new();
    let malformed = |leader: &mut Leader, bytes: Bytes| {
        let answers = leader.replica.apply(Body::Frames(vec![bytes])).replies;
        let answer = FrameReply::decode(answers[0].clone()).unwrap();
        assert!(
            matches!(answer, FrameReply::Refused(Refusal::Malformed { .. })),
            "{answer:?}"
        );
    };
    let two = frame(WAITS, 90, &["blpop k 0", "blpop k 0"], wait(Stage::First));
    malformed(&mut leader, two.clone());
    let unnumbered = frame(WAITS, 0, &["blpop k 0"], wait(Stage::First));
    malformed(&mut leader, unnumbered);
    assert!(leader.waiters.begin(&two, 1, 1).is_err());
    let get = frame(WAITS, 91, &["get k"], wait(Stage::First));
    assert!(leader.waiters.begin(&get, 1, 1).is_err());
    assert!(
        leader
            .waiters
            .begin(&Bytes::from_static(b"\x20damaged"), 1, 1)
            .is_err()
    );
    assert!(leader.waiters.is_empty());
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }
}

/// A history of random commands, entries in flight and answers in any order.
struct History {
    leader: Leader,
    chance: Chance,
    pushed: usize,
    waits: Vec<(u64, String)>,
    /// Frames whose reply is an element that is not gone.
    moves: Vec<u64>,
}

impl History {
    fn new(seed: u64) -> Self {
        Self {
            leader: Leader::new(),
            chance: Chance(seed),
            pushed: 0,
            waits: Vec::new(),
            moves: Vec::new(),
        }
    }

    fn key(&mut self) -> &'static str {
        ["a", "b", "c"][self.chance.below(3)]
    }

    fn push(&mut self) {
        let mut line = format!("rpush {}", self.key());
        for _ in 0..=self.chance.below(3) {
            self.pushed += 1;
            line.push_str(&format!(" e{}", self.pushed));
        }
        self.leader.put(&[&line]);
    }

    fn wait(&mut self) {
        let line = match self.chance.below(4) {
            0 => format!("blmove {} {} LEFT RIGHT 0", self.key(), self.key()),
            1 => format!("blmpop 0 2 {} {} LEFT COUNT 2", self.key(), self.key()),
            2 => format!("brpop {} {} 0", self.key(), self.key()),
            _ => format!("blpop {} 0", self.key()),
        };
        let number = self.leader.wait(&line);
        if line.starts_with("blmove") {
            self.moves.push(number);
        }
        self.waits.push((number, line));
    }

    fn step(&mut self) {
        match self.chance.below(12) {
            0..3 => self.push(),
            3..6 => self.wait(),
            6 => {
                let line = format!("lpop {}", self.key());
                self.leader.put(&[&line]);
            }
            7 => {
                // Not RENAME: a key that is overwritten loses its elements.
                let line = format!("renamenx {} {}", self.key(), self.key());
                self.leader.put(&[&line]);
            }
            8 if !self.waits.is_empty() => {
                let at = self.chance.below(self.waits.len());
                let (number, line) = self.waits.swap_remove(at);
                self.leader.withdraw(number, &line);
            }
            9 => {
                // Frames listen to it, and it brings nothing.
                let line = format!("linsert {} before none x", self.key());
                self.leader.put(&[&line]);
            }
            _ => {}
        }
        if self.chance.below(3) == 0 {
            self.leader.apply();
        }
        if self.leader.in_flight.len() > 2 {
            self.leader.apply();
        }
        while !self.leader.answers.is_empty() && self.chance.below(2) == 0 {
            let at = self.chance.below(self.leader.answers.len());
            self.leader.hand_out(at);
        }
        if self.chance.below(3) == 0 {
            self.leader.propose_due();
        }
    }
}

/// The elements in a reply.
fn elements(reply: &str) -> Vec<String> {
    let words = reply.split(' ');
    let elements = words.filter(|word| word.starts_with('e'));
    elements.map(str::to_owned).collect()
}

#[test]
fn no_element_is_lost_or_given_twice_and_nobody_waits_beside_data() {
    for seed in 0..15 {
        let mut history = History::new(seed);
        for _ in 0..150 {
            history.step();
        }
        history.leader.settle();
        let leader = &mut history.leader;
        let mut seen: Vec<String> = Vec::new();
        for (number, reply) in leader.replies.clone() {
            if !history.moves.contains(&number) && reply.starts_with(['*', '$']) {
                seen.extend(elements(&reply));
            }
        }
        for key in ["a", "b", "c"] {
            seen.extend(elements(&leader.run(&format!("lrange {key} 0 -1"))));
        }
        seen.sort();
        let mut unique = seen.clone();
        unique.dedup();
        assert_eq!(seen, unique, "given twice, seed {seed}");
        let all = (1..=history.pushed).map(|number| format!("e{number}"));
        let lost: Vec<String> = all.filter(|element| !unique.contains(element)).collect();
        assert!(
            lost.is_empty(),
            "seed {seed}: lost {lost:?}, {:?}",
            history.leader.replies
        );
        for (number, line) in &history.waits {
            if leader.reply(*number).is_some() {
                continue;
            }
            let keys: Vec<&str> = match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["blmove", source, ..] => vec![*source],
                ["blmpop", _, _, one, two, ..] | ["brpop", one, two, _] => vec![*one, *two],
                [_, key, _] => vec![*key],
                other => panic!("{other:?}"),
            };
            for key in keys {
                let len = leader.run(&format!("llen {key}"));
                assert_eq!(len, ":0 ", "{line} waits beside data, seed {seed}");
            }
        }
    }
}

#[test]
fn who_waits_first_is_served_first_whatever_is_in_flight() {
    for seed in 0..15 {
        let mut history = History::new(seed);
        let mut waits = Vec::new();
        for _ in 0..120 {
            match history.chance.below(4) {
                0 => {
                    history.pushed += 1;
                    let line = format!("rpush k e{:05}", history.pushed);
                    history.leader.put(&[&line]);
                }
                1 => waits.push(history.leader.wait("blpop k 0")),
                2 => history.leader.apply(),
                _ => {
                    let left = history.leader.answers.len();
                    if left > 0 {
                        let at = history.chance.below(left);
                        history.leader.hand_out(at);
                    }
                }
            }
            if history.leader.in_flight.len() > 2 {
                history.leader.apply();
            }
        }
        history.leader.settle();
        let leader = &history.leader;
        let replies = waits.iter().filter_map(|number| leader.reply(*number));
        let served: Vec<_> = replies.map(|reply| elements(reply).concat()).collect();
        assert_eq!(served.len(), waits.len().min(history.pushed), "seed {seed}");
        assert!(served.is_sorted(), "seed {seed}: {served:?}");
        let waiting = waits
            .iter()
            .position(|number| leader.reply(*number).is_none());
        let behind = waiting.map_or(&[][..], |at| &waits[at..]);
        assert!(
            behind.iter().all(|number| leader.reply(*number).is_none()),
            "seed {seed}: somebody was passed over"
        );
    }
}
