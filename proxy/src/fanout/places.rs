//! The places of scans: keys at which pages ended and which no code can name (`cursor`), by number.
//!
//! This proxy keeps the places of its own pages (`coterie_protocol::places`), and before a page is
//! answered servers have copies (`copies`). So another proxy finds the key even when this proxy is
//! gone. When neither this proxy nor a server has the key any more, the scan continues from the
//! number alone: keys come again, and none is left out.
//!
//! A number has 36 random bits: when a full table is asked for a lost place, it returns another
//! place about once in a million times. Two places with the same number never exist together: proxy
//! and servers refuse the second, which then gets another number.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coterie_protocol::places::{Place, PlaceId, Places};
use coterie_redis_compat::CommandError;
use coterie_types::TableId;
use parking_lot::{Mutex, MutexGuard};

use super::Calls;
use super::copies::Copies;
use super::cursor::{CODER, Cursor, floor, number_of};
use crate::metrics::Metrics;
use crate::router::Router;

/// Most numbers tried for a place.
const ATTEMPTS: u32 = 4;
/// How often servers are asked whether they still have their copies.
const TICK: Duration = Duration::from_secs(1);

/// See the module's head.
#[derive(Debug)]
pub(crate) struct ScanPlaces {
    kept: Mutex<Places>,
    /// The source of random bits: the same end of a page gets the same number each time.
    hasher: RandomState,
    copies: Copies,
    metrics: Arc<Metrics>,
}

impl ScanPlaces {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            kept: Mutex::default(),
            hasher: RandomState::new(),
            copies: Copies::default(),
            metrics,
        }
    }

    /// Keeps `key`, before which a page that began at `from` has ended. Returns its number.
    pub(crate) async fn keep(
        &self,
        calls: &Calls,
        table: TableId,
        key: &Bytes,
        from: Cursor,
    ) -> Result<u64, CommandError> {
        let passed = match from {
            Cursor::Kept(number) => Some(PlaceId { table, number }),
            Cursor::Start | Cursor::Code(_) => None,
        };
        for attempt in 0..ATTEMPTS {
            let chance = self.hasher.hash_one((table, key, attempt));
            let number = number_of(key, chance);
            let id = PlaceId { table, number };
            let place = Place {
                id,
                key: key.clone(),
            };
            if !self.lock().keep(&place) {
                continue;
            }
            if self.copies.send(&calls.router, place, passed).await {
                if let Some(passed) = passed {
                    self.lock().pass(passed);
                }
                return Ok(number);
            }
            self.lock().remove(id);
        }
        let reason = "the command was not applied: no number is free for the cursor";
        Err(CommandError::TryAgain(reason.to_owned()))
    }

    /// The key where a scan continues; `None` if there is none.
    pub(crate) async fn find(&self, calls: &Calls, table: TableId, number: u64) -> Option<Bytes> {
        let id = PlaceId { table, number };
        let kept = self.lock().find(id);
        let key = match kept {
            Some(key) => Some(key),
            None => self.copies.find(&calls.router, id, calls.deadline).await,
        };
        // A key whose code does not fit the number cannot be the kept key: it is not used.
        if let Some(key) = key.filter(|key| floor(CODER.code(key)) == floor(number)) {
            return Some(key);
        }
        self.metrics.scan_places_lost.inc();
        CODER.start_of(floor(number))
    }

    /// Sends servers that have lost their copies all of them again; runs as long as the proxy.
    pub(crate) async fn look_after(self: Arc<Self>, router: Arc<Router>) {
        loop {
            tokio::time::sleep(TICK).await;
            let places = || self.lock().iter().collect();
            if !self.lock().is_empty() {
                self.copies.renew(&router, &places).await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // Nothing panics while holding it.
        self.kept.lock()
    }
}
