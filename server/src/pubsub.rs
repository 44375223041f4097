//! Publish and subscribe: this server as the home of channels (`coterie_protocol::pubsub`).
//!
//! Keeps the names that proxies registered, and tells each message to the links that want it, once
//! each. All messages pass a single lock on their way to the links, so every proxy gets those of
//! this server in the same order. Nothing is kept: a message is told, or lost with its link.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use coterie_protocol::interests::Interests;
use coterie_protocol::news::{LinkId, News};
use coterie_protocol::pubsub::{
    Kind, MESSAGE_BYTES_MAX, Message, NAME_BYTES_MAX, NAMES_PER_CALL_MAX, PubSubAnswer,
    PubSubRequest,
};
use coterie_protocol::{decode, encode};
use coterie_redis_compat::glob;
use coterie_rpc::Responder;
use parking_lot::{Mutex, MutexGuard};

use crate::news::{Item, NewsLink, NewsLinks};

/// See the module's head.
#[derive(Debug)]
pub(crate) struct PubSub {
    news: Arc<NewsLinks>,
    interests: Mutex<Interests<Arc<NewsLink>>>,
    /// Whether anybody subscribes to anything.
    any: AtomicBool,
}

impl PubSub {
    pub(crate) fn new(news: Arc<NewsLinks>) -> Self {
        Self {
            news,
            interests: Mutex::new(Interests::new(glob::matches)),
            any: AtomicBool::new(false),
        }
    }

    /// Answers a call.
    pub(crate) fn handle(&self, body: &[u8], responder: Responder) {
        let request: PubSubRequest = match decode(body) {
            Ok(request) => request,
            Err(error) => return responder.fail(&error.to_string()),
        };
        match self.answer(request) {
            Ok(answer) => responder.send(encode(&answer)),
            Err(reason) => responder.fail(reason),
        }
    }

    fn answer(&self, request: PubSubRequest) -> Result<PubSubAnswer, &'static str> {
        match request {
            PubSubRequest::Register { link, names } => self.register(link, names),
            PubSubRequest::Publish(message) => {
                check(&message)?;
                Ok(PubSubAnswer::Count(self.deliver(message)))
            }
            PubSubRequest::Names {
                kind,
                pattern,
                after,
            } => {
                let (names, more) = self
                    .fresh()
                    .names(kind, pattern.as_deref(), after.as_deref());
                Ok(PubSubAnswer::Names { names, more })
            }
            PubSubRequest::Subscribers { kind, names } => {
                if names.len() > NAMES_PER_CALL_MAX {
                    return Err("too many names in a call");
                }
                let interests = self.fresh();
                let counts = names.iter().map(|name| interests.subscribers(kind, name));
                Ok(PubSubAnswer::Counts(counts.collect()))
            }
            PubSubRequest::Patterns => Ok(PubSubAnswer::Count(self.fresh().patterns())),
        }
    }

    fn register(
        &self,
        link: LinkId,
        names: Vec<(Kind, Bytes, u32)>,
    ) -> Result<PubSubAnswer, &'static str> {
        if names.len() > NAMES_PER_CALL_MAX {
            return Err("too many names in a call");
        }
        if names.iter().any(|(_, name, _)| name.len() > NAME_BYTES_MAX) {
            return Err("a name is too long");
        }
        let Some(sender) = self.news.get(link) else {
            return Ok(PubSubAnswer::OtherEpoch);
        };
        let mut interests = self.fresh();
        let taken = interests.register(link, sender, names);
        self.any.store(!interests.is_empty(), Ordering::Release);
        Ok(if taken {
            PubSubAnswer::Ok
        } else {
            PubSubAnswer::TooMany
        })
    }

    /// Tells a message to all links that want it; returns for how many clients it is.
    fn deliver(&self, message: Message) -> u64 {
        if !self.any.load(Ordering::Acquire) {
            return 0;
        }
        let (kind, channel) = (message.kind, message.channel.clone());
        let item = Item::new(&News::Published(message));
        let mut interests = self.interests.lock();
        let mut receivers = 0;
        for interested in interests.of_message(kind, &channel) {
            if interested.sender.tell(&item) {
                receivers += interested.receivers;
            } else {
                interests.remove(interested.link);
                self.any.store(!interests.is_empty(), Ordering::Release);
            }
        }
        receivers
    }

    /// Whether anybody subscribes to anything here; costs nothing.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Publishes a message of this server to proxies that registered here: a notification of a
    /// change (`is_of_servers`). Returns for how many clients it is. Messages are told in the order
    /// of the calls.
    pub(crate) fn notify(&self, channel: &[u8], payload: &[u8]) -> u64 {
        if !self.any() {
            return 0;
        }
        self.deliver(Message {
            publisher: 0,
            number: 0,
            kind: Kind::Channel,
            channel: Bytes::copy_from_slice(channel),
            payload: Bytes::copy_from_slice(payload),
        })
    }

    /// The interests, without those of links that are over.
    fn fresh(&self) -> MutexGuard<'_, Interests<Arc<NewsLink>>> {
        // Nothing panics while holding it.
        let mut interests = self.interests.lock();
        interests.retain(|link| !link.is_over());
        self.any.store(!interests.is_empty(), Ordering::Release);
        interests
    }
}

