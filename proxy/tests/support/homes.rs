//! Nodes as homes of channels: the links over which proxies ask for news, and who wants which
//! messages, in the same table that servers use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coterie_protocol::catalog::Row;
use coterie_protocol::interests::Interests;
use coterie_protocol::news::{LinkId, News, NewsAnswer, NewsPoll};
use coterie_protocol::pubsub::{Kind, Message, PubSubAnswer, PubSubRequest};
use coterie_protocol::{decode, encode};
use coterie_redis_compat::glob;
use coterie_rpc::Responder;
use coterie_types::{NodeDescriptor, NodeId, NodeState};

use super::cluster::{Cluster, NODES, addr};

/// How long a question is held.
const HELD: Duration = Duration::from_millis(300);

/// A node as a home.
pub(crate) struct NodeHome {
    interests: Interests<u64>,
    links: BTreeMap<u64, Link>,
    epochs: u64,
    /// It fails every call.
    pub(crate) is_down: bool,
    /// The channels of the messages that it was given to publish.
    pub(crate) published: Vec<String>,
}

struct Link {
    epoch: u64,
    news: Vec<Bytes>,
    question: Option<Responder>,
    asked: u64,
}

pub(super) fn node_row(node: u64, state: NodeState) -> Row {
    Row::Node(NodeDescriptor {
        node_id: NodeId(node),
        addr: addr(node),
        zone: String::new(),
        host: String::new(),
        capacity_bytes: 0,
        state,
    })
}

impl NodeHome {
    pub(super) fn of_all() -> BTreeMap<u64, NodeHome> {
        let node = |node| {
            let home = NodeHome {
                interests: Interests::new(glob::matches),
                links: BTreeMap::new(),
                epochs: node * 1000,
                is_down: false,
                published: Vec::new(),
            };
            (node, home)
        };
        (1..=NODES).map(node).collect()
    }

    /// How many clients it knows to subscribe to a channel.
    pub(crate) fn subscribers(&self, channel: &str) -> u64 {
        self.interests
            .subscribers(Kind::Channel, channel.as_bytes())
    }

    /// How many proxies ask for news.
    pub(crate) fn links(&self) -> usize {
        self.links
            .values()
            .filter(|link| link.question.is_some())
            .count()
    }

    /// Forgets everything, as if it were restarted.
    pub(crate) fn restart(&mut self) {
        self.interests = Interests::new(glob::matches);
        self.links.clear();
    }

    fn begin(&mut self, number: u64, responder: Responder) {
        self.epochs += 1;
        let epoch = self.epochs;
        let old = self.links.insert(
            number,
            Link {
                epoch,
                news: Vec::new(),
                question: None,
                asked: 0,
            },
        );
        if let Some(old) = old {
            self.interests.remove(LinkId {
                link: number,
                epoch: old.epoch,
            });
        }
        let news = Vec::new();
        responder.send(encode(&NewsAnswer { epoch, news }));
    }

    /// Publishes a message; returns for how many clients it is.
    fn publish(&mut self, message: &Message) -> u64 {
        let channel = String::from_utf8_lossy(&message.channel).into_owned();
        self.published.push(channel);
        let item = encode(&News::Published(message.clone()));
        let mut receivers = 0;
        for interested in self.interests.of_message(message.kind, &message.channel) {
            receivers += interested.receivers;
            if let Some(link) = self.links.get_mut(&interested.sender) {
                link.news.push(item.clone());
                link.answer();
            }
        }
        receivers
    }

    fn answer(&mut self, request: PubSubRequest) -> PubSubAnswer {
        match request {
            PubSubRequest::Register { link, names } => {
                let known = self.links.get(&link.link);
                if known.is_none_or(|known| known.epoch != link.epoch) {
                    return PubSubAnswer::OtherEpoch;
                }
                assert!(self.interests.register(link, link.link, names));
                PubSubAnswer::Ok
            }
            PubSubRequest::Publish(message) => PubSubAnswer::Count(self.publish(&message)),
            PubSubRequest::Names {
                kind,
                pattern,
                after,
            } => {
                let (names, more) =
                    self.interests
                        .names(kind, pattern.as_deref(), after.as_deref());
                PubSubAnswer::Names { names, more }
            }
            PubSubRequest::Subscribers { kind, names } => {
                let counts = names
                    .iter()
                    .map(|name| self.interests.subscribers(kind, name));
                PubSubAnswer::Counts(counts.collect())
            }
            PubSubRequest::Patterns => PubSubAnswer::Count(self.interests.patterns()),
        }
    }
}

impl Link {
    fn answer(&mut self) {
        if let Some(question) = self.question.take() {
            let answer = NewsAnswer {
                epoch: self.epoch,
                news: std::mem::take(&mut self.news),
            };
            question.send(encode(&answer));
        }
    }
}

impl Cluster {
    /// Changes the state of a node.
    pub(crate) fn set_state(&self, node: u64, state: NodeState) {
        self.publish(vec![node_row(node, state)]);
    }

    /// Reads or changes a node as a home.
    pub(crate) fn home<R>(&self, node: u64, with: impl FnOnce(&mut NodeHome) -> R) -> R {
        with(self.homes.lock().unwrap().get_mut(&node).unwrap())
    }

    /// A proxy asks for news.
    pub(super) fn asks_news(self: &Arc<Self>, node: NodeId, body: &[u8], responder: Responder) {
        let poll: NewsPoll = decode(body).expect("the proxy's questions decode");
        let asked = self.home(node.0, |home| {
            if home.is_down {
                responder.fail("the node is down");
                return None;
            }
            let Some(link) = home.links.get_mut(&poll.link) else {
                home.begin(poll.link, responder);
                return None;
            };
            if link.epoch != poll.epoch {
                home.begin(poll.link, responder);
                return None;
            }
            link.asked += 1;
            link.question = Some(responder);
            if !link.news.is_empty() {
                link.answer();
            }
            Some(link.asked)
        });
        let Some(asked) = asked else {
            return;
        };
        let cluster = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(HELD).await;
            cluster.home(node.0, |home| {
                if let Some(link) = home.links.get_mut(&poll.link)
                    && link.asked == asked
                {
                    link.answer();
                }
            });
        });
    }

    /// A proxy asks a home.
    pub(super) fn asks_home(&self, node: NodeId, body: &[u8], responder: Responder) {
        let request = decode(body).expect("the proxy's requests decode");
        self.home(node.0, |home| {
            if home.is_down {
                return responder.fail("the node is down");
            }
            let answer = home.answer(request);
            responder.send(encode(&answer));
        });
    }
}
