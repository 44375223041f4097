//! A leader in small: entries are gathered, wait in flight, are applied in order, and their answers
//! are handed out in any order.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use coterie_group::{Answered, Body, Copy, WaitId, Waiters, resolve_frame};
use coterie_protocol::{Frame, FrameCommand, FrameFlags, FrameReply, Stage, Wait};
use coterie_types::{
    Epoch, FrameSeq, GroupId, KeyRange, RangeDescriptor, RangeId, SessionId, TableId,
};

use super::Replica;

const T: TableId = TableId(0);
pub(crate) const WAITS: SessionId = SessionId(7);
const OTHERS: SessionId = SessionId(8);

/// A frame of an entry: the wait that its answer is for, or the client.
pub(crate) enum To {
    Waiter(WaitId),
    Client(u64),
}

/// A leader with its state machine.
pub(crate) struct Leader {
    pub(crate) replica: Replica,
    pub(crate) waiters: Waiters<u64>,
    pub(crate) in_flight: VecDeque<Vec<(To, Bytes)>>,
    /// Applied, and not handed out yet.
    pub(crate) answers: Vec<(To, Bytes)>,
    /// The last replies, by the number of the frame.
    pub(crate) replies: BTreeMap<u64, String>,
    seq: u64,
    clock: u64,
}

pub(crate) fn words(line: &str) -> Vec<Bytes> {
    let words = line.split(' ');
    words
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect()
}

pub(crate) fn frame(session: SessionId, seq: u64, lines: &[&str], wait: Option<Wait>) -> Bytes {
    let command = |line: &&str| FrameCommand {
        table: T,
        args: words(line),
    };
    let frame = Frame {
        flags: FrameFlags::default(),
        session,
        seq: FrameSeq(seq),
        acknowledged_below: FrameSeq(1),
        reply_room: None,
        tracker: None,
        wait,
        watches: Vec::new(),
        commands: lines.iter().map(command).collect(),
    };
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out.freeze()
}

pub(crate) fn wait(stage: Stage) -> Option<Wait> {
    Some(Wait {
        stage,
        link: 1,
        waited_ms: 0,
    })
}

impl Leader {
    pub(crate) fn new() -> Self {
        let mut replica = Replica::new(GroupId(1));
        let range = RangeDescriptor {
            range_id: RangeId(1),
            epoch: Epoch(1),
            bounds: KeyRange::all(T),
            group_id: GroupId(1),
        };
        replica.apply(Body::Init(vec![range]));
        Self {
            replica,
            waiters: Waiters::new(|_| false),
            in_flight: VecDeque::new(),
            answers: Vec::new(),
            replies: BTreeMap::new(),
            seq: 0,
            clock: 0,
        }
    }

    /// Puts a command that waits into an entry; returns its number.
    pub(crate) fn wait(&mut self, line: &str) -> u64 {
        self.seq += 1;
        self.clock += 1;
        let bytes = frame(WAITS, self.seq, &[line], wait(Stage::First));
        let id = self.waiters.begin(&bytes, self.clock, self.seq).unwrap();
        self.propose(To::Waiter(id), bytes);
        self.seq
    }

    /// Puts a frame of commands into an entry, cut where others wait; returns its number.
    pub(crate) fn put(&mut self, lines: &[&str]) -> u64 {
        self.seq += 1;
        let bytes = frame(OTHERS, self.seq, lines, None);
        let cut = self.waiters.cut(&resolve_frame(bytes).unwrap());
        let lines = &lines[..cut.unwrap_or(lines.len())];
        let bytes = frame(OTHERS, self.seq, lines, None);
        self.propose(To::Client(self.seq), bytes);
        self.seq
    }

    pub(crate) fn withdraw(&mut self, number: u64, line: &str) {
        self.waiters.remove((WAITS, FrameSeq(number)));
        let bytes = frame(WAITS, number, &[line], wait(Stage::Withdrawn));
        self.propose(To::Client(number), bytes);
    }

    pub(crate) fn propose(&mut self, to: To, bytes: Bytes) {
        self.waiters.note(&resolve_frame(bytes.clone()).unwrap());
        let mut entry: Vec<_> = copies(self.waiters.take_listening()).collect();
        entry.push((to, bytes));
        self.in_flight.push_back(entry);
    }

    /// Proposes what is due.
    pub(crate) fn propose_due(&mut self) {
        let due = self.waiters.take_due(10);
        if !due.is_empty() {
            let listening = self.waiters.take_listening();
            let entry = copies(listening).chain(copies(due));
            self.in_flight.push_back(entry.collect());
        }
    }

    /// Applies the next entry.
    pub(crate) fn apply(&mut self) {
        let Some(entry) = self.in_flight.pop_front() else {
            return;
        };
        let frames = entry.iter().map(|(_, frame)| frame.clone()).collect();
        let answers = self.replica.apply(Body::Frames(frames)).replies;
        let targets = entry.into_iter().map(|(to, _)| to);
        self.answers.extend(targets.zip(answers));
    }

    /// Hands out an answer.
    pub(crate) fn hand_out(&mut self, at: usize) {
        let (to, answer) = self.answers.remove(at);
        let (number, answer) = match to {
            To::Client(number) => (number, answer),
            To::Waiter(id) if coterie_group::is_put_off(&answer) => {
                return self.waiters.put_off(id);
            }
            To::Waiter(id) => match self.waiters.answered(id, &answer) {
                Answered::Over(number) => (number, answer),
                Answered::Waits(_) | Answered::Known => return,
            },
        };
        let text = match FrameReply::decode(answer).unwrap() {
            FrameReply::Done(replies) => replies.concat(),
            other => panic!("{other:?}"),
        };
        let text = String::from_utf8_lossy(&text).replace("\r\n", " ");
        self.replies.insert(number, text);
    }

    /// Until nothing is in flight or due.
    pub(crate) fn settle(&mut self) {
        loop {
            self.propose_due();
            if self.in_flight.is_empty() && self.answers.is_empty() {
                return;
            }
            self.apply();
            while !self.answers.is_empty() {
                self.hand_out(0);
            }
        }
    }

    pub(crate) fn reply(&self, number: u64) -> Option<&str> {
        self.replies.get(&number).map(String::as_str)
    }

    pub(crate) fn run(&mut self, line: &str) -> String {
        let number = self.put(&[line]);
        self.settle();
        self.replies[&number].clone()
    }
}

pub(crate) fn copies(copies: Vec<Copy>) -> impl Iterator<Item = (To, Bytes)> {
    let copies = copies.into_iter();
    copies.map(|Copy { id, frame }| (To::Waiter(id), frame))
}
