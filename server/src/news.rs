//! What this server tells proxies without being asked for it (`coterie_protocol::news`): the links
//! over which they ask for news, and the news that each has not fetched yet.
//!
//! A question is held for a fraction of a second while there are no news. A link ends when its
//! proxy asks no more, and when it fetches so slowly that too much would be kept; then its proxy
//! finds another epoch, and registers anew what it wants. Whoever keeps a link for later checks
//! [`NewsLink::is_over`], and forgets what was registered for it.
//!
//! Bounded: the number of links, and the bytes and number of news kept for each.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::news::{LinkId, News, NewsAnswer, NewsPoll};
use coterie_protocol::{decode, encode};
use coterie_rpc::Responder;
use parking_lot::{Mutex, MutexGuard};

/// How long a question is held while there are no news.
const HELD: Duration = Duration::from_millis(400);
/// How long a link may be without a question.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// Links, at most.
const LINKS_MAX: usize = 4096;
/// Bytes of news in an answer. The last may exceed it.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Bytes of news kept for a link, and the number of news.
const KEPT_BYTES_MAX: usize = 32 << 20;
const KEPT_MAX: usize = 256 << 10;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct NewsLinks {
    links: Mutex<BTreeMap<u64, Arc<NewsLink>>>,
}

/// A link in an epoch.
#[derive(Debug)]
pub(crate) struct NewsLink {
    pub(crate) id: LinkId,
    is_over: AtomicBool,
    mail: Mutex<Mail>,
}

#[derive(Debug)]
struct Mail {
    news: VecDeque<Bytes>,
    bytes: usize,
    /// The question that is held.
    question: Option<Responder>,
    /// How many questions came.
    asked: u64,
    asked_at: Instant,
}

/// News encoded once, for any number of links.
#[derive(Debug, Clone)]
pub(crate) struct Item(Bytes);

impl Item {
    pub(crate) fn new(news: &News) -> Self {
        Self(encode(news))
    }
}

impl NewsLinks {
    /// The link, if it still is in this epoch.
    pub(crate) fn get(&self, id: LinkId) -> Option<Arc<NewsLink>> {
        let links = self.lock();
        let link = links.get(&id.link)?;
        (link.id == id && !link.is_over()).then(|| Arc::clone(link))
    }

    /// The link of this number, in whatever epoch it is.
    pub(crate) fn now(&self, number: u64) -> Option<Arc<NewsLink>> {
        let links = self.lock();
        let link = links.get(&number)?;
        (!link.is_over()).then(|| Arc::clone(link))
    }

    /// Takes a proxy's question.
    pub(crate) fn handle(&self, body: &[u8], responder: Responder) {
        let poll: NewsPoll = match decode(body) {
            Ok(poll) => poll,
            Err(error) => return responder.fail(&error.to_string()),
        };
        let id = LinkId {
            link: poll.link,
            epoch: poll.epoch,
        };
        let Some(link) = self.get(id) else {
            return self.begin(poll.link, responder);
        };
        if let Some(asked) = link.ask(responder) {
            tokio::spawn(async move {
                tokio::time::sleep(HELD).await;
                link.answer_question(asked);
            });
        }
    }

    /// Begins an epoch of a link, and answers with it at once.
    fn begin(&self, number: u64, responder: Responder) {
        let mut links = self.lock();
        if let Some(link) = links.remove(&number) {
            link.end();
        }
        links.retain(|_, link| !link.is_over());
        if links.len() >= LINKS_MAX {
            return responder.fail("too many links of proxies");
        }
        let link = Arc::new(NewsLink::new(LinkId {
            link: number,
            epoch: new_epoch(),
        }));
        let answer = NewsAnswer {
            epoch: link.id.epoch,
            news: Vec::new(),
        };
        links.insert(number, link);
        drop(links);
        responder.send(encode(&answer));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<NewsLink>>> {
        // Nothing panics while holding it.
        self.links.lock()
    }
}

/// Random, so that a restarted server has other epochs. Without a source of chance, numbers tell
/// epochs apart. Never 0.
fn new_epoch() -> u64 {
    static EPOCHS: AtomicU64 = AtomicU64::new(1);
    let count = || EPOCHS.fetch_add(1, Ordering::Relaxed);
    getrandom::u64().unwrap_or_else(|_| count()).max(1)
}

impl NewsLink {
    fn new(id: LinkId) -> Self {
        Self {
            id,
            is_over: AtomicBool::new(false),
            mail: Mutex::new(Mail {
                news: VecDeque::new(),
                bytes: 0,
                question: None,
                asked: 0,
                asked_at: Instant::now(),
            }),
        }
    }

