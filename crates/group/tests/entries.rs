//! Frames that do not fit into an entry: they are put off, and only a transaction that fits into no
//! entry is refused.
//!
//! The test plays the proposer: frames that an entry put off go first into the next entry, and the
//! rest of a cut pipeline follows as its own frame. Then an entry's limits change neither the
//! clients' replies nor the records with their versions.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use coterie_group::{Arrival, Body, Limits, RangeChange, is_put_off};
use coterie_protocol::{Frame, FrameCommand, FrameFlags, FrameReply, Refusal};
use coterie_redis_compat::{Encoding, Kind, Record};
use coterie_types::{
    Epoch, FrameSeq, GroupId, KeyRange, RangeDescriptor, RangeId, SessionId, TableId, Version,
};
use proptest::collection::vec;
use proptest::prelude::*;

mod common;

use common::Replica;

const T: TableId = TableId(0);
const NEVER: Limits = Limits {
    changed_bytes: usize::MAX,
    written_bytes: usize::MAX,
    answer_bytes: usize::MAX,
    transaction_bytes: usize::MAX,
    script_bytes: usize::MAX,
    scripts_bytes: usize::MAX,
};

fn range(group_id: GroupId) -> RangeDescriptor {
    RangeDescriptor {
        range_id: RangeId(1),
        epoch: Epoch(1),
        bounds: KeyRange {
            table: T,
            start: Bytes::new(),
            end: None,
        },
        group_id,
    }
}

/// Commands that a client sends at once.
#[derive(Debug, Clone)]
struct Sent {
    client: u64,
    is_transaction: bool,
    lines: Vec<String>,
}

fn pipeline(client: u64, lines: &[&str]) -> Sent {
    Sent {
        client,
        is_transaction: false,
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    }
}

fn transaction(client: u64, lines: &[&str]) -> Sent {
    Sent {
        is_transaction: true,
        ..pipeline(client, lines)
    }
}

fn command(line: &str) -> FrameCommand {
    let args = line.split(' ');
    let args = args.map(|word| Bytes::copy_from_slice(word.as_bytes()));
    FrameCommand {
        table: T,
        args: args.collect(),
    }
}

/// A frame in flight, and the commands it carries.
struct Waiting {
    frame: Frame,
    /// Index of the [`Sent`] to which its replies belong.
    of: usize,
}

/// A group with a single replica, and its proposer.
struct Group {
    replica: Replica,
    seqs: [u64; 4],
    /// Number of applied entries.
    entries: usize,
    /// Number of times a frame was put off.
    put_off: usize,
}

impl Group {
    fn new(limits: Limits) -> Self {
        let mut replica = Replica::new(GroupId(1));
        replica.limits = limits;
        replica.apply(Body::Init(vec![range(GroupId(1))]));
        Self {
            replica,
            seqs: [0; 4],
            entries: 0,
            put_off: 0,
        }
    }

    fn frame(&mut self, client: u64, is_transaction: bool, commands: Vec<FrameCommand>) -> Frame {
        let seq = &mut self.seqs[usize::try_from(client).unwrap()];
        *seq += 1;
        Frame {
            flags: if is_transaction {
                FrameFlags::TRANSACTION
            } else {
                FrameFlags::default()
            },
            session: SessionId(client),
            seq: FrameSeq(*seq),
            acknowledged_below: FrameSeq(1),
            reply_room: None,
            wait: None,
            watches: Vec::new(),
            commands,
        }
    }

    /// Applies an entry of these frames; returns its answers.
    fn entry(&mut self, frames: Vec<&Frame>) -> Vec<Bytes> {
        self.entries += 1;
        let bytes = |frame: &Frame| {
            let mut out = BytesMut::new();
            frame.encode(&mut out);
            out.freeze()
        };
        let frames = frames.into_iter().map(bytes).collect();
        self.replica.apply(Body::Frames(frames)).replies
    }

