//! The task that tells a server which names are wanted (`interest`), and the task that follows the
//! catalog.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::catalog::Catalog;
use coterie_protocol::news::LinkId;
use coterie_protocol::pubsub::{Kind, PubSubAnswer, PubSubRequest};
use coterie_protocol::{decode, encode, method};
use tokio::sync::watch;

use super::interest::{Interest, Server};

/// How long a server may take for a call.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Pause after a call that failed.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a server is followed after the last subscription has ended.
const IDLE_MAX: Duration = Duration::from_secs(10);

impl Interest {
    /// Tells a server until it is stopped, or nobody subscribes for a while.
    pub(super) async fn keep(self: Arc<Self>, server: &Server) {
        let stopped = server.stop.clone();
        stopped.run_until_cancelled(self.tell(server)).await;
    }

    async fn tell(&self, server: &Server) {
        let mut epochs = server.following.epochs();
        let mut known = 0;
        loop {
            epochs.borrow_and_update();
            let Some(link) = server.following.id() else {
                if epochs.changed().await.is_err() {
                    return;
                }
                continue;
            };
            if link.epoch != known {
                known = link.epoch;
                self.mark_all(server);
            }
            let batch = self.next(server);
            if !batch.is_empty() {
                if !self.tell_batch(server, link, batch).await {
                    tokio::time::sleep(PAUSE).await;
                }
                continue;
            }
            tokio::select! {
                () = server.wake.notified() => {}
                changed = epochs.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(IDLE_MAX) => if self.ends(server) { return },
            }
        }
    }

    /// Tells a server these counts; returns whether it took them.
    async fn tell_batch(
        &self,
        server: &Server,
        link: LinkId,
        batch: Vec<(Kind, Bytes, u32)>,
    ) -> bool {
        let names = batch.clone();
        let body = encode(&PubSubRequest::Register { link, names });
        let addr = server.following.addr();
        let answer = self.rpc.call(addr, method::PUBSUB, body, TIMEOUT).await;
        match answer.map(|answer| decode(&answer)) {
            Ok(Ok(PubSubAnswer::Ok)) => {
                server.was_told(batch);
                true
            }
            Ok(Ok(PubSubAnswer::TooMany)) => {
                // It never is: the bounds of a proxy are below those of a server.
                tracing::error!(node = %server.node, "a server has no room for subscriptions");
                server.was_not_told(batch);
                false
            }
            _ => {
                server.was_not_told(batch);
                false
            }
        }
    }

    /// Follows the catalog: names are registered at their new homes at once, and leave their old
    /// homes some time later.
    pub(super) async fn follow(self: Arc<Self>, mut catalog: watch::Receiver<Arc<Catalog>>) {
        loop {
            let newest = Arc::clone(&catalog.borrow_and_update());
            if self.homes.follow(&newest, Instant::now()) {
                self.rehome();
            }
            if self.homes.forget(Instant::now()) {
                self.leave_earlier();
            }
            let next = self.homes.next_end();
            let due = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = catalog.changed() => if changed.is_err() {
                    // The source of catalogs is gone: the process ends.
                    return;
                },
                () = due => {}
            }
        }
    }
}
