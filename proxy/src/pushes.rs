//! Messages that a client did not ask for: published messages, invalidations of its cache.
//!
//! A [`Push`] is encoded once, in both protocols, and shared by all clients that get it. Each
//! client has a queue of them ([`Pushes`]); its connection writes them between replies, never
//! inside a reply (`conn::pushing`).
//!
//! Bounds: a client whose queue exceeds `client-output-buffer-limit pubsub` is closed, and nobody
//! else. Messages take their memory from that of long replies (`client_memory`), each once however
//! many clients wait for it. When none is left, the client with the longest queue is closed
//! (`Clients::push_of`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use coterie_budget::{Budget, Permit};
use coterie_redis_compat::{Reply, Resp};
use parking_lot::{Mutex, MutexGuard};

use crate::metrics::Metrics;
use crate::settings::Settings;

/// Bytes that a place in a queue takes, besides the message.
const PLACE_BYTES: usize = size_of::<Arc<Push>>();
/// A queue that grew beyond this many places gives its memory back when it is empty.
const KEPT_PLACES: usize = 64;

/// When a message may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Between any two replies.
    Next,
    /// Behind the replies to all commands that were in flight when the connection first saw it.
    BehindReplies,
}

/// A message; see the module's head.
#[derive(Debug)]
pub(crate) struct Push {
    resp2: Bytes,
    resp3: Bytes,
    pub(crate) turn: Turn,
    /// Its memory, until the last client has it.
    _held: Permit,
}

/// A message's bytes in both protocols.
#[derive(Debug, Clone)]
pub(crate) struct Forms {
    resp2: Bytes,
    resp3: Bytes,
}

/// The bounds of all queues.
#[derive(Debug)]
pub(crate) struct PushRules {
    pub(crate) settings: Arc<Settings>,
    /// Memory of all messages that wait.
    pub(crate) budget: Budget,
    pub(crate) metrics: Arc<Metrics>,
}

/// The messages that wait for a client.
#[derive(Debug)]
pub(crate) struct Pushes {
    rules: Arc<PushRules>,
    /// Their number.
    len: AtomicUsize,
    /// Their bytes, as if the client were the only one to get them.
    bytes: AtomicUsize,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    pushes: VecDeque<Arc<Push>>,
    bytes: usize,
    /// Since when it has been longer than the soft limit.
    over_soft_since: Option<Instant>,
    /// The client is being closed: it gets no more.
    closed: bool,
}

/// The effect of adding a message to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is the first: the connection is to be woken.
    First,
    /// The connection knows of others before it.
    More,
    /// The client is to be closed.
    Overflow,
}

impl Forms {
    /// The same reply in both protocols: a [`Reply::Push`] is an array in RESP2.
    pub(crate) fn of(reply: &Reply) -> Self {
        Self::of_each(reply, reply)
    }

    /// A reply for each protocol.
    pub(crate) fn of_each(resp2: &Reply, resp3: &Reply) -> Self {
        let encoded = |reply: &Reply, resp| {
            let mut bytes = BytesMut::new();
            reply.encode(resp, &mut bytes);
            bytes.freeze()
        };
        Self {
            resp2: encoded(resp2, Resp::V2),
            resp3: encoded(resp3, Resp::V3),
        }
    }

    /// Lines that are the same in both protocols.
    pub(crate) fn of_lines(lines: Bytes) -> Self {
        Self {
            resp2: lines.clone(),
            resp3: lines,
        }
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.resp2.len() + self.resp3.len() + size_of::<Push>()
    }
}

impl Push {
    /// A message whose memory is `held`.
    pub(crate) fn new(forms: Forms, turn: Turn, held: Permit) -> Arc<Self> {
        Arc::new(Self {
            resp2: forms.resp2,
            resp3: forms.resp3,
            turn,
            _held: held,
        })
    }

    /// Its bytes in a protocol.
    pub(crate) fn encoded(&self, resp: Resp) -> Bytes {
        match resp {
            Resp::V2 => self.resp2.clone(),
            Resp::V3 => self.resp3.clone(),
        }
    }

    /// The bytes that it counts for in a client's queue.
    fn weight(&self) -> usize {
        self.resp2.len() + PLACE_BYTES
    }
}

impl Pushes {
    pub(crate) fn new(rules: Arc<PushRules>) -> Self {
        Self {
            rules,
            len: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            queue: Mutex::default(),
        }
    }

    /// How many messages wait.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Their bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Adds a message.
    pub(crate) fn add(&self, push: &Arc<Push>) -> Added {
        let mut queue = self.lock();
        if queue.closed {
            return Added::More;
        }
        queue.bytes += push.weight();
        queue.pushes.push_back(Arc::clone(push));
        self.publish(&queue);
        let hard = self.limits().hard.load(Ordering::Relaxed);
        let is_over_hard = hard > 0 && queue.bytes as u64 > hard;
        if is_over_hard || self.is_over_soft(&mut queue) {
            return Added::Overflow;
        }
        if queue.pushes.len() == 1 {
            Added::First
        } else {
            Added::More
        }
    }

    /// Takes messages from the front, for as long as `take` takes them; returns whether it took
    /// any.
    pub(crate) fn take(&self, mut take: impl FnMut(&Push) -> bool) -> bool {
        let mut queue = self.lock();
        let before = queue.pushes.len();
        while let Some(push) = queue.pushes.front()
            && take(push)
        {
            queue.bytes -= push.weight();
            queue.pushes.pop_front();
        }
        if queue.pushes.is_empty() && queue.pushes.capacity() > KEPT_PLACES {
            queue.pushes = VecDeque::new();
        }
        self.is_over_soft(&mut queue);
        self.publish(&queue);
        queue.pushes.len() < before
    }

