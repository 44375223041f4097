//! The controller's lease: taken when nobody holds it, renewed while this process lives.
//!
//! It counts from before the request was sent, by the monotonic clock, so it is over here before
//! it is over for meta. When it is not renewed in time, everything that hangs on it is cancelled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use coterie_protocol::meta::{Command, Outcome};
use coterie_types::UnixMillis;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::ports::Meta;

/// A lease that is held.
pub(crate) struct Lease {
    /// Goes with everything that is asked.
    pub(crate) fence: u64,
    /// Cancelled when it is over.
    pub(crate) lost: CancellationToken,
    /// When it is over unless it is renewed.
    until: Instant,
}

/// Asks for the lease until it is given.
pub(crate) async fn acquire<M: Meta>(meta: &Arc<M>, holder: u64, ttl: Duration) -> Lease {
    loop {
        let asked_at = Instant::now();
        match ask(meta, holder, ttl).await {
            Some(fence) => {
                return Lease {
                    fence,
                    lost: CancellationToken::new(),
                    until: asked_at + ttl,
                };
            }
            None => tokio::time::sleep(ttl / 6).await,
        }
    }
}

impl Lease {
    /// Renews the lease until it is lost.
    pub(crate) async fn keep<M: Meta>(mut self, meta: Arc<M>, holder: u64, ttl: Duration) {
        let over = self.lost.clone().drop_guard();
        loop {
            tokio::time::sleep(ttl / 3).await;
            let asked_at = Instant::now();
            let renewing = ask(&meta, holder, ttl);
            match tokio::time::timeout_at(self.until.into(), renewing).await {
                Ok(Some(fence)) if fence == self.fence => self.until = asked_at + ttl,
                Ok(Some(_)) => break,
                Ok(None) if Instant::now() + ttl / 3 < self.until => {}
                Ok(None) | Err(_) => break,
            }
        }
        warn!(fence = self.fence, "the lease is lost");
        drop(over);
    }
}

/// Gives the lease back, so that another need not wait for its end.
pub(crate) async fn release<M: Meta>(meta: &Arc<M>, holder: u64) {
    let released = meta.propose(Command::ReleaseLease { holder });
    if let Err(error) = tokio::time::timeout(Duration::from_secs(2), released).await {
        debug!(%error, "the lease is not given back and runs out");
    }
}

/// The lease's number, if it is this holder's.
async fn ask<M: Meta>(meta: &Arc<M>, holder: u64, ttl: Duration) -> Option<u64> {
    let command = Command::AcquireLease {
        holder,
        ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
        // Meta's leader fills in its own.
        now: UnixMillis(0),
    };
    match meta.propose(command).await {
        Ok(Outcome::Leased { fence }) => Some(fence),
        Ok(outcome) => {
            debug!(?outcome, "the lease is not given");
            None
        }
        Err(error) => {
            debug!(%error, "the lease cannot be asked for");
            None
        }
    }
}
