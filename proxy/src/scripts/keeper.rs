//! Writes scripts that came by EVAL to meta, beside the clients' work, so that other proxies know
//! them. Few at a time, and only if they are short: a stream of scripts that are all different must
//! not be a load on meta. A script that does not get its turn is known at its own proxy alone.
//!
//! Scripts of EVAL make room for newer scripts; those of SCRIPT LOAD stay.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coterie_meta_client::MetaClient;
use coterie_protocol::catalog::Catalog;
use coterie_protocol::meta::Command;
use coterie_protocol::objects::{KIND_BYTES_MAX, ObjectChange, ObjectKind, ObjectName};
use coterie_protocol::scripts::StoredScript;
use coterie_protocol::{decode, encode};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::stored::{SHA1_LEN, now_millis};

/// Scripts that wait for their turn, at most.
const QUEUE_MAX: usize = 64;
/// Bytes of a script that is kept for others, at most.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Scripts that are written together.
const TOGETHER: usize = 16;
/// Pause between two writes.
const PAUSE: Duration = Duration::from_millis(250);
const TIMEOUT: Duration = Duration::from_secs(5);
/// Scripts of EVAL that meta keeps, at most, and their bytes.
const KEPT_MAX: usize = 500;
const KEPT_BYTES_MAX: usize = 1 << 20;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Keeper(mpsc::Sender<(String, Bytes)>);

impl Keeper {
    pub(super) fn start(
        meta: MetaClient,
        catalog: watch::Receiver<Arc<Catalog>>,
        stop: CancellationToken,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(async move {
            stop.run_until_cancelled(run(meta, catalog, receiver)).await;
        });
        Self(sender)
    }

    /// Keeps a script, if there is time.
    pub(super) fn keep(&self, sha1: String, body: &Bytes) {
        if body.len() <= BODY_BYTES_MAX {
            // A full queue drops it.
            let _ = self.0.try_send((sha1, Bytes::copy_from_slice(body)));
        }
    }
}

async fn run(
    meta: MetaClient,
    catalog: watch::Receiver<Arc<Catalog>>,
    mut scripts: mpsc::Receiver<(String, Bytes)>,
) {
    let mut together = Vec::new();
    while scripts.recv_many(&mut together, TOGETHER).await > 0 {
        let newest = Arc::clone(&catalog.borrow());
        let is_new = |sha1: &str| {
            let known = newest.object(ObjectKind::Script, sha1.as_bytes());
            known.is_none()
        };
        let scripts = together.drain(..).filter(|(sha1, _)| is_new(sha1));
        let puts = scripts.map(|(sha1, body)| {
            let value = encode(&StoredScript {
                is_loaded: false,
                at: now_millis(),
                body,
            });
            (ObjectName::new(ObjectKind::Script, sha1), value)
        });
        let puts: Vec<_> = puts.collect();
        if puts.is_empty() {
            continue;
        }
        let bytes = puts.iter().map(|(_, value)| value.len()).sum();
        let mut changes = evictions(&newest, bytes);
        let puts = puts.into_iter();
        changes.extend(puts.map(|(name, value)| ObjectChange::Put(name, value)));
        let expected = Vec::new();
        let command = Command::PutObjects { expected, changes };
        if let Err(error) = meta.propose(command, TIMEOUT).await {
            tracing::debug!(%error, "scripts of EVAL were not kept for other proxies");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The oldest scripts of EVAL, as many as must go so that scripts of so many bytes can be stored.
pub(super) fn evictions(catalog: &Catalog, bytes: usize) -> Vec<ObjectChange> {
    let (mut all_bytes, mut kept) = (0, Vec::new());
    for (name, value) in catalog.objects_of(ObjectKind::Script) {
        all_bytes += name.len() + value.len();
        let script = decode::<StoredScript>(value).ok();
        if let Some(script) = script.filter(|script| !script.is_loaded) {
            kept.push((script.at, name, name.len() + value.len()));
        }
    }
    let mut kept_bytes: usize = kept.iter().map(|(.., bytes)| bytes).sum();
    kept.sort_unstable();
    let (mut evictions, mut left) = (Vec::new(), kept.len());
    let more = bytes + TOGETHER * SHA1_LEN;
    for (_, name, bytes) in kept {
        let has_room = left + TOGETHER <= KEPT_MAX
            && kept_bytes + more <= KEPT_BYTES_MAX
            && all_bytes + more <= KIND_BYTES_MAX;
        if has_room {
            break;
        }
        let name = ObjectName::new(ObjectKind::Script, name.clone());
        evictions.push(ObjectChange::Delete(name));
        kept_bytes -= bytes;
        all_bytes -= bytes;
        left -= 1;
    }
    evictions
}

#[cfg(test)]
mod tests {
    use coterie_protocol::catalog::{Change, Row};
    use coterie_types::Revision;

    use super::*;

    fn catalog(scripts: &[(usize, bool, usize)]) -> Catalog {
        let mut catalog = Catalog::default();
        let rows = scripts.iter().map(|(at, is_loaded, len)| {
            let value = encode(&StoredScript {
                is_loaded: *is_loaded,
                at: *at as u64,
                body: Bytes::from(vec![b' '; *len]),
            });
            let name = format!("{at:040}");
            Row::Object(ObjectName::new(ObjectKind::Script, name), value)
        });
        catalog.apply(&Change {
            revision: Revision(1),
            deletes: vec![],
            upserts: rows.collect(),
        });
        catalog
    }

    #[test]
    fn the_oldest_scripts_of_eval_make_room_and_loaded_ones_stay() {
        assert_eq!(evictions(&catalog(&[(1, false, 100)]), 100), []);
        let many: Vec<_> = (0..KEPT_MAX).map(|at| (at, at % 2 == 0, 10)).collect();
        assert_eq!(
            evictions(&catalog(&many), 100),
            [],
            "half of them are loaded"
        );
        let many: Vec<_> = (0..KEPT_MAX).map(|at| (at, false, 10)).collect();
        let evicted = evictions(&catalog(&many), 100);
        assert_eq!(evicted.len(), TOGETHER);
        let oldest = ObjectName::new(ObjectKind::Script, format!("{:040}", 0));
        assert_eq!(evicted[0], ObjectChange::Delete(oldest));
        let large = [
            (1, false, KEPT_BYTES_MAX / 2),
            (2, false, KEPT_BYTES_MAX / 2),
        ];
        assert_eq!(evictions(&catalog(&large), 100).len(), 1);
    }
}