    /// Tells its proxy this, behind everything that was told before. Returns whether the link still
    /// holds; if not, all that was registered for it is to be forgotten.
    pub(crate) fn tell(&self, item: &Item) -> bool {
        if self.is_over() {
            return false;
        }
        let mut mail = self.mail();
        mail.bytes += item.0.len();
        mail.news.push_back(item.0.clone());
        if let Some(question) = mail.question.take() {
            self.send(&mut mail, question);
            return true;
        }
        if mail.bytes <= KEPT_BYTES_MAX && mail.news.len() <= KEPT_MAX {
            return true;
        }
        tracing::warn!(
            link = self.id.link,
            bytes = mail.bytes,
            "a proxy does not fetch its news: it has to begin anew"
        );
        drop(mail);
        self.end();
        false
    }

    /// Whether the link has ended. It stays so.
    pub(crate) fn is_over(&self) -> bool {
        if self.is_over.load(Ordering::Acquire) {
            return true;
        }
        let is_gone = {
            let mail = self.mail();
            match &mail.question {
                Some(question) => question.is_abandoned(),
                None => mail.asked_at.elapsed() > SILENCE_MAX,
            }
        };
        if is_gone {
            self.end();
        }
        is_gone
    }

    /// Ends the link. Its news are dropped.
    fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        let mut mail = self.mail();
        mail.news = VecDeque::new();
        mail.bytes = 0;
        mail.question = None;
    }

    /// Answers a question, or holds it: then returns its number.
    fn ask(&self, question: Responder) -> Option<u64> {
        let mut mail = self.mail();
        mail.asked += 1;
        mail.asked_at = Instant::now();
        if let Some(earlier) = mail.question.take() {
            self.send(&mut mail, earlier);
        }
        if !mail.news.is_empty() {
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
        let mut news = Vec::new();
        while bytes < ANSWER_BYTES_MAX
            && let Some(item) = mail.news.pop_front()
        {
            bytes += item.len();
            news.push(item);
        }
        mail.bytes -= bytes;
        let epoch = self.id.epoch;
        question.send(encode(&NewsAnswer { epoch, news }));
    }

    fn mail(&self) -> MutexGuard<'_, Mail> {
        // Nothing panics while holding it.
        self.mail.lock()
    }
}

#[cfg(test)]
mod tests {
    use coterie_protocol::method;
    use coterie_protocol::pubsub::{Kind, Message};
    use coterie_rpc::{CallError, Client, Handler, Request, Token};

    use super::*;

    const ADDR: &str = "10.0.0.1:7000";

    struct Calls(Arc<NewsLinks>);

    impl Handler for Calls {
        fn handle(&self, request: Request, responder: Responder) {
            assert_eq!(request.method, method::NEWS);
            self.0.handle(&request.body, responder);
        }
    }

    fn links() -> (Arc<NewsLinks>, Client) {
        let links = Arc::new(NewsLinks::default());
        let rpc = Client::new(Token::new("t"));
        let calls = Calls(Arc::clone(&links));
        rpc.register_local(ADDR, Arc::new(calls) as Arc<dyn Handler>);
        (links, rpc)
    }

    async fn ask(rpc: &Client, epoch: u64) -> Result<NewsAnswer, CallError> {
        let body = encode(&NewsPoll { link: 7, epoch });
        let answer = rpc.call(ADDR, method::NEWS, body, Duration::from_secs(10));
        Ok(decode(&answer.await?).unwrap())
    }

