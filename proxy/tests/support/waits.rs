//! Frames that wait for data at a group in memory, and the links over which the proxy asks for
//! their answers. Which frames stand behind which is decided by the real code (`Waiters`).

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use coterie_group::{Answered, Body, Copy, WaitId, Waiters, resolve_frame};
use coterie_protocol::waits::{WaitAnswer, WaitNews, WaitPoll};
use coterie_protocol::{Frame, FrameFlags, FrameReply, Refusal, Stage, WaitHead, decode, encode};
use coterie_rpc::Responder;
use coterie_types::{GroupId, NodeId, Term};

use super::cluster::{Cluster, Group};

/// The links of a node.
#[derive(Default)]
pub(crate) struct NodeLinks {
    /// Rises when the node forgets its links.
    epoch: u64,
    links: BTreeMap<u64, Link>,
    /// How many questions came.
    asked: usize,
    /// The next answers are lost on their way, or never leave.
    fault: Option<NewsFault>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum NewsFault {
    Lost,
    Held,
}

#[derive(Default)]
struct Link {
    answers: Vec<WaitAnswer>,
    question: Option<Responder>,
}

/// The caller of a frame that waits.
pub(crate) struct Owner {
    link: u64,
    responder: Option<Responder>,
}

/// Answers that go over links: link, frame, answer.
pub(super) type News = Vec<(u64, WaitId, Option<Bytes>)>;

/// No frame waits.
pub(super) fn none() -> Waiters<Owner> {
    Waiters::new(|_| false)
}

impl Group {
    /// Executes a frame that may wait, or its withdrawal.
    pub(super) fn wait(&mut self, bytes: Bytes, head: &WaitHead, responder: Responder) -> News {
        self.came.push((head.wait.stage, head.wait.waited_ms));
        let id = (head.session, head.seq);
        if head.wait.stage == Stage::Withdrawn {
            drop(self.waiters.remove(id));
            let answer = self.apply(Body::Frames(vec![bytes])).remove(0);
            responder.send(answer);
            return News::new();
        }
        let owner = Owner {
            link: head.wait.link,
            responder: Some(responder),
        };
        let began = u64::MAX / 2 - head.wait.waited_ms;
        if self.waiters.begin(&bytes, began, owner).is_err() {
            panic!("a frame that cannot wait")
        }
        self.waiters
            .note(&resolve_frame(bytes.clone()).expect("it decodes"));
        let mut copies = self.waiters.take_listening();
        copies.push(Copy { id, frame: bytes });
        self.run(copies)
    }

    /// Executes copies as an entry, and those that are due after it.
    pub(super) fn run(&mut self, mut copies: Vec<Copy>) -> News {
        let mut news = News::new();
        while !copies.is_empty() {
            let frames = copies.iter().map(|copy| copy.frame.clone()).collect();
            let answers = self.apply(Body::Frames(frames));
            for (copy, answer) in copies.iter().zip(answers) {
                news.extend(self.answered(copy.id, answer));
            }
            copies = self.due();
        }
        news
    }

    /// The next entry of frames that are due.
    fn due(&mut self) -> Vec<Copy> {
        let due = self.waiters.take_due(100);
        let mut copies = self.waiters.take_listening();
        copies.extend(due);
        copies
    }

    /// Executes a frame of commands, and those that wait for what it brings. Returns its reply, and
    /// the answers of the others.
    pub(super) fn execute_among(&mut self, bytes: Bytes) -> (Bytes, News) {
        let mut frame = resolve_frame(bytes.clone()).expect("the proxy's frames decode");
        let mut bytes = bytes;
        if let Some(count) = self.waiters.cut(&frame).filter(|_| !is_transaction(&bytes)) {
            frame.commands.truncate(count);
            let mut cut = Frame::decode(bytes).expect("it decodes");
            cut.commands.truncate(count);
            let mut out = BytesMut::new();
            cut.encode(&mut out);
            bytes = out.freeze();
        }
        self.waiters.note(&frame);
        let copies = self.waiters.take_listening();
        let mut frames: Vec<Bytes> = copies.iter().map(|copy| copy.frame.clone()).collect();
        frames.push(bytes);
        let mut answers = self.apply(Body::Frames(frames));
        let reply = answers.pop().expect("an answer for each frame");
        let mut news = News::new();
        for (copy, answer) in copies.iter().zip(answers) {
            news.extend(self.answered(copy.id, answer));
        }
        let due = self.due();
        news.extend(self.run(due));
        (reply, news)
    }

    fn answered(&mut self, id: WaitId, answer: Bytes) -> News {
        let answer = match FrameReply::decode(answer.clone()) {
            Ok(FrameReply::Refused(Refusal::Moved { ranges })) if ranges.is_empty() => {
                let ranges = self.knows.clone();
                FrameReply::Refused(Refusal::Moved { ranges }).encode()
            }
            _ => answer,
        };
        match self.waiters.answered(id, &answer) {
            Answered::Known => News::new(),
            Answered::Waits(owner) => {
                if let Some(responder) = owner.responder.take() {
                    responder.send(FrameReply::Waits { epoch: self.epoch }.encode());
                }
                News::new()
            }
            Answered::Over(owner) => give(id, owner, &answer),
        }
    }