    /// Drops everything, and takes no more: the client is being closed.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        *queue = Queue {
            closed: true,
            ..Queue::default()
        };
        self.publish(&queue);
    }

    /// Whether the queue has been longer than the soft limit for too long.
    pub(crate) fn exceeds(&self) -> bool {
        self.is_over_soft(&mut self.lock())
    }

    /// Notes whether the queue is longer than the soft limit; returns whether that has lasted for
    /// too long.
    fn is_over_soft(&self, queue: &mut Queue) -> bool {
        let limits = self.limits();
        let soft = limits.soft.load(Ordering::Relaxed);
        if soft == 0 || queue.bytes as u64 <= soft {
            queue.over_soft_since = None;
            return false;
        }
        let since = *queue.over_soft_since.get_or_insert_with(Instant::now);
        let lasts = Duration::from_secs(limits.soft_seconds.load(Ordering::Relaxed));
        since.elapsed() > lasts
    }

    fn limits(&self) -> &crate::settings::OutputLimit {
        &self.rules.settings.output_limits.pubsub
    }

    /// Counts a client that is closed as its queue is too long.
    pub(crate) fn count_closed(&self) {
        self.rules.metrics.push_limit_disconnections.inc();
    }

    fn publish(&self, queue: &Queue) {
        self.bytes.store(queue.bytes, Ordering::Relaxed);
        self.len.store(queue.pushes.len(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while holding it.
        self.queue.lock()
    }
}

#[cfg(test)]
impl PushRules {
    /// Rules with so many bytes for all messages.
    pub(crate) fn for_tests(bytes: usize) -> Arc<Self> {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            config: crate::Config,
        }
        let argv = ["x", "--meta", "127.0.0.1:1"];
        let config = <Cli as clap::Parser>::parse_from(argv).config;
        Arc::new(Self {
            settings: Arc::new(Settings::new(&config)),
            budget: Budget::new(bytes),
            metrics: Metrics::new(&coterie_telemetry::Metrics::new()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(hard: u64, soft: u64, seconds: u64) -> Arc<PushRules> {
        let rules = PushRules::for_tests(1 << 20);
        let limits = &rules.settings.output_limits.pubsub;
        limits.hard.store(hard, Ordering::Relaxed);
        limits.soft.store(soft, Ordering::Relaxed);
        limits.soft_seconds.store(seconds, Ordering::Relaxed);
        rules
    }

    fn push(rules: &PushRules, text: &'static str) -> Arc<Push> {
        let forms = Forms::of(&Reply::Push(vec![Reply::text(text)]));
        let held = rules.budget.force(forms.bytes());
        Push::new(forms, Turn::Next, held)
    }

    #[test]
    fn messages_leave_in_order_and_give_their_memory_back() {
        let rules = rules(0, 0, 0);
        let pushes = [(); 2].map(|()| Pushes::new(Arc::clone(&rules)));
        let (one, two) = (push(&rules, "one"), push(&rules, "two"));
        for queue in &pushes {
            assert_eq!(
                (queue.add(&one), queue.add(&two)),
                (Added::First, Added::More)
            );
        }
        drop((one, two));
        let held = rules.budget.used();
        assert!(held > 0);
        for queue in &pushes {
            assert_eq!(rules.budget.used(), held, "shared");
            let mut taken = Vec::new();
            queue.take(|push| {
                taken.extend_from_slice(&push.encoded(Resp::V3));
                true
            });
            assert_eq!(taken, b">1\r\n$3\r\none\r\n>1\r\n$3\r\ntwo\r\n");
            assert_eq!((queue.len(), queue.bytes()), (0, 0));
        }
        assert_eq!(rules.budget.used(), 0);
    }

    #[test]
    fn a_message_that_is_not_taken_stays_first() {
        let rules = rules(0, 0, 0);
        let queue = Pushes::new(Arc::clone(&rules));
        queue.add(&push(&rules, "one"));
        queue.add(&push(&rules, "two"));
        assert!(!queue.take(|_| false));
        let mut seen = 0;
        assert!(queue.take(|_| {
            seen += 1;
            seen == 1
        }));
        assert_eq!((seen, queue.len()), (2, 1));
        assert_eq!(queue.add(&push(&rules, "three")), Added::More);
    }

    #[test]
    fn a_queue_beyond_its_limits_overflows() {
        let rules = rules(100, 0, 0);
        let queue = Pushes::new(Arc::clone(&rules));
        let long = push(
            &rules,
            "a message of so many bytes that two are too many for the limit",
        );
        assert_eq!(queue.add(&long), Added::First);
        assert_eq!(queue.add(&long), Added::Overflow);
        queue.close();
        assert_eq!((queue.len(), queue.add(&long)), (0, Added::More));
        drop(long);
        assert_eq!(rules.budget.used(), 0);
    }

    #[test]
    fn the_soft_limit_gives_time() {
        let rules = rules(0, 10, 3600);
        let queue = Pushes::new(Arc::clone(&rules));
        assert_eq!(queue.add(&push(&rules, "long enough")), Added::First);
        assert!(!queue.exceeds(), "for an hour");
        let limits = &rules.settings.output_limits.pubsub;
        limits.soft_seconds.store(0, Ordering::Relaxed);
        assert!(queue.exceeds());
        queue.take(|_| true);
        assert!(!queue.exceeds());
    }
}
