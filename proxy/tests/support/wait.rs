//! Waiting for conditions.

use std::time::Duration;

/// Waits until `condition` holds; fails after 20 s.
pub(crate) async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), met)
        .await
        .expect("the condition is met");
}

/// As [`until`], for a condition of the cluster.
pub(crate) async fn wait_until(condition: impl Fn() -> bool) {
    until(async || condition()).await;
}
