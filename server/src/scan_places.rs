//! Copies of the scan places that proxies keep (`coterie_protocol::places`). With a copy, a cursor
//! works on another proxy than its maker, even after the maker is gone.
//!
//! In memory only, and bounded: a restarted server has none. The random number of its start tells
//! proxies so, and they send the places they still have.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use coterie_protocol::places::{PLACES_PER_MESSAGE_MAX, PlaceAnswer, PlaceRequest, Places};
use coterie_rpc::Responder;
use parking_lot::{Mutex, MutexGuard};

/// See the module's head.
#[derive(Debug)]
pub(crate) struct ScanPlaces {
    places: Mutex<Places>,
    start: u64,
    /// When the first call came: stores take time to open, and no proxy could send copies before.
    first_call: OnceLock<Instant>,
}

impl Default for ScanPlaces {
    fn default() -> Self {
        // Without random bytes, the time tells starts apart as well.
        let start = getrandom::u64().unwrap_or_else(|_| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            since.map_or(0, |since| since.as_nanos() as u64)
        });
        Self {
            places: Mutex::default(),
            start,
            first_call: OnceLock::new(),
        }
    }
}

impl ScanPlaces {
    /// Answers a proxy's request.
    pub(crate) fn handle(&self, body: &[u8], responder: Responder) {
        match coterie_protocol::decode(body) {
            Ok(request) => responder.send(coterie_protocol::encode(&self.answer(request))),
            Err(error) => responder.fail(&error.to_string()),
        }
    }

    fn answer(&self, request: PlaceRequest) -> PlaceAnswer {
        let up = self.first_call.get_or_init(Instant::now).elapsed();
        let mut answer = PlaceAnswer {
            start: self.start,
            up_ms: u64::try_from(up.as_millis()).unwrap_or(u64::MAX),
            key: None,
            refused: false,
        };
        let mut kept = self.lock();
        match request {
            PlaceRequest::Find(id) => answer.key = kept.find(id),
            PlaceRequest::Keep { places, .. } if places.len() > PLACES_PER_MESSAGE_MAX => {
                answer.refused = true;
            }
            PlaceRequest::Keep { places, passed } => {
                for place in &places {
                    answer.refused |= !kept.keep(place);
                }
                if let Some(passed) = passed {
                    kept.pass(passed);
                }
            }
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // Nothing panics while holding it.
        self.places.lock()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use coterie_protocol::places::{Place, PlaceId};
    use coterie_types::TableId;

    use super::*;

    fn place(number: u64, key: &'static str) -> Place {
        let table = TableId(0);
        Place {
            id: PlaceId { table, number },
            key: Bytes::from_static(key.as_bytes()),
        }
    }

    fn keep(places: Vec<Place>) -> PlaceRequest {
        PlaceRequest::Keep {
            places,
            passed: None,
        }
    }

    #[test]
    fn copies_are_found_until_the_server_restarts() {
        let server = ScanPlaces::default();
        assert!(
            !server
                .answer(keep(vec![place(1, "a"), place(2, "b")]))
                .refused
        );
        let found = server.answer(PlaceRequest::Find(place(2, "").id));
        assert_eq!(found.key.as_deref(), Some(&b"b"[..]));
        assert!(server.answer(keep(vec![place(1, "other")])).refused);
        let restarted = ScanPlaces::default();
        let answer = restarted.answer(PlaceRequest::Find(place(2, "").id));
        assert_eq!(answer.key, None);
        assert_ne!(answer.start, found.start);
    }

    #[test]
    fn a_message_of_too_many_places_is_refused() {
        let server = ScanPlaces::default();
        let many = (0..=PLACES_PER_MESSAGE_MAX as u64).map(|number| place(number, "k"));
        assert!(server.answer(keep(many.collect())).refused);
        assert!(server.lock().is_empty());
    }
}
