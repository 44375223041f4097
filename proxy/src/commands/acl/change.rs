//! Changes of users: meta makes them, if the users are still as this proxy has read them.
//!
//! A change that another client got ahead of is made anew on top of it. The reply comes once this
//! proxy follows the change; others follow within milliseconds.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use coterie_protocol::meta::Rejection;
use coterie_protocol::objects::{Expected, ObjectChange, ObjectKind, ObjectName};
use coterie_redis_compat::acl::{
    ACL_NOT_SAVED, BAD_USER_NAME, DEFAULT_USER, DEFAULT_USER_STAYS, NO_ACL_FILE, User, is_name,
};
use coterie_redis_compat::{CommandError, Reply};

use crate::commands::coterie::put_objects;
use crate::commands::{Remote, int};
use crate::rights::AclFile;

/// `ACL SETUSER username [rule ...]`.
pub(super) async fn setuser(call: Remote) -> Result<Reply, CommandError> {
    let name = &call.args[2];
    if !is_name(name) {
        return Err(BAD_USER_NAME);
    }
    let reading = call.shared.rights.reading();
    let rules = &call.args[3..];
    change_user(&call, name, |user| user.changed(rules, reading)).await?;
    Ok(Reply::OK)
}

/// `CONFIG SET requirepass password`: the only password of the default user; empty for none.
pub(crate) async fn set_requirepass(call: &Remote, password: &[u8]) -> Result<(), CommandError> {
    change_user(call, &Bytes::from_static(DEFAULT_USER), |user| {
        let mut user = user.clone();
        user.set_password(Some(password).filter(|text| !text.is_empty()));
        Ok(user)
    })
    .await?;
    call.shared.rights.remember_requirepass(password);
    Ok(())
}

/// Changes a user, or creates it.
async fn change_user(
    call: &Remote,
    name: &Bytes,
    change: impl Fn(&User) -> Result<User, CommandError>,
) -> Result<(), CommandError> {
    let object = ObjectName::new(ObjectKind::User, Bytes::copy_from_slice(name));
    loop {
        let (stored, user) = {
            call.shared.follow_users();
            let catalog = call.shared.catalog();
            let stored = catalog.objects.get(&object).cloned();
            (stored, call.shared.users()?.get(name).cloned())
        };
        let fresh = || Arc::new(User::new(object.name.clone(), call.shared.rights.reading()));
        let rules = change(&user.unwrap_or_else(fresh))?.rules();
        if stored.as_ref() == Some(&rules) {
            return Ok(());
        }
        let expected = Expected {
            object: object.clone(),
            value: stored,
        };
        let put = ObjectChange::Put(object.clone(), rules);
        if changed(call, vec![expected], vec![put]).await? {
            return Ok(());
        }
    }
}

/// `ACL DELUSER username ...`: how many there were.
pub(super) async fn deluser(call: Remote) -> Result<Reply, CommandError> {
    let names = &call.args[2..];
    if names.iter().any(|name| &name[..] == DEFAULT_USER) {
        return Err(DEFAULT_USER_STAYS);
    }
    loop {
        let catalog = call.shared.catalog();
        let mut expected: Vec<Expected> = Vec::new();
        for name in names {
            let object = ObjectName::new(ObjectKind::User, Bytes::copy_from_slice(name));
            let value = catalog.objects.get(&object).cloned();
            let is_new = expected.iter().all(|other| other.object != object);
            if value.is_some() && is_new {
                expected.push(Expected { object, value });
            }
        }
        let delete = |one: &Expected| ObjectChange::Delete(one.object.clone());
        let deletes: Vec<_> = expected.iter().map(delete).collect();
        let count = deletes.len();
        if count == 0 || changed(&call, expected, deletes).await? {
            return Ok(int(count as u64));
        }
    }
}

/// `ACL LOAD`: the users of the cluster become those of this proxy's file.
pub(super) async fn load(call: Remote) -> Result<Reply, CommandError> {
    let file = file(&call)?;
    let reading = call.shared.rights.reading();
    let read = tokio::task::spawn_blocking(move || file.read(reading)).await;
    let users = match read {
        Ok(Ok(users)) => users,
        Ok(Err(error)) => return Err(CommandError::Other(format!("ERR {error}"))),
        Err(_) => return Err(CommandError::TryAgain("the proxy stops".to_owned())),
    };
    let mut changes = vec![ObjectChange::Clear(ObjectKind::User)];
    if !users.iter().any(|user| &user.name()[..] == DEFAULT_USER) {
        // As in Redis, a file without a default user leaves a default user with all rights.
        let default = User::default_user(None);
        let name = ObjectName::new(ObjectKind::User, default.name().clone());
        changes.push(ObjectChange::Put(name, default.rules()));
    }
    changes.extend(crate::rights::put_all(&users));
    changed(&call, Vec::new(), changes).await?;
    Ok(Reply::OK)
}

/// `ACL SAVE`: meta has saved all users; with a file, they are written there, too.
pub(super) async fn save(call: Remote) -> Result<Reply, CommandError> {
    if call.shared.rights.file.is_none() {
        return Ok(Reply::OK);
    }
    let (file, users) = (file(&call)?, call.shared.users()?);
    let written = tokio::task::spawn_blocking(move || {
        let written = file.write(&users);
        if let Err(error) = &written {
            tracing::error!(path = %file.path().display(), %error, "cannot write the ACL file");
        }
        written.is_ok()
    });
    match written.await {
        Ok(true) => Ok(Reply::OK),
        _ => Err(ACL_NOT_SAVED),
    }
}

fn file(call: &Remote) -> Result<AclFile, CommandError> {
    call.shared.rights.file.clone().ok_or(NO_ACL_FILE)
}

/// Makes a change, and takes it. Returns `false` if another client got ahead, and this proxy has
/// caught up with it.
async fn changed(
    call: &Remote,
    expected: Vec<Expected>,
    changes: Vec<ObjectChange>,
) -> Result<bool, CommandError> {
    let before = call.shared.catalog().revision;
    let made = match put_objects(call, expected, changes).await? {
        Ok(()) => true,
        Err(Rejection::Changed) => {
            let mut copy = call.shared.catalog.clone();
            let newer = copy.wait_for(|copy| copy.revision > before);
            let until = tokio::time::Instant::from_std(call.deadline);
            if tokio::time::timeout_at(until, newer).await.is_err() {
                let reason = "meta does not tell what has changed";
                return Err(CommandError::TryAgain(reason.to_owned()));
            }
            false
        }
        Err(reason) => return Err(CommandError::Other(format!("ERR {reason}"))),
    };
    call.shared.follow_users();
    if !made && Instant::now() >= call.deadline {
        let reason = "other clients change the user all the time";
        return Err(CommandError::TryAgain(reason.to_owned()));
    }
    Ok(made)
}
