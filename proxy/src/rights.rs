//! The users of the cluster as this proxy knows them, and the denials it has made.
//!
//! Meta keeps the users (`coterie_protocol::objects`, `ObjectKind::User`: name, and rules as `ACL
//! LIST` prints them). Each proxy follows the catalog (`follow`) and compiles the rules once per
//! change. A connection keeps its user and looks at [`Rights::generation`] each turn, so that it
//! follows a change before its next command (`conn::permit`).
//!
//! Until somebody changes the default user, meta keeps none, and the password of
//! `--requirepass` is its password at this proxy. Before the first catalog no user is known, and no
//! command runs.

mod denials;
mod follow;
mod import;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use coterie_protocol::catalog::Catalog;
use coterie_protocol::objects::ObjectKind;
use coterie_redis_compat::acl::{DEFAULT_USER, Digest, Reading, User, Users};
use coterie_types::Revision;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::config::{Config, PubsubDefault};

pub(crate) use denials::{Context, Denials, Denied, Entry, What};
pub(crate) use follow::follow;
pub use import::AclFileError;
pub(crate) use import::{AclFile, put_all};

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Rights {
    users: ArcSwapOption<Users>,
    /// Raised by every change; 0 before the first catalog.
    generation: AtomicU64,
    known: watch::Sender<bool>,
    taken: Mutex<Taken>,
    /// `acl-pubsub-default` is `allchannels`.
    pub(crate) all_channels: AtomicBool,
    pub(crate) denials: Denials,
    pub(crate) file: Option<AclFile>,
}

/// What the users were made of.
#[derive(Debug, Default)]
struct Taken {
    revision: Revision,
    rules: BTreeMap<Bytes, Bytes>,
    /// The password as this proxy was told it.
    requirepass: Bytes,
}

impl Rights {
    pub(crate) fn new(config: &Config, file: Option<AclFile>) -> Self {
        let password = config.requirepass.as_ref();
        let text = password.map_or("", |secret| secret.expose());
        Self {
            users: ArcSwapOption::empty(),
            generation: 0.into(),
            known: watch::Sender::new(false),
            taken: Mutex::new(Taken {
                requirepass: Bytes::copy_from_slice(text.as_bytes()),
                ..Taken::default()
            }),
            all_channels: (config.acl_pubsub_default == PubsubDefault::Allchannels).into(),
            denials: Denials::new(config.acllog_max_len),
            file,
        }
    }

    /// All users; `None` before the first catalog.
    pub(crate) fn users(&self) -> Option<Arc<Users>> {
        self.users.load_full()
    }

    /// See [`Rights`].
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Waits for the first catalog.
    pub(crate) async fn known(&self) {
        // The sender lives as long as this.
        let _ = self.known.subscribe().wait_for(|known| *known).await;
    }

    /// How rules that a client gives are read.
    pub(crate) fn reading(&self) -> Reading {
        Reading::new(self.all_channels.load(Ordering::Relaxed))
    }

    /// Whether a client must authenticate, because the default user needs a password or is off, or
    /// is not known.
    pub(crate) fn need_password(&self) -> bool {
        let users = self.users.load();
        users.as_ref().is_none_or(|users| {
            let default = users.default_user();
            !(default.is_on() && default.needs_no_password())
        })
    }

    /// Whether a stranger may be let in, as far as is known.
    pub(crate) fn is_open(&self) -> bool {
        self.generation() == 0 || !self.need_password()
    }

    /// The text of the default user's password, for `CONFIG GET`; empty if it has none, or if only
    /// its digest is known here.
    pub(crate) fn requirepass(&self) -> Bytes {
        let text = self.taken.lock().requirepass.clone();
        let users = self.users.load();
        let is_it = users.as_ref().is_some_and(|users| {
            let digest = Digest::of(&text);
            users.default_user().has_only(&digest)
        });
        if is_it { text } else { Bytes::new() }
    }

    /// Remembers the text of the default user's password.
    pub(crate) fn remember_requirepass(&self, text: &[u8]) {
        self.taken.lock().requirepass = Bytes::copy_from_slice(text);
    }

    /// Takes the users of a catalog, unless a newer catalog was taken. Returns whether they
    /// changed: then all connections must be woken, so that they follow at once.
    #[must_use]
    pub(crate) fn take(&self, catalog: &Catalog) -> bool {
        let mut taken = self.taken.lock();
        let is_first = self.generation() == 0;
        if !is_first && catalog.revision <= taken.revision {
            return false;
        }
        taken.revision = catalog.revision;
        let rules: BTreeMap<Bytes, Bytes> = catalog
            .objects_of(ObjectKind::User)
            .map(|(name, rules)| (name.clone(), rules.clone()))
            .collect();
        if !is_first && rules == taken.rules {
            return false;
        }
        let before = self.users.load();
        let users = rules.iter().map(|(name, text)| {
            let same = taken.rules.get(name).is_some_and(|before| before == text);
            let known = before.as_ref().filter(|_| same);
            match known.and_then(|users| users.get(name)) {
                Some(user) => Arc::clone(user),
                None => Arc::new(compile(name, text)),
            }
        });
        let password = Some(&taken.requirepass[..]).filter(|text| !text.is_empty());
        let users = Users::new(User::default_user(password), users);
        self.users.store(Some(Arc::new(users)));
        taken.rules = rules;
        self.generation.fetch_add(1, Ordering::Release);
        drop(taken);
        self.known.send_replace(true);
        true
    }
}

/// A user that meta keeps. If no version would have written the rules, the user may do nothing, the
/// default user too.
fn compile(name: &Bytes, rules: &[u8]) -> User {
    User::of_rules(name.clone(), rules).unwrap_or_else(|error| {
        tracing::error!(user = %name.escape_ascii(), %error, "cannot read the rules of a user");
        User::new(name.clone(), Reading::default())
    })
}

/// The name of the default user.
pub(crate) fn default_name() -> Bytes {
    Bytes::from_static(DEFAULT_USER)
}

#[cfg(test)]
mod tests;