    /// Executes all of `sent`, up to `together` frames in an entry, each frame `copies` times.
    /// Returns the replies to each.
    fn run(&mut self, sent: &[Sent], together: usize, copies: usize) -> Vec<String> {
        let mut replies = vec![String::new(); sent.len()];
        let mut queue = VecDeque::new();
        for (of, sent) in sent.iter().enumerate() {
            let commands = sent.lines.iter().map(|line| command(line)).collect();
            let frame = self.frame(sent.client, sent.is_transaction, commands);
            queue.push_back(Waiting { frame, of });
        }
        while !queue.is_empty() {
            let together: Vec<Waiting> = queue.drain(..together.min(queue.len())).collect();
            let frames = together.iter().map(|waiting| &waiting.frame);
            let frames = frames.flat_map(|frame| std::iter::repeat_n(frame, copies));
            let answers = self.entry(frames.collect());
            let mut again = Vec::new();
            for (waiting, answers) in together.into_iter().zip(answers.chunks(copies)) {
                let first = &answers[0];
                for copy in answers {
                    assert!(is_put_off(copy) || copy == first, "applied once");
                }
                if is_put_off(first) {
                    self.put_off += 1;
                    again.push(waiting);
                    continue;
                }
                let FrameReply::Done(done) = FrameReply::decode(first.clone()).unwrap() else {
                    panic!("refused: {:?}", waiting.frame)
                };
                let Waiting { mut frame, of } = waiting;
                for reply in &done {
                    replies[of].push_str(&String::from_utf8_lossy(reply));
                }
                let is_transaction = frame.flags.has(FrameFlags::TRANSACTION);
                if !is_transaction && done.len() < frame.commands.len() {
                    assert!(!done.is_empty(), "every entry gets on");
                    let rest = frame.commands.split_off(done.len());
                    let frame = self.frame(frame.session.0, false, rest);
                    again.push(Waiting { frame, of });
                }
            }
            again
                .into_iter()
                .rev()
                .for_each(|one| queue.push_front(one));
        }
        replies
    }
}

fn small(changed_bytes: usize) -> Limits {
    Limits {
        changed_bytes,
        transaction_bytes: 4 * changed_bytes,
        ..NEVER
    }
}

fn sets(client: u64, count: usize, bytes: usize) -> Vec<Sent> {
    let value = "v".repeat(bytes);
    let set = |n| pipeline(client, &[&format!("set k{n} {value}")]);
    (0..count).map(set).collect()
}

#[test]
fn what_does_not_fit_goes_into_the_next_entry() {
    let mut group = Group::new(small(100));
    // 52 bytes each: the second passes the limit.
    let replies = group.run(&sets(0, 9, 50), usize::MAX, 1);
    assert_eq!(replies, ["+OK\r\n"; 9]);
    assert_eq!((group.entries, group.put_off), (5, 7 + 5 + 3 + 1));
}

#[test]
fn frames_that_fit_are_one_entry() {
    let mut group = Group::new(small(1000));
    group.run(&sets(0, 9, 50), usize::MAX, 1);
    assert_eq!((group.entries, group.put_off), (1, 0));
}

#[test]
fn a_record_that_many_write_counts_once() {
    let mut group = Group::new(small(100));
    let all: Vec<_> = (0..500)
        .map(|n| pipeline(0, &[&format!("setbit k {} 1", 719 - n)]))
        .collect();
    let replies = group.run(&all, usize::MAX, 1);
    assert_eq!(replies, [":0\r\n"; 500].map(str::to_owned));
    assert_eq!(group.entries, 1);
}

#[test]
fn a_record_that_is_written_for_too_long_takes_several_entries() {
    let limits = Limits {
        written_bytes: 1000,
        ..NEVER
    };
    let mut group = Group::new(limits);
    let all: Vec<_> = (0..50).map(|_| pipeline(0, &["setrange k 98 x"])).collect();
    let replies = group.run(&all, usize::MAX, 1);
    assert_eq!(replies, [":99\r\n"; 50].map(str::to_owned));
    assert_eq!(group.entries, 5, "eleven writes of a hundred bytes each");
}

