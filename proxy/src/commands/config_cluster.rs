//! `CONFIG` of parameters that hold in the whole cluster: objects in meta, which every process
//! follows.

use bytes::Bytes;
use coterie_protocol::meta::Command;
use coterie_protocol::objects::{ObjectChange, ObjectKind, ObjectName};
use coterie_redis_compat::{Classes, CommandError};

use super::Remote;
use super::coterie::propose;
use super::words::failed_to_set;
use crate::shared::Shared;

/// Checks a value; returns it in the form in which it is shown.
pub(super) type Shown = fn(&[u8]) -> Result<Bytes, String>;

/// The value of a parameter; empty if it was never set.
pub(super) fn get(shared: &Shared, name: &[u8]) -> Bytes {
    let catalog = shared.catalog();
    let value = catalog.object(ObjectKind::Config, name);
    value.cloned().unwrap_or_default()
}

/// Changes parameters, all or none.
pub(super) async fn set(
    call: &Remote,
    parameters: impl Iterator<Item = (&'static str, Shown, &Bytes)>,
) -> Result<(), CommandError> {
    let mut changes = Vec::new();
    for (name, shown, value) in parameters {
        let value = shown(value).map_err(|reason| failed_to_set(name.as_bytes(), &reason))?;
        let name = ObjectName::new(ObjectKind::Config, name);
        changes.push(if value.is_empty() {
            ObjectChange::Delete(name)
        } else {
            ObjectChange::Put(name, value)
        });
    }
    if changes.is_empty() {
        return Ok(());
    }
    let expected = Vec::new();
    let command = Command::PutObjects { expected, changes };
    propose(call, command).await.map(drop)
}

/// The letters of `notify-keyspace-events`.
pub(super) fn event_classes(value: &[u8]) -> Result<Bytes, String> {
    let classes = Classes::parse(value);
    let classes = classes.ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
    Ok(Bytes::from(classes.to_string()))
}
