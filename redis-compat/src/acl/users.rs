//! All users of a cluster, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::user::{DEFAULT_USER, User};

/// See the module's head. There is always a default user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Users {
    by_name: BTreeMap<Bytes, Arc<User>>,
    default: Arc<User>,
}

impl Users {
    /// These users; a default user among them replaces the given one.
    #[must_use]
    pub fn new(default: User, users: impl IntoIterator<Item = Arc<User>>) -> Self {
        let default = Arc::new(default);
        let named = |user: Arc<User>| (user.name.clone(), user);
        let mut by_name = BTreeMap::from([named(default)]);
        by_name.extend(users.into_iter().map(named));
        let default = Arc::clone(&by_name[DEFAULT_USER]);
        Self { by_name, default }
    }

    /// The default user.
    #[must_use]
    pub fn default_user(&self) -> &Arc<User> {
        &self.default
    }

    /// The user of this name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// All of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<User>> {
        self.by_name.values()
    }

    /// How many there are.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "the default user is always there"
    )]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }
}