#[test]
fn a_pipeline_is_cut_before_a_write_and_its_rest_goes_on() {
    let mut group = Group::new(small(10));
    let lines = ["set a 0123456789", "get a", "set b 1", "set c 1"];
    let frame = group.frame(0, false, lines.iter().map(|line| command(line)).collect());
    let answers = group.entry(vec![&frame]);
    let FrameReply::Done(done) = FrameReply::decode(answers[0].clone()).unwrap() else {
        panic!("refused")
    };
    assert_eq!(done, ["+OK\r\n", "$10\r\n0123456789\r\n"]);
    assert_eq!(
        group.entry(vec![&frame]),
        answers,
        "the short answer is the answer"
    );
    let mut group = Group::new(small(10));
    let expected = "+OK\r\n$10\r\n0123456789\r\n+OK\r\n+OK\r\n";
    assert_eq!(group.run(&[pipeline(0, &lines)], 1, 1), [expected]);
    assert_eq!(group.entries, 2);
}

#[test]
fn what_keeps_a_value_and_changes_the_rest_of_its_record_counts() {
    let mut group = Group::new(small(100));
    group.run(&sets(0, 9, 50), usize::MAX, 1);
    group.entries = 0;
    let expire = |n| pipeline(0, &[&format!("pexpireat k{n} 9999999999999")]);
    let replies = group.run(&(0..9).map(expire).collect::<Vec<_>>(), usize::MAX, 1);
    assert_eq!(replies, [":1\r\n"; 9]);
    assert_eq!(group.entries, 5);
}

#[test]
fn a_transaction_that_fits_alone_waits_whole() {
    let mut group = Group::new(small(100));
    let value = "v".repeat(90);
    // 91 bytes each: the last fits behind 364 bytes, but not behind another 62.
    let lines = ["a", "b", "c", "d", "e"].map(|key| format!("set {key} {value}"));
    let lines = lines.each_ref().map(String::as_str);
    let mut sent = sets(0, 1, 60);
    sent.push(transaction(1, &lines));
    sent.push(pipeline(2, &["exists a b c d e"]));
    let executed = format!("*5\r\n{}", "+OK\r\n".repeat(5));
    let expected = ["+OK\r\n", &executed, ":5\r\n"];
    assert_eq!(group.run(&sent, usize::MAX, 2), expected);
    assert_eq!(group.entries, 3);
    assert_eq!(group.put_off, 2 + 1);
}

#[test]
fn a_transaction_that_fits_nowhere_is_refused_whole_and_alone() {
    let mut group = Group::new(small(100));
    let value = "v".repeat(99);
    let lines = ["a", "b", "c", "d", "e", "f"].map(|key| format!("set {key} {value}"));
    let mut lines: Vec<_> = lines.iter().map(String::as_str).collect();
    lines.insert(0, "set k 1");
    let sent = [
        pipeline(0, &["set k 0"]),
        transaction(1, &lines),
        pipeline(2, &["set other 1"]),
        pipeline(0, &["mget k a b"]),
    ];
    let refused = "-EXECABORT Transaction discarded because of: OOM a transaction may change 400 \
                   bytes of keys and values\r\n";
    let replies = group.run(&sent, usize::MAX, 1);
    let kept = "*3\r\n$1\r\n0\r\n$-1\r\n$-1\r\n";
    assert_eq!(replies, ["+OK\r\n", refused, "+OK\r\n", kept]);
    // Commands that only remove are refused too, but not commands that only read.
    let (mut over, mut reading) = (lines.clone(), lines[..5].to_vec());
    over.truncate(5);
    over.push("set d2 0123456789");
    over.push("del a");
    reading.push("get k");
    let replies = group.run(&[transaction(1, &over), transaction(1, &reading)], 1, 1);
    assert_eq!(replies[0], refused);
    assert!(replies[1].starts_with("*6\r\n+OK"));
}

#[test]
fn long_answers_put_the_frames_behind_them_off() {
    let mut group = Group::new(Limits {
        answer_bytes: 100,
        ..NEVER
    });
    let mut sent = sets(0, 1, 60);
    sent.extend((0..4).map(|client| pipeline(client % 4, &["get k0"])));
    let get = format!("$60\r\n{}\r\n", "v".repeat(60));
    let replies = group.run(&sent, usize::MAX, 1);
    assert_eq!(replies[1..], [&get[..]; 4]);
    assert_eq!(group.entries, 2);
}

