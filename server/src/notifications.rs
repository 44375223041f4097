//! Keyspace notifications: events of keys, published by the node whose replica leads their group.
//!
//! The classes are a parameter of the whole cluster, an object in meta: every node follows it.
//! While it is empty, or nobody subscribes to anything here, nothing is collected. Events of an
//! entry are published in order once the entry is applied and before its replies leave. As with
//! every message, they are told at most once: some are lost when a leader changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use coterie_protocol::catalog::Catalog;
use coterie_protocol::objects::{NOTIFY_KEYSPACE_EVENTS, ObjectKind};
use coterie_redis_compat::{Classes, KeyEvent};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::pubsub::PubSub;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Notifications {
    classes: AtomicU16,
    pubsub: Arc<PubSub>,
}

impl Notifications {
    pub(crate) fn new(pubsub: Arc<PubSub>) -> Arc<Self> {
        Arc::new(Self {
            classes: AtomicU16::new(Classes::NONE.bits()),
            pubsub,
        })
    }

    /// Follows the parameter until `stop`.
    pub(crate) async fn follow(
        self: Arc<Self>,
        mut catalog: watch::Receiver<Arc<Catalog>>,
        stop: CancellationToken,
    ) {
        loop {
            let newest = Arc::clone(&catalog.borrow_and_update());
            let value = newest.object(ObjectKind::Config, NOTIFY_KEYSPACE_EVENTS);
            let classes = value.and_then(|value| Classes::parse(value));
            let bits = classes.unwrap_or_default().bits();
            self.classes.store(bits, Ordering::Relaxed);
            match stop.run_until_cancelled(catalog.changed()).await {
                Some(Ok(())) => {}
                Some(Err(_)) | None => return,
            }
        }
    }

    /// The classes of events that somebody may want.
    pub(crate) fn wanted(&self) -> Classes {
        let bits = self.classes.load(Ordering::Relaxed);
        if bits == 0 || !self.pubsub.any() {
            return Classes::NONE;
        }
        Classes::of_bits(bits).that_are_told()
    }

    /// Publishes events, in order.
    pub(crate) fn tell(&self, events: Vec<KeyEvent>) {
        let classes = Classes::of_bits(self.classes.load(Ordering::Relaxed));
        for KeyEvent { table, key, name } in events {
            let channel = |kind: &str, of: &[u8]| {
                let mut channel = format!("__{kind}@{table}__:").into_bytes();
                channel.extend_from_slice(of);
                channel
            };
            if classes.has(Classes::KEYSPACE) {
                let channel = channel("keyspace", &key);
                self.pubsub.notify(&channel, name.as_bytes());
            }
            if classes.has(Classes::KEYEVENT) {
                let channel = channel("keyevent", name.as_bytes());
                self.pubsub.notify(&channel, &key);
            }
        }
    }
}
