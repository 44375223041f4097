//! Follows the users in the catalog; at the first start of a cluster gives it those of the ACL
//! file.

use std::sync::Arc;
use std::time::Duration;

use coterie_meta_client::MetaClient;
use coterie_protocol::catalog::Catalog;
use coterie_protocol::meta::{Command, Outcome};
use coterie_protocol::objects::{Expected, ObjectChange, ObjectKind};
use coterie_redis_compat::acl::User;
use coterie_types::Revision;
use tokio::sync::watch;

use super::Rights;
use super::import::put_all;
use crate::clients::Clients;

/// How long meta may take to keep the users of the file.
const PUT_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before meta is asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// Passes every catalog to `rights`. `of_file` are the users of the ACL file: if the cluster has no
/// users, nobody is a user until it has those.
pub(crate) async fn follow(
    rights: Arc<Rights>,
    mut catalog: watch::Receiver<Arc<Catalog>>,
    clients: Arc<Clients>,
    meta: MetaClient,
    mut of_file: Vec<User>,
) {
    loop {
        let newest = Arc::clone(&catalog.borrow_and_update());
        if newest.revision > Revision::default() {
            if !of_file.is_empty() && newest.objects_of(ObjectKind::User).next().is_none() {
                if !put(&meta, &of_file).await {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                of_file.clear();
                // The catalog that has them is still to come.
            } else {
                of_file.clear();
                if rights.take(&newest) {
                    clients.wake_all();
                }
            }
        }
        if catalog.changed().await.is_err() {
            // The source of catalogs is gone: the process ends.
            return;
        }
    }
}

/// Gives the cluster these users; returns whether it has users now.
async fn put(meta: &MetaClient, users: &[User]) -> bool {
    let changes = put_all(users);
    // Another proxy may do so at the same time: then its users are the cluster's.
    let expected = changes.iter().filter_map(|change| match change {
        ObjectChange::Put(object, _) => Some(Expected {
            object: object.clone(),
            value: None,
        }),
        _ => None,
    });
    let expected = expected.collect();
    let command = Command::PutObjects { expected, changes };
    match meta.propose(command, PUT_TIMEOUT).await {
        Ok(Outcome::Done { .. }) => {
            tracing::info!(
                users = users.len(),
                "the cluster has the users of the ACL file"
            );
            true
        }
        Ok(Outcome::Rejected(reason)) => {
            tracing::warn!(%reason, "the cluster does not take the users of the ACL file");
            matches!(reason, coterie_protocol::meta::Rejection::Changed)
        }
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(%error, "cannot give the cluster the users of the ACL file");
            false
        }
    }
}
