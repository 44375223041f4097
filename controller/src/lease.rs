//! The controller's lease: acquired when it is free, renewed while this process lives.
//!
//! It counts from before the request was sent, by the monotonic clock, so it ends here before it
//! ends for meta. If it is not renewed in time, all work under it is cancelled.
//!
//! Each request for the lease is an entry of meta's log. So a controller that stands by asks once,
//! then only reads the lease. It asks again when the lease is free, or was not renewed for its
//! whole length.

use std::sync::Arc;
use std::time::{Duration, Instant};

use coterie_protocol::catalog;
use coterie_protocol::meta::{Command, Outcome};
use coterie_types::UnixMillis;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::ports::Meta;

/// A lease that this controller holds.
pub(crate) struct Lease {
    /// Its number, which goes with every request.
    pub(crate) fence: u64,
    /// Cancelled when the lease ends.
    pub(crate) lost: CancellationToken,
    /// When the lease ends, unless it is renewed.
    until: Instant,
}

/// Waits until the lease is acquired.
pub(crate) async fn acquire<M: Meta>(meta: &Arc<M>, holder: u64, ttl: Duration) -> Lease {
    let mut watched = Watched::default();
    loop {
        let is_free = match meta.lease().await {
            Ok(lease) => watched.is_free(lease, ttl, Instant::now()),
            Err(error) => {
                debug!(%error, "the lease cannot be read");
                false
            }
        };
        let asked_at = Instant::now();
        if is_free && let Some(fence) = ask(meta, holder, ttl).await {
            return Lease {
                fence,
                lost: CancellationToken::new(),
                until: asked_at + ttl,
            };
        }
        tokio::time::sleep(ttl / 6).await;
    }
}

/// The lease as last seen, and since when it has not changed.
#[derive(Default)]
struct Watched(Option<(catalog::Lease, Instant)>);

impl Watched {
    /// Whether to ask for the lease. Its end is a time of meta's clock, which is unknown here, but
    /// missing renewals can be seen.
    fn is_free(&mut self, lease: catalog::Lease, ttl: Duration, now: Instant) -> bool {
        let since = match self.0 {
            Some((seen, since)) if seen == lease => since,
            _ => now,
        };
        // The first lease seen may have ended already.
        let is_first = self.0.replace((lease, since)).is_none();
        is_first || lease.holder == 0 || now.saturating_duration_since(since) >= ttl
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

/// Releases the lease, so that another controller need not wait for its end.
pub(crate) async fn release<M: Meta>(meta: &Arc<M>, holder: u64) {
    let released = meta.propose(Command::ReleaseLease { holder });
    if let Err(error) = tokio::time::timeout(Duration::from_secs(2), released).await {
        debug!(%error, "the lease is not released, and will expire");
    }
}

/// The lease's number, if this holder has it.
async fn ask<M: Meta>(meta: &Arc<M>, holder: u64, ttl: Duration) -> Option<u64> {
    let command = Command::AcquireLease {
        holder,
        ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
        // Meta's leader fills in its own time.
        now: UnixMillis(0),
    };
    match meta.propose(command).await {
        Ok(Outcome::Leased { fence }) => Some(fence),
        Ok(outcome) => {
            debug!(?outcome, "the lease is not granted");
            None
        }
        Err(error) => {
            debug!(%error, "meta cannot be asked for the lease");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_stands_by_asks_when_nobody_renews() {
        let (ttl, start) = (Duration::from_secs(6), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let lease = |holder, until| catalog::Lease {
            holder,
            fence: 1,
            until: UnixMillis(until),
        };
        let mut watched = Watched::default();
        assert!(watched.is_free(lease(1, 6000), ttl, start), "not asked yet");
        assert!(!watched.is_free(lease(1, 6000), ttl, after(1)));
        assert!(!watched.is_free(lease(1, 8000), ttl, after(5)), "renewed");
        assert!(!watched.is_free(lease(1, 8000), ttl, after(10)));
        assert!(watched.is_free(lease(1, 8000), ttl, after(11)));
        assert!(watched.is_free(lease(0, 0), ttl, after(11)), "given back");
    }
}