    /// Gives all frames that wait back to their proxies.
    fn give_back(&mut self) -> News {
        let (leader, term) = (Some(self.leader), Term(self.term));
        let refused = FrameReply::Refused(Refusal::NotLeader { leader, term }).encode();
        let waiting = self.waiters.remove_if(|_| true).into_iter();
        waiting
            .flat_map(|(id, owner)| give(id, owner, &refused))
            .collect()
    }
}

fn is_transaction(frame: &Bytes) -> bool {
    let flags = FrameFlags(frame.first().copied().unwrap_or_default());
    flags.has(FrameFlags::TRANSACTION)
}

fn give(id: WaitId, owner: Owner, answer: &Bytes) -> News {
    match owner.responder {
        Some(responder) => {
            responder.send(answer.clone());
            News::new()
        }
        None => {
            let is_done = answer.first() == Some(&0);
            vec![(owner.link, id, is_done.then(|| answer.clone()))]
        }
    }
}

impl Cluster {
    /// Takes a proxy's question.
    pub(super) fn asks(&self, node: NodeId, body: &[u8], responder: Responder) {
        let poll: WaitPoll = decode(body).expect("the proxy's questions decode");
        let mut all = self.links.lock().unwrap();
        let links = all.entry(node).or_default();
        links.asked += 1;
        let epoch = links.epoch + 1;
        let link = links.links.entry(poll.link).or_default();
        if link.answers.is_empty() {
            link.question = Some(responder);
        } else {
            link.tell(epoch, responder);
        }
    }

    /// Sends answers over the links of a node.
    pub(super) fn tell(&self, node: NodeId, news: News) {
        let mut all = self.links.lock().unwrap();
        let links = all.entry(node).or_default();
        let epoch = links.epoch + 1;
        if links.fault == Some(NewsFault::Held) || news.is_empty() {
            return;
        }
        if links.fault.take().is_some() {
            for link in links.links.values_mut() {
                if let Some(question) = link.question.take() {
                    question.fail("the answer is lost");
                }
            }
            return;
        }
        for (link, (session, seq), answer) in news {
            let link = links.links.entry(link).or_default();
            link.answers.push(WaitAnswer {
                session,
                seq,
                answer,
            });
            if let Some(question) = link.question.take() {
                link.tell(epoch, question);
            }
        }
    }

    /// Another node leads a group; the frames that waited are given back.
    pub(crate) fn lead(&self, id: u64, node: u64) {
        let (before, news) = self.group(id, |group| {
            let before = group.leader;
            group.leader = NodeId(node);
            group.term += 1;
            (before, group.give_back())
        });
        self.tell(before, news);
    }

    /// A node's process is replaced by another: it knows no link and no frame that waits, and its
    /// questions are never answered.
    pub(crate) fn forget_waits(&self, node: u64, group: u64) {
        let epoch = {
            let mut all = self.links.lock().unwrap();
            let links = all.entry(NodeId(node)).or_default();
            links.epoch += 1;
            links.links.clear();
            links.epoch + 1
        };
        self.group(group, |group| {
            group.epoch = epoch;
            drop(group.waiters.remove_if(|_| true));
        });
    }

    /// The next answers that a node sends over links are lost.
    pub(crate) fn lose_news(&self, node: u64) {
        self.fault(node, NewsFault::Lost);
    }

    /// A node sends no answers over links any more.
    pub(crate) fn hold_news(&self, node: u64) {
        self.fault(node, NewsFault::Held);
    }

    fn fault(&self, node: u64, fault: NewsFault) {
        let mut all = self.links.lock().unwrap();
        all.entry(NodeId(node)).or_default().fault = Some(fault);
    }

    /// Tries all frames again that wait at a group, as a server does when ranges have moved.
    pub(crate) fn retry(&self, id: u64) {
        let (leader, news) = self.group(id, |group| {
            group.waiters.make_due(|_| true);
            let due = group.due();
            (group.leader, group.run(due))
        });
        self.tell(leader, news);
    }

    /// How many frames wait at a group.
    pub(crate) fn waiting(&self, id: u64) -> usize {
        self.group(id, |group| group.waiters.len())
    }

    /// How many questions the proxy has asked a node.
    pub(crate) fn questions(&self, node: u64) -> usize {
        let all = self.links.lock().unwrap();
        all.get(&NodeId(node)).map_or(0, |links| links.asked)
    }

    /// How a group's frames that may wait came: their stages, and how long they had waited.
    pub(crate) fn came(&self, id: u64) -> Vec<(Stage, u64)> {
        let groups = self.groups.lock().unwrap();
        groups[&GroupId(id)].came.clone()
    }
}

impl Link {
    fn tell(&mut self, epoch: u64, question: Responder) {
        let answers = std::mem::take(&mut self.answers);
        question.send(encode(&WaitNews { epoch, answers }));
    }
}