#[test]
fn records_that_fill_an_entry_are_there_for_the_next() {
    let mut replica = Replica::new(GroupId(1));
    replica.limits = small(100);
    let range = RangeDescriptor {
        epoch: Epoch(2),
        ..range(GroupId(1))
    };
    let (range_id, epoch, source) = (range.range_id, range.epoch, GroupId(2));
    replica.apply(Body::Change(RangeChange::BeginImport { range, source }));
    replica.apply(Body::Change(RangeChange::Activate { range_id, epoch }));
    let record = Record {
        kind: Kind::String,
        version: Version {
            group: source,
            change: 1,
        },
        expires_at: None,
        kept: Some(Encoding::Raw),
        is_spread: false,
        value: Bytes::from(vec![b'v'; 150]),
    };
    let mut raw = Vec::new();
    record.encode(&mut raw);
    let arrivals = vec![Arrival {
        range_id,
        epoch,
        table: T,
        key: Bytes::from_static(b"k"),
        record: Some(Bytes::from(raw)),
    }];
    let mut group = Group::new(small(100));
    let frame = group.frame(0, false, vec![command("append k x")]);
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    let frames = vec![bytes.freeze()];
    let answers = replica.apply(Body::Fetched {
        arrivals,
        frames: frames.clone(),
    });
    assert!(is_put_off(&answers.replies[0]));
    let answers = replica.apply(Body::Frames(frames)).replies;
    let answer = FrameReply::decode(answers[0].clone()).unwrap();
    assert_ne!(answer, FrameReply::Refused(Refusal::Moving));
    assert_eq!(
        answer,
        FrameReply::Done(vec![Bytes::from_static(b":151\r\n")])
    );
}

fn line() -> impl Strategy<Value = String> {
    let key = "[a-d]";
    prop_oneof![
        (key, 1..60usize).prop_map(|(key, len)| format!("set {key} {}", "v".repeat(len))),
        (key, 1..60usize).prop_map(|(key, len)| format!("append {key} {}", "v".repeat(len))),
        (key, 0..60usize).prop_map(|(key, at)| format!("setrange {key} {at} x")),
        (key, 0..400usize).prop_map(|(key, at)| format!("setbit {key} {at} 1")),
        key.prop_map(|key| format!("getset {key} 1")),
        key.prop_map(|key| format!("incr {key}")),
        key.prop_map(|key| format!("get {key}")),
        key.prop_map(|key| format!("del {key}")),
        key.prop_map(|key| format!("pexpireat {key} 9999999999999")),
        key.prop_map(|key| format!("persist {key}")),
        (key, key).prop_map(|(from, to)| format!("copy {from} {to} replace")),
        (key, key).prop_map(|(from, to)| format!("rename {from} {to}")),
        (key, key).prop_map(|(start, end)| format!("_flush {start} {end}")),
        Just("mget a b c d".to_owned()),
        Just("nonsense".to_owned()),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    (0..4u64, any::<bool>(), vec(line(), 1..6)).prop_map(|(client, is_transaction, lines)| Sent {
        client,
        is_transaction,
        lines,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn limits_of_an_entry_change_nothing_that_a_client_sees(
        sent in vec(sent(), 1..30),
        together in 1..40usize,
        copies in 1..3usize,
        (changed_bytes, written_bytes, answer_bytes) in (1..200usize, 1..400usize, 1..200usize),
    ) {
        let transaction_bytes = 150;
        let limits = Limits { changed_bytes, written_bytes, answer_bytes, transaction_bytes, ..NEVER };
        let mut small = Group::new(limits);
        let mut large = Group::new(Limits { transaction_bytes, ..NEVER });
        let last = pipeline(0, &["set last 1"]);
        let sent = [&sent[..], &[last]].concat();
        let replies = small.run(&sent, together, copies);
        prop_assert_eq!(replies, large.run(&sent, 1, 1));
        // With the versions of the records, above all the version of the last change.
        prop_assert_eq!(&small.replica.store, &large.replica.store);
    }
}