fn check(message: &Message) -> Result<(), &'static str> {
    if message.channel.len() > NAME_BYTES_MAX {
        return Err("the channel's name is too long");
    }
    if message.payload.len() > MESSAGE_BYTES_MAX {
        return Err("the message is too long");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use coterie_protocol::method;
    use coterie_protocol::news::{NewsAnswer, NewsPoll};
    use coterie_rpc::{Client, Handler, Request, Token};

    use super::*;

    const ADDR: &str = "10.0.0.1:7000";

    struct Calls(Arc<NewsLinks>, Arc<PubSub>);

    impl Handler for Calls {
        fn handle(&self, request: Request, responder: Responder) {
            match request.method {
                method::NEWS => self.0.handle(&request.body, responder),
                _ => self.1.handle(&request.body, responder),
            }
        }
    }

    struct Proxy {
        rpc: Client,
        link: LinkId,
    }

    impl Proxy {
        async fn call(&self, method: u16, body: Bytes) -> Bytes {
            let answer = self.rpc.call(ADDR, method, body, Duration::from_secs(10));
            answer.await.unwrap()
        }

        async fn news(&mut self) -> Vec<String> {
            let LinkId { link, epoch } = self.link;
            let body = encode(&NewsPoll { link, epoch });
            let answer = self.call(method::NEWS, body).await;
            let answer: NewsAnswer = decode(&answer).unwrap();
            self.link.epoch = answer.epoch;
            let text = |item: &Bytes| {
                let News::Published(message) = decode(item).unwrap() else {
                    panic!("no message");
                };
                let payload = String::from_utf8_lossy(&message.payload).into_owned();
                format!("{}={payload}", String::from_utf8_lossy(&message.channel))
            };
            answer.news.iter().map(text).collect()
        }

        async fn ask(&self, request: PubSubRequest) -> PubSubAnswer {
            let answer = self.call(method::PUBSUB, encode(&request)).await;
            decode(&answer).unwrap()
        }

        async fn register(&self, kind: Kind, name: &str, count: u32) -> PubSubAnswer {
            let names = vec![(kind, Bytes::copy_from_slice(name.as_bytes()), count)];
            let link = self.link;
            self.ask(PubSubRequest::Register { link, names }).await
        }

        async fn publish(&self, channel: &str, text: &str) -> PubSubAnswer {
            self.ask(PubSubRequest::Publish(message(channel, text)))
                .await
        }
    }

    fn message(channel: &str, text: &str) -> Message {
        Message {
            publisher: 1,
            number: 1,
            kind: Kind::Channel,
            channel: Bytes::copy_from_slice(channel.as_bytes()),
            payload: Bytes::copy_from_slice(text.as_bytes()),
        }
    }

    async fn proxies() -> (Arc<PubSub>, [Proxy; 2]) {
        let news: Arc<NewsLinks> = Arc::default();
        let pubsub = Arc::new(PubSub::new(Arc::clone(&news)));
        let calls = Arc::new(Calls(news, Arc::clone(&pubsub)));
        let rpc = Client::new(Token::new("t"));
        rpc.register_local(ADDR, calls as Arc<dyn Handler>);
        let mut proxies = [1, 2].map(|link| Proxy {
            rpc: rpc.clone(),
            link: LinkId { link, epoch: 0 },
        });
        for proxy in &mut proxies {
            assert!(proxy.news().await.is_empty());
        }
        (pubsub, proxies)
    }

    #[tokio::test]
    async fn a_message_goes_to_the_proxies_that_want_it() {
        let (pubsub, [mut one, mut two]) = proxies().await;
        assert_eq!(one.publish("news", "nobody").await, PubSubAnswer::Count(0));
        assert!(!pubsub.any());
        one.register(Kind::Channel, "news", 3).await;
        two.register(Kind::Pattern, "n*", 1).await;
        assert_eq!(one.publish("news", "first").await, PubSubAnswer::Count(4));
        assert_eq!(two.publish("next", "second").await, PubSubAnswer::Count(1));
        assert_eq!(one.news().await, ["news=first"]);
        assert_eq!(two.news().await, ["news=first", "next=second"]);
        assert_eq!(pubsub.notify(b"news", b"third"), 4);
        assert_eq!(one.news().await, ["news=third"]);
    }

    #[tokio::test]
    async fn questions_about_names_are_answered() {
        let (_, [one, two]) = proxies().await;
        one.register(Kind::Channel, "a", 1).await;
        two.register(Kind::Channel, "a", 2).await;
        two.register(Kind::Channel, "b", 1).await;
        two.register(Kind::Pattern, "x*", 1).await;
        let names = vec![Bytes::from("a"), Bytes::from("none"), Bytes::from("b")];
        let kind = Kind::Channel;
        let counts = one.ask(PubSubRequest::Subscribers { kind, names }).await;
        assert_eq!(counts, PubSubAnswer::Counts(vec![3, 0, 1]));
        assert_eq!(
            one.ask(PubSubRequest::Patterns).await,
            PubSubAnswer::Count(1)
        );
        let ask = PubSubRequest::Names {
            kind,
            pattern: Some(Bytes::from("[bc]")),
            after: None,
        };
        let names = vec![Bytes::from("b")];
        let more = false;
        assert_eq!(one.ask(ask).await, PubSubAnswer::Names { names, more });
    }

    #[tokio::test]
    async fn what_was_registered_ends_with_the_epoch() {
        let (pubsub, [mut one, two]) = proxies().await;
        one.register(Kind::Channel, "a", 1).await;
        one.link.epoch = 0;
        one.news().await;
        assert_eq!(two.publish("a", "lost").await, PubSubAnswer::Count(0));
        let old = Proxy {
            rpc: one.rpc.clone(),
            link: LinkId { link: 1, epoch: 9 },
        };
        let refused = old.register(Kind::Channel, "a", 1).await;
        assert_eq!(refused, PubSubAnswer::OtherEpoch);
        assert_eq!(
            two.ask(PubSubRequest::Patterns).await,
            PubSubAnswer::Count(0)
        );
        assert!(!pubsub.any());
    }

    #[tokio::test]
    async fn names_and_messages_are_bounded() {
        let (_, [one, _]) = proxies().await;
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for request in [
            PubSubRequest::Publish(message(&long, "")),
            PubSubRequest::Publish(message("a", &"x".repeat(MESSAGE_BYTES_MAX + 1))),
            PubSubRequest::Register {
                link: one.link,
                names: vec![(Kind::Channel, Bytes::from(long.clone()), 1)],
            },
        ] {
            let body = encode(&request);
            let call = one
                .rpc
                .call(ADDR, method::PUBSUB, body, Duration::from_secs(10));
            let refused = call.await.unwrap_err().to_string();
            assert!(refused.contains("too long"), "{refused}");
        }
    }
}
