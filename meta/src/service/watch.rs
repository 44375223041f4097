//! Long polls: the changes after a revision, as soon as there are any.

use std::time::{Duration, Instant};

use coterie_protocol::meta::MetaAnswer;
use coterie_types::Revision;

use crate::held::{Held, News};

/// The longest wait of a watch.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The part of the caller's deadline that is reserved for the answer to arrive.
const MARGIN: Duration = Duration::from_millis(200);

pub(super) async fn answer(
    held: &Held,
    after: Revision,
    wait_ms: u64,
    deadline: Instant,
) -> MetaAnswer {
    let wait = Duration::from_millis(wait_ms).min(WAIT_MAX);
    let until = (Instant::now() + wait).min(deadline.checked_sub(MARGIN).unwrap_or(deadline));
    let mut positions = held.positions();
    let newer = positions.wait_for(|position| position.revision > after);
    match tokio::time::timeout_at(until.into(), newer).await {
        // No news, or the member is stopping.
        Err(_) | Ok(Err(_)) => return MetaAnswer::Changes(Vec::new()),
        Ok(Ok(_)) => {}
    }
    match held.changes_after(after) {
        News::Items(changes) => {
            MetaAnswer::Changes(changes.into_iter().map(|c| (*c).clone()).collect())
        }
        News::Whole(snapshot) => MetaAnswer::Catalog(Box::new(snapshot.state.catalog.clone())),
    }
}