    fn item(text: &str, bytes: usize) -> Item {
        Item::new(&News::Published(Message {
            publisher: 1,
            number: 1,
            kind: Kind::Channel,
            channel: Bytes::copy_from_slice(text.as_bytes()),
            payload: vec![0; bytes].into(),
        }))
    }

    #[tokio::test]
    async fn news_come_in_order_and_a_question_is_held_until_there_are_some() {
        let (links, rpc) = links();
        let epoch = ask(&rpc, 0).await.unwrap().epoch;
        let link = links.get(LinkId { link: 7, epoch }).unwrap();
        let [one, two, three] = ["one", "two", "three"].map(|text| item(text, 0));
        assert!(link.tell(&one) && link.tell(&two));
        let answer = ask(&rpc, epoch).await.unwrap();
        assert_eq!((answer.epoch, answer.news), (epoch, vec![one.0, two.0]));
        let asking = tokio::spawn({
            let rpc = rpc.clone();
            async move { ask(&rpc, epoch).await }
        });
        while link.mail().question.is_none() {
            tokio::task::yield_now().await;
        }
        assert!(link.tell(&three));
        assert_eq!(asking.await.unwrap().unwrap().news, [three.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_without_news_is_answered_after_a_while() {
        let (_links, rpc) = links();
        let epoch = ask(&rpc, 0).await.unwrap().epoch;
        let answer = ask(&rpc, epoch).await.unwrap();
        assert_eq!((answer.epoch, answer.news.len()), (epoch, 0));
    }

    #[tokio::test]
    async fn a_lost_answer_begins_another_epoch() {
        let (links, rpc) = links();
        let epoch = ask(&rpc, 0).await.unwrap().epoch;
        let link = links.get(LinkId { link: 7, epoch }).unwrap();
        assert!(link.tell(&item("lost", 0)));
        let answer = ask(&rpc, 0).await.unwrap();
        assert!(answer.epoch != epoch && answer.news.is_empty());
        assert!(link.is_over() && !link.tell(&item("more", 0)));
        assert!(links.get(LinkId { link: 7, epoch }).is_none());
    }

    #[tokio::test]
    async fn a_proxy_that_does_not_fetch_loses_its_link() {
        let (links, rpc) = links();
        let epoch = ask(&rpc, 0).await.unwrap().epoch;
        let link = links.get(LinkId { link: 7, epoch }).unwrap();
        let long = item("long", KEPT_BYTES_MAX / 4);
        let told = (0..8).filter(|_| link.tell(&long)).count();
        assert_eq!(told, 3);
        assert_eq!(link.mail().bytes, 0, "dropped");
        assert!(
            ask(&rpc, epoch).await.unwrap().epoch != epoch,
            "it is told so"
        );
    }

    #[tokio::test]
    async fn a_proxy_that_is_gone_loses_its_link() {
        let (links, rpc) = links();
        let epoch = ask(&rpc, 0).await.unwrap().epoch;
        let link = links.get(LinkId { link: 7, epoch }).unwrap();
        let asking = tokio::spawn(async move { ask(&rpc, epoch).await });
        while link.mail().question.is_none() {
            tokio::task::yield_now().await;
        }
        assert!(!link.is_over());
        asking.abort();
        assert!(asking.await.is_err());
        assert!(link.is_over());
        assert!(!link.tell(&item("late", 0)));
    }

    #[tokio::test]
    async fn answers_are_bounded() {
        let (links, rpc) = links();
        let epoch = ask(&rpc, 0).await.unwrap().epoch;
        let link = links.get(LinkId { link: 7, epoch }).unwrap();
        for _ in 0..5 {
            assert!(link.tell(&item("half", ANSWER_BYTES_MAX / 2)));
        }
        let mut counts = Vec::new();
        while counts.iter().sum::<usize>() < 5 {
            counts.push(ask(&rpc, epoch).await.unwrap().news.len());
        }
        assert_eq!(counts, [2, 2, 1]);
    }
}
