//! Looks after a replica's store: one whose flush has failed is stopped, before RocksDB goes on with
//! it by itself (`RocksEngine::check`). The replica's next write, or look at what is durable, fails
//! then, and it says why.

use std::sync::Arc;
use std::time::Duration;

use coterie_types::GroupId;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;

/// How often: RocksDB looks for room every five seconds.
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
