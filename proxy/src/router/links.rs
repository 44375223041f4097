//! Fetches the answers of frames that wait for data at servers (`coterie_protocol::waits`).
//!
//! A frame that waits holds no call. A task per server asks for the answers of all frames that wait
//! there, over the link of this router, for as long as there are any. Whenever an answer may have
//! been missed, the frames that it could concern are *in doubt*: their senders send them again
//! under their numbers. So it is when a question fails, and when the server's memory of the link
//! has another epoch.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::waits::{WaitNews, WaitPoll};
use coterie_protocol::{decode, encode, method};
use coterie_rpc::{CallError, Patience};
use coterie_types::{FrameSeq, SessionId};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use super::window::random;

/// How long a server may be silent after a question. Servers hold questions for less than half a
/// second.
const SILENCE_MAX: Duration = Duration::from_millis(1500);

/// Names a frame.
type WaitId = (SessionId, FrameSeq);

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Links {
    /// The link's number.
    pub(crate) number: u64,
    rpc: coterie_rpc::Client,
    servers: Mutex<HashMap<Box<str>, Arc<Asked>>>,
}

/// A server, and the frames of this router that wait there.
#[derive(Debug)]
struct Asked {
    addr: Box<str>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    frames: HashMap<WaitId, Expected>,
    /// The epoch of the link there, while it is asked.
    epoch: Option<u64>,
}

#[derive(Debug)]
struct Expected {
    /// Dropped when the frame is in doubt.
    answer: oneshot::Sender<Option<Bytes>>,
    /// The epoch in which the frame waits; `None` before the server said so.
    epoch: Option<u64>,
}

/// A frame whose answer is expected from a server. It resolves to the bytes of its `FrameReply`, or
/// to `None` if the frame is to be sent again.
#[derive(Debug)]
pub(crate) struct Expecting {
    answer: oneshot::Receiver<Option<Bytes>>,
    asked: Arc<Asked>,
    id: WaitId,
    rpc: coterie_rpc::Client,
    link: u64,
}

impl Links {
    /// The link of a router that calls with `rpc`.
    pub(crate) fn new(rpc: coterie_rpc::Client) -> Self {
        Self {
            number: random(),
            rpc,
            servers: Mutex::default(),
        }
    }

    /// Expects an answer from the server at `addr`, to which the frame is about to be sent.
    pub(crate) fn expect(&self, addr: &str, id: WaitId) -> Expecting {
        let asked = self.server(addr);
        let (sender, answer) = oneshot::channel();
        let expected = Expected {
            answer: sender,
            epoch: None,
        };
        asked.lock().frames.insert(id, expected);
        Expecting {
            answer,
            asked,
            id,
            rpc: self.rpc.clone(),
            link: self.number,
        }
    }

    fn server(&self, addr: &str) -> Arc<Asked> {
        // Nothing panics while holding it.
        let mut servers = self.servers.lock();
        if let Some(asked) = servers.get(addr) {
            return Arc::clone(asked);
        }
        // Servers that are gone are forgotten: addresses may change without end.
        servers.retain(|_, asked| Arc::strong_count(asked) > 1);
        let asked = Arc::new(Asked {
            addr: addr.into(),
            state: Mutex::default(),
        });
        servers.insert(addr.into(), Arc::clone(&asked));
        asked
    }
}

impl Expecting {
    /// Notes that the server said that the frame waits there, in this epoch of the link. Returns
    /// whether the answer will come: not if the link is in another epoch by now.
    pub(crate) fn waits(&self, epoch: u64) -> bool {
        let mut state = self.asked.lock();
        let Some(expected) = state.frames.get_mut(&self.id) else {
            // Its answer came before.
            return true;
        };
        expected.epoch = Some(epoch);
        match state.epoch {
            Some(known) => known == epoch,
            None => {
                state.epoch = Some(epoch);
                drop(state);
                let (asked, rpc, link) = (Arc::clone(&self.asked), self.rpc.clone(), self.link);
                tokio::spawn(async move { asked.ask(&rpc, link).await });
                true
            }
        }
    }
}

impl Future for Expecting {
    type Output = Option<Bytes>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        Poll::Ready(answer.unwrap_or(None))
    }
}

impl Drop for Expecting {
    fn drop(&mut self) {
        let mut state = self.asked.lock();
        // An entry whose receiver is alive belongs to a later attempt under the same number.
        if let Some(expected) = state.frames.get(&self.id) {
            self.answer.close();
            if expected.answer.is_closed() {
                state.frames.remove(&self.id);
            }
        }
    }
}

impl Asked {
    /// Asks until no frame waits.
    async fn ask(&self, rpc: &coterie_rpc::Client, link: u64) {
        loop {
            let answer = self.question(rpc, link).await;
            let news = answer
                .ok()
                .and_then(|answer| decode::<WaitNews>(&answer).ok());
            let mut state = self.lock();
            match news {
                Some(news) => state.take(news),
                None => {
                    state.doubt(|_| true);
                    state.epoch = None;
                    return;
                }
            }
            if !state
                .frames
                .values()
                .any(|expected| expected.epoch.is_some())
            {
                state.epoch = None;
                return;
            }
        }
    }

