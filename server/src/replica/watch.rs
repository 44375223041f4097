//! Watches a replica's store: after a failed flush it stops the store, before RocksDB resumes it by
//! itself (`RocksEngine::check`). The replica's next write, or its next question for the durable
//! state, then fails with the reason.

use std::sync::Arc;
use std::time::Duration;

use coterie_types::GroupId;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;

/// How often to check: RocksDB looks for room every five seconds.
const PERIOD: Duration = Duration::from_secs(1);

/// Runs until `stop`.
pub(super) async fn run(group_id: GroupId, shared: Arc<Shared>, stop: CancellationToken) {
    while stop
        .run_until_cancelled(tokio::time::sleep(PERIOD))
        .await
        .is_some()
    {
        if let Err(error) = shared.published().engine.check() {
            tracing::error!(%group_id, %error, "the store has stopped");
        }
    }
}
