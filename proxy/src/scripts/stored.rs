//! Scripts as meta keeps them.

use std::time::{SystemTime, UNIX_EPOCH};

use coterie_protocol::catalog::Catalog;
use coterie_protocol::decode;
use coterie_protocol::objects::ObjectKind;
use coterie_protocol::scripts::StoredScript;

/// The digits of a SHA1.
pub(super) const SHA1_LEN: usize = 40;

/// A script of the catalog. Values that no version has written are none.
pub(super) fn stored(catalog: &Catalog, sha1: &[u8]) -> Option<StoredScript> {
    let value = catalog.object(ObjectKind::Script, sha1)?;
    decode(value).ok()
}

/// The time, in milliseconds since 1970.
pub(super) fn now_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}