    async fn question(&self, rpc: &coterie_rpc::Client, link: u64) -> Result<Bytes, CallError> {
        let patience = Patience {
            deadline: Instant::now() + 2 * SILENCE_MAX,
            silence: SILENCE_MAX,
            progress: None,
        };
        let body = encode(&WaitPoll { link });
        rpc.call_patiently(&self.addr, method::WAIT_NEWS, body, patience)
            .await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it.
        self.state.lock()
    }
}

impl State {
    fn take(&mut self, news: WaitNews) {
        for answer in news.answers {
            let id = (answer.session, answer.seq);
            if let Some(expected) = self.frames.remove(&id) {
                // The client may have left.
                let _ = expected.answer.send(answer.answer);
            }
        }
        if self.epoch != Some(news.epoch) {
            self.epoch = Some(news.epoch);
            self.doubt(|epoch| epoch != news.epoch);
        }
    }

    /// Frames that wait in such an epoch are in doubt.
    fn doubt(&mut self, of_epoch: impl Fn(u64) -> bool) {
        self.frames
            .retain(|_, expected| !expected.epoch.is_some_and(&of_epoch));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use coterie_protocol::waits::WaitAnswer;
    use coterie_rpc::{Client, Handler, Request, Responder, Token};

    use super::*;

    const ADDR: &str = "10.0.0.1:7000";
    const ID: WaitId = (SessionId(1), FrameSeq(2));

    /// A server that answers each question by the news that the test gives it.
    #[derive(Default)]
    struct Server {
        held: Mutex<Vec<Responder>>,
        asked: AtomicU64,
    }

    impl Handler for Server {
        fn handle(&self, request: Request, responder: Responder) {
            assert_eq!(request.method, method::WAIT_NEWS);
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.held.lock().push(responder);
        }
    }

    impl Server {
        async fn tell(&self, epoch: u64, answers: Vec<WaitAnswer>) {
            loop {
                if let Some(responder) = self.held.lock().pop() {
                    return responder.send(encode(&WaitNews { epoch, answers }));
                }
                tokio::task::yield_now().await;
            }
        }
    }

    fn links() -> (Links, Arc<Server>) {
        let rpc = Client::new(Token::new("t"));
        let server = Arc::new(Server::default());
        rpc.register_local(ADDR, Arc::clone(&server) as Arc<dyn Handler>);
        (Links::new(rpc), server)
    }

    fn answer(seq: u64, answer: &'static [u8]) -> WaitAnswer {
        WaitAnswer {
            session: ID.0,
            seq: FrameSeq(seq),
            answer: Some(Bytes::from_static(answer)),
        }
    }

    #[tokio::test]
    async fn an_answer_finds_its_frame_and_questions_end_with_the_last() {
        let (links, server) = links();
        let (one, two) = (
            links.expect(ADDR, ID),
            links.expect(ADDR, (ID.0, FrameSeq(3))),
        );
        assert_eq!(server.asked.load(Ordering::SeqCst), 0, "none waits yet");
        assert!(one.waits(5) && two.waits(5));
        server
            .tell(5, vec![answer(3, b"three"), answer(9, b"unknown")])
            .await;
        assert_eq!(two.await.as_deref(), Some(&b"three"[..]));
        server.tell(5, vec![answer(2, b"two")]).await;
        assert_eq!(one.await.as_deref(), Some(&b"two"[..]));
        let asked = &links.server(ADDR);
        while asked.lock().epoch.is_some() {
            tokio::task::yield_now().await;
        }
        assert!(asked.lock().frames.is_empty());
    }

    #[tokio::test]
    async fn frames_of_another_epoch_and_of_a_failed_question_are_in_doubt() {
        let (links, server) = links();
        let old = links.expect(ADDR, ID);
        assert!(old.waits(5));
        server.tell(6, vec![]).await;
        assert_eq!(old.await, None);
        let new = links.expect(ADDR, ID);
        while !new.waits(6) {
            tokio::task::yield_now().await;
        }
        assert!(
            !links.expect(ADDR, (ID.0, FrameSeq(8))).waits(5),
            "an old word"
        );
        loop {
            if let Some(responder) = server.held.lock().pop() {
                break responder.fail("no");
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(new.await, None);
    }

    #[tokio::test]
    async fn a_frame_that_is_given_up_is_forgotten_and_a_later_attempt_is_not() {
        let (links, _server) = links();
        let first = links.expect(ADDR, ID);
        let second = links.expect(ADDR, ID);
        drop(first);
        assert_eq!(links.server(ADDR).lock().frames.len(), 1);
        drop(second);
        assert!(links.server(ADDR).lock().frames.is_empty());
    }
}
