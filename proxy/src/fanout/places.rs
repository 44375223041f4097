//! The keys at which pages ended that a code cannot name (`cursor`), under their numbers.
//!
//! This proxy keeps what its own pages need (`coterie_protocol::places`), and before a page is
//! answered servers have copies (`copies`), so that another proxy finds the key, also when this one
//! is gone. When neither this proxy nor a server has it any more, the scan goes on from what the
//! number says by itself: keys come again, and none is left out.
//!
//! A number has 36 bits of chance: a lost place is taken for another one about once in a million
//! times that a full table is asked for one. Two places of one number never live side by side:
//! proxy and servers refuse the second, which then gets another number.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use coterie_protocol::places::{Place, PlaceId, Places};
use coterie_redis_compat::CommandError;
use coterie_types::TableId;

use super::Calls;
use super::copies::Copies;
use super::cursor::{CODER, Cursor, floor, number_of};
use crate::metrics::Metrics;
use crate::router::Router;

/// Numbers tried for a place.
const ATTEMPTS: u32 = 4;
/// How often servers are asked whether they still have their copies.
const TICK: Duration = Duration::from_secs(1);

/// See the module's head.
#[derive(Debug)]
pub(crate) struct ScanPlaces {
    kept: Mutex<Places>,
    /// The source of chance: an end of a page has the same number each time.
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

    /// Keeps `key`, at which a page that began at `from` has ended. Returns its number.
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

    /// The key where a scan goes on; `None` if there is none.
    pub(crate) async fn find(&self, calls: &Calls, table: TableId, number: u64) -> Option<Bytes> {
        let id = PlaceId { table, number };
        let kept = self.lock().find(id);
        let key = match kept {
            Some(key) => Some(key),
            None => self.copies.find(&calls.router, id, calls.deadline).await,
        };
        // Another key has come by this number in a way that cannot be: it is not taken.
        if let Some(key) = key.filter(|key| floor(CODER.code(key)) == floor(number)) {
            return Some(key);
        }
        self.metrics.scan_places_lost.inc();
        CODER.start_of(floor(number))
    }

    /// Gives servers their copies again when they have lost them, for as long as the proxy runs.
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
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
