//! The links of proxies whose frames wait here: the answers that they have not fetched yet.
//!
//! A proxy asks over its link for the answers of its frames ([`coterie_protocol::waits`]). A
//! question is held for a fraction of a second while there is none. A link whose proxy asks no more
//! is gone: its frames are forgotten, so that no data is taken for clients that nobody serves. If
//! the proxy comes back it finds another epoch, and sends its frames again.
//!
//! Bounded: a frame has one answer at most, long answers are not kept (the group remembers them),
//! and the number of links is limited.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_group::WaitId;
use coterie_protocol::waits::{WaitAnswer, WaitNews, WaitPoll};
use coterie_rpc::Responder;
use parking_lot::{Mutex, MutexGuard};

/// How long a question is held while there is no answer.
const HELD: Duration = Duration::from_millis(400);
/// How long a link may be without a question.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// Links, at most.
const LINKS_MAX: usize = 4096;
/// The longest answer that is kept here; the proxy of a longer answer sends its frame again.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Bytes of answers in a message. The last may exceed it.
const NEWS_BYTES_MAX: usize = 1 << 20;
/// Bytes of answers kept for a link. Beyond it, frames are sent again.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Links {
    links: Mutex<BTreeMap<u64, Arc<Link>>>,
}

/// A link.
#[derive(Debug)]
pub(crate) struct Link {
    epoch: u64,
    is_over: AtomicBool,
    mail: Mutex<Mail>,
}

#[derive(Debug)]
struct Mail {
    answers: Vec<WaitAnswer>,
    bytes: usize,
    /// The question that is held.
    question: Option<Responder>,
    /// How many questions came.
    asked: u64,
    asked_at: Instant,
}

impl Links {
    /// The link of this number, new if it is gone; `None` if there are too many.
    pub(crate) fn get(&self, number: u64) -> Option<Arc<Link>> {
        static EPOCHS: AtomicU64 = AtomicU64::new(1);
        let mut links = self.lock();
        if let Some(link) = links.get(&number).filter(|link| !link.is_gone()) {
            return Some(Arc::clone(link));
        }
        if links.len() >= LINKS_MAX {
            links.retain(|_, link| !link.is_gone());
        }
        if links.len() >= LINKS_MAX {
            return None;
        }
        // Random, so that a restarted server has other epochs. Numbers tell links apart even
        // without a source of chance. Never 0.
        let count = || EPOCHS.fetch_add(1, Ordering::Relaxed);
        let epoch = getrandom::u64().unwrap_or_else(|_| count()).max(1);
        let link = Arc::new(Link::new(epoch));
        links.insert(number, Arc::clone(&link));
        Some(link)
    }

    /// Takes a proxy's question.
    pub(crate) fn handle(&self, body: &[u8], responder: Responder) {
        let poll: WaitPoll = match coterie_protocol::decode(body) {
            Ok(poll) => poll,
            Err(error) => return responder.fail(&error.to_string()),
        };
        let Some(link) = self.get(poll.link) else {
            return responder.fail("too many links of proxies");
        };
        if let Some(asked) = link.ask(responder) {
            tokio::spawn(async move {
                tokio::time::sleep(HELD).await;
                link.answer_question(asked);
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Link>>> {
        // Nothing panics while holding it.
        self.links.lock()
    }
}

impl Link {
    fn new(epoch: u64) -> Self {
        Self {
            epoch,
            is_over: AtomicBool::new(false),
            mail: Mutex::new(Mail {
                answers: Vec::new(),
                bytes: 0,
                question: None,
                asked: 0,
                asked_at: Instant::now(),
            }),
        }
    }

    /// Names this memory of the link.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Keeps the answer of a frame; `None` to have it sent again. [`Link::flush`] must follow.
    pub(crate) fn put(&self, (session, seq): WaitId, answer: Option<Bytes>) {
        let mut mail = self.mail();
        let has_room = |answer: &Bytes| {
            answer.len() <= ANSWER_BYTES_MAX && mail.bytes + answer.len() <= KEPT_BYTES_MAX
        };
        let answer = answer.filter(has_room);
        mail.bytes += answer.as_ref().map_or(0, Bytes::len);
        mail.answers.push(WaitAnswer {
            session,
            seq,
            answer,
        });
    }

    /// Sends the answers, if the proxy is asking.
    pub(crate) fn flush(&self) {
        let mut mail = self.mail();
        if !mail.answers.is_empty()
            && let Some(question) = mail.question.take()
        {
            self.send(&mut mail, question);
        }
    }

    /// Whether its proxy asks no more. It stays so.
    pub(crate) fn is_gone(&self) -> bool {
        if self.is_over.load(Ordering::Acquire) {
            return true;
        }
        let mail = self.mail();
        let is_gone = match &mail.question {
            Some(question) => question.is_abandoned(),
            None => mail.asked_at.elapsed() > SILENCE_MAX,
        };
        if is_gone {
            self.is_over.store(true, Ordering::Release);
        }
        is_gone
    }

    /// Answers a question, or holds it: then returns its number.
    fn ask(&self, question: Responder) -> Option<u64> {
        let mut mail = self.mail();
        mail.asked += 1;
        mail.asked_at = Instant::now();
        if let Some(earlier) = mail.question.take() {
            self.send(&mut mail, earlier);
        }
        if !mail.answers.is_empty() {
            self.send(&mut mail, question);
            return None;
        }
        mail.question = Some(question);
        Some(mail.asked)
    }

    /// Ends the wait of a question that is still held.
    fn answer_question(&self, asked: u64) {
        let mut mail = self.mail();
        if mail.asked == asked
            && let Some(question) = mail.question.take()
        {
            self.send(&mut mail, question);
        }
    }

    fn send(&self, mail: &mut Mail, question: Responder) {
        mail.asked_at = Instant::now();
        let mut bytes = 0;
        let is_over = |answer: &WaitAnswer| {
            let is_over = bytes > NEWS_BYTES_MAX;
            bytes += answer.answer.as_ref().map_or(0, Bytes::len) + 32;
            is_over
        };
        let count = mail.answers.iter().position(is_over);
        let later = match count {
            Some(count) => mail.answers.split_off(count),
            None => Vec::new(),
        };
        let answers = std::mem::replace(&mut mail.answers, later);
        let sent = answers.iter().filter_map(|answer| answer.answer.as_ref());
        mail.bytes -= sent.map(Bytes::len).sum::<usize>();
        let epoch = self.epoch;
        question.send(coterie_protocol::encode(&WaitNews { epoch, answers }));
    }

    fn mail(&self) -> MutexGuard<'_, Mail> {
        // Nothing panics while holding it.
        self.mail.lock()
    }
}
