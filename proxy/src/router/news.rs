//! Asks servers for news (`coterie_protocol::news`), and hands them to their readers.
//!
//! A server is asked for as long as anybody follows it ([`NewsReader::follow`]). A task per server
//! asks over the link of this proxy, and hands on the news, in order. Whenever news may have been
//! missed, all readers are told so before the next epoch begins: whatever was registered at that
//! server is gone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::news::{LinkId, News, NewsAnswer, NewsPoll};
use coterie_protocol::{decode, encode, method};
use coterie_rpc::{CallError, Patience};
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::window::random;
use crate::metrics::Metrics;

/// How long a server may be silent after a question. Servers hold questions for less than half a
/// second.
const SILENCE_MAX: Duration = Duration::from_millis(1500);
/// Pause after a question that failed.
const PAUSE: Duration = Duration::from_millis(50);

/// Reads the news of servers. Called by the task that asked: it must not block.
pub(crate) trait Reader: std::fmt::Debug + Send + Sync {
    /// News of the server at `addr`, in order.
    fn take(&self, addr: &str, news: &[News]);

    /// News of the server at `addr` may have been missed, and it has forgotten what was registered
    /// there in the last epoch.
    fn missed(&self, addr: &str);
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct NewsReader {
    /// The number of this proxy's link.
    pub(crate) link: u64,
    rpc: coterie_rpc::Client,
    runtime: Handle,
    metrics: Arc<Metrics>,
    readers: OnceLock<Vec<Arc<dyn Reader>>>,
    servers: Mutex<HashMap<Box<str>, Arc<Source>>>,
}

/// A server that is asked.
#[derive(Debug)]
struct Source {
    addr: Box<str>,
    /// The epoch of the link there; 0 while there is none.
    epoch: watch::Sender<u64>,
    /// The last question failed.
    failing: AtomicBool,
}

/// Keeps a server being asked.
#[derive(Debug, Clone)]
pub(crate) struct Following {
    source: Arc<Source>,
    link: u64,
}

impl NewsReader {
    /// Reads news on the runtime of the caller. Nothing is handed on before [`Self::begin`].
    pub(crate) fn new(rpc: coterie_rpc::Client, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            link: random(),
            rpc,
            runtime: Handle::current(),
            metrics,
            readers: OnceLock::new(),
            servers: Mutex::default(),
        })
    }

    /// Sets the readers. Called once, before any server is followed.
    pub(crate) fn begin(&self, readers: Vec<Arc<dyn Reader>>) {
        // A second call would be a mistake of `start`; the first readers stay.
        let _ = self.readers.set(readers);
    }

    /// Asks the server at `addr` for as long as the result, or a clone of it, is kept.
    pub(crate) fn follow(self: &Arc<Self>, addr: &str) -> Following {
        let mut servers = self.lock();
        let source = match servers.get(addr) {
            Some(source) => Arc::clone(source),
            None => {
                let source = Arc::new(Source {
                    addr: addr.into(),
                    epoch: watch::Sender::new(0),
                    failing: AtomicBool::new(false),
                });
                servers.insert(addr.into(), Arc::clone(&source));
                let (reader, asked) = (Arc::clone(self), Arc::clone(&source));
                self.runtime.spawn(async move { reader.ask(&asked).await });
                source
            }
        };
        Following {
            source,
            link: self.link,
        }
    }

    /// Asks until nobody follows the server any more.
    async fn ask(&self, source: &Arc<Source>) {
        loop {
            let epoch = *source.epoch.borrow();
            let answer = self.question(&source.addr, epoch).await;
            let answer = answer
                .ok()
                .and_then(|answer| decode::<NewsAnswer>(&answer).ok());
            let news = answer.as_ref().and_then(|answer| read(&answer.news));
            let now = match (&answer, &news) {
                (Some(answer), Some(_)) => answer.epoch,
                // An answer that cannot be read is as good as lost.
                _ => 0,
            };
            if now != epoch && epoch != 0 {
                self.missed(source);
            }
            let was_failing = source.failing.swap(now == 0, Ordering::AcqRel);
            source.epoch.send_if_modified(|known| {
                let is_new = *known != now || was_failing != (now == 0);
                *known = now;
                is_new
            });
            if let Some(news) = news.filter(|news| !news.is_empty()) {
                self.readers()
                    .for_each(|reader| reader.take(&source.addr, &news));
            }
            if self.ends(source) {
                return;
            }
            if now == 0 {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Whether nobody follows the server any more: then it is forgotten.
    fn ends(&self, source: &Arc<Source>) -> bool {
        let mut servers = self.lock();
        // The list and the task hold it. Nobody else can get it while the list is locked.
        let is_over = Arc::strong_count(source) <= 2;
        if is_over {
            servers.remove(&source.addr);
        }
        is_over
    }

    fn missed(&self, source: &Source) {
        self.metrics.news_missed.inc();
        tracing::info!(addr = %source.addr, "news of a server may have been missed");
        self.readers()
            .for_each(|reader| reader.missed(&source.addr));
    }

    fn readers(&self) -> impl Iterator<Item = &Arc<dyn Reader>> {
        self.readers.get().into_iter().flatten()
    }

    async fn question(&self, addr: &str, epoch: u64) -> Result<Bytes, CallError> {
        let patience = Patience {
            deadline: Instant::now() + 2 * SILENCE_MAX,
            silence: SILENCE_MAX,
            progress: None,
        };
        let body = encode(&NewsPoll {
            link: self.link,
            epoch,
        });
        self.rpc
            .call_patiently(addr, method::NEWS, body, patience)
            .await
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Source>>> {
        // Nothing panics while holding it.
        self.servers.lock()
    }
}

/// Decodes news; `None` if any cannot be read.
fn read(items: &[Bytes]) -> Option<Vec<News>> {
    items.iter().map(|item| decode(item).ok()).collect()
}

impl Following {
    /// The link and its epoch there, to register something; `None` while there is no epoch.
    pub(crate) fn id(&self) -> Option<LinkId> {
        let epoch = *self.source.epoch.borrow();
        (epoch != 0).then_some(LinkId {
            link: self.link,
            epoch,
        })
    }

    /// Whether the server did not answer the last question.
    pub(crate) fn is_failing(&self) -> bool {
        self.source.failing.load(Ordering::Acquire)
    }

    /// Tells of each change of the epoch, 0 while there is none, and of the server's failing.
    pub(crate) fn epochs(&self) -> watch::Receiver<u64> {
        self.source.epoch.subscribe()
    }

    /// The server's address.
    pub(crate) fn addr(&self) -> &str {
        &self.source.addr
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use coterie_protocol::pubsub::{Kind, Message};
    use coterie_rpc::{Client, Handler, Request, Responder, Token};

    use super::*;

    const ADDR: &str = "10.0.0.1:7000";

    /// A server that answers each question as the test tells it.
    #[derive(Default)]
    struct Server {
        held: Mutex<Vec<(NewsPoll, Responder)>>,
        asked: AtomicU64,
    }

    impl Handler for Server {
        fn handle(&self, request: Request, responder: Responder) {
            assert_eq!(request.method, method::NEWS);
            let poll = decode(&request.body).unwrap();
            self.held.lock().push((poll, responder));
            self.asked.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Server {
        async fn asked(&self) -> (NewsPoll, Responder) {
            loop {
                if let Some(asked) = self.held.lock().pop() {
                    return asked;
                }
                tokio::task::yield_now().await;
            }
        }

        /// Answers the next question, which must name the epoch `known`.
        async fn tell(&self, known: u64, epoch: u64, texts: &[&'static str]) {
            let (poll, responder) = self.asked().await;
            assert_eq!(poll.epoch, known);
            let news = texts.iter().map(|text| encode(&news(text))).collect();
            responder.send(encode(&NewsAnswer { epoch, news }));
        }
    }

    fn news(text: &'static str) -> News {
        News::Published(Message {
            publisher: 1,
            number: 1,
            kind: Kind::Channel,
            channel: Bytes::from_static(text.as_bytes()),
            payload: Bytes::new(),
        })
    }

    #[derive(Debug, Default)]
    struct Seen(Mutex<Vec<String>>);

    impl Reader for Seen {
        fn take(&self, _: &str, news: &[News]) {
            for news in news {
                let News::Published(message) = news else {
                    panic!("no message");
                };
                let text = String::from_utf8_lossy(&message.channel).into_owned();
                self.0.lock().push(text);
            }
        }

        fn missed(&self, _: &str) {
            self.0.lock().push("missed".to_owned());
        }
    }

    impl Seen {
        async fn become_equal(&self, expected: &[&str]) {
            while self.0.lock().len() < expected.len() {
                tokio::task::yield_now().await;
            }
            assert_eq!(*self.0.lock(), expected);
        }
    }

    fn reader() -> (Arc<NewsReader>, Arc<Server>, Arc<Seen>) {
        let rpc = Client::new(Token::new("t"));
        let server = Arc::new(Server::default());
        rpc.register_local(ADDR, Arc::clone(&server) as Arc<dyn Handler>);
        let telemetry = coterie_telemetry::Metrics::new();
        let reader = NewsReader::new(rpc, Metrics::new(&telemetry));
        let seen = Arc::new(Seen::default());
        reader.begin(vec![Arc::clone(&seen) as Arc<dyn Reader>]);
        (reader, server, seen)
    }

    #[tokio::test]
    async fn news_are_read_in_order_and_questions_end_with_the_last_follower() {
        let (reader, server, seen) = reader();
        let following = reader.follow(ADDR);
        assert_eq!(following.id(), None);
        server.tell(0, 5, &[]).await;
        server.tell(5, 5, &["one", "two"]).await;
        let other = reader.follow(ADDR);
        assert_eq!(other.id().map(|id| id.epoch), Some(5));
        drop(following);
        server.tell(5, 5, &["three"]).await;
        seen.become_equal(&["one", "two", "three"]).await;
        drop(other);
        server.tell(5, 5, &[]).await;
        while !reader.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(server.asked.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn readers_are_told_when_news_may_have_been_missed() {
        let (reader, server, seen) = reader();
        let following = reader.follow(ADDR);
        server.tell(0, 5, &["one"]).await;
        // It was restarted, or could keep no more.
        server.tell(5, 6, &["two"]).await;
        seen.become_equal(&["one", "missed", "two"]).await;
        server.asked().await.1.fail("no");
        let mut epochs = following.epochs();
        epochs.wait_for(|epoch| *epoch == 0).await.unwrap();
        server.tell(0, 7, &["three"]).await;
        seen.become_equal(&["one", "missed", "two", "missed", "three"])
            .await;
        assert_eq!(following.id().map(|id| id.epoch), Some(7));
    }
}
