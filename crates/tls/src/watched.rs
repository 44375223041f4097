//! The newest settings of a use of TLS. They are read again when the files change.
//!
//! The files are looked at every two seconds by their content, since a link may lead elsewhere
//! while dates stay. A new certificate and its key are two files: a change counts when a second
//! look finds the same content. So a change is in force after four seconds at most, if it can be
//! used; files that cannot be used are logged once, and looked at again when they change.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tracing::{info, warn};

use crate::files::{Contents, Material};
use crate::{Files, TlsError};

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A use of TLS: which files, and what is made of them.
pub trait Kind: Clone + PartialEq + Send + Sync + 'static {
    /// The settings made of the files.
    type Settings: Clone + Send + Sync;

    /// The use, for logs and the label of metrics.
    const USE: &'static str;

    /// The files.
    fn files(&self) -> &Files;

    /// Makes the settings of the content of the files.
    ///
    /// # Errors
    /// When the content cannot be used.
    fn settings(&self, material: &Material) -> Result<Self::Settings, TlsError>;
}

/// Settings that were made and are not in force yet.
pub struct Made<K: Kind> {
    kind: K,
    settings: K::Settings,
    digest: [u8; 32],
    expires_at: i64,
}

/// See the module's head.
pub struct Watched<K: Kind> {
    newest: ArcSwap<(K, K::Settings)>,
    seen: Mutex<Seen>,
    pub(crate) counts: Counts,
}

/// What metrics tell.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Seconds of Unix time.
    pub(crate) expires_at: AtomicI64,
    pub(crate) reloads: AtomicU64,
    pub(crate) failures: AtomicU64,
    /// The files hold something else than is in force.
    pub(crate) is_stale: AtomicBool,
}

/// Content of the files, by its digest; `None` if they cannot be read.
type Digest = Option<[u8; 32]>;

#[derive(Debug, Default)]
struct Seen {
    /// In force.
    used: Digest,
    /// At the last look.
    last: Digest,
    /// Tried, and refused.
    refused: Option<Digest>,
}

impl<K: Kind> Made<K> {
    /// Reads the files of `kind` and makes its settings.
    ///
    /// # Errors
    /// When a file cannot be read or used.
    pub fn of(kind: K) -> Result<Self, TlsError> {
        let contents = kind.files().read()?;
        Self::from(kind, &contents)
    }

    fn from(kind: K, contents: &Contents) -> Result<Self, TlsError> {
        let material = kind.files().parse(contents, unix_seconds())?;
        Ok(Self {
            settings: kind.settings(&material)?,
            digest: contents.digest(),
            expires_at: material.expires_at,
            kind,
        })
    }
}

impl<K: Kind> Watched<K> {
    /// Makes the settings. Nothing watches the files before [`Watched::watch`].
    ///
    /// # Errors
    /// When a file cannot be read or used.
    pub fn open(kind: K) -> Result<Arc<Self>, TlsError> {
        let made = Made::of(kind)?;
        let watched = Self {
            newest: ArcSwap::from_pointee((made.kind, made.settings)),
            seen: Mutex::new(Seen {
                used: Some(made.digest),
                last: Some(made.digest),
                refused: None,
            }),
            counts: Counts::default(),
        };
        watched
            .counts
            .expires_at
            .store(made.expires_at, Ordering::Relaxed);
        Ok(Arc::new(watched))
    }

    /// The settings in force.
    pub fn settings(&self) -> K::Settings {
        self.newest.load().1.clone()
    }

    /// The use in force.
    pub fn kind(&self) -> K {
        self.newest.load().0.clone()
    }

    /// Puts settings in force.
    pub fn put(&self, made: Made<K>) {
        self.replace(made, &mut self.seen.lock());
    }

    fn replace(&self, made: Made<K>, seen: &mut Seen) {
        *seen = Seen {
            used: Some(made.digest),
            last: Some(made.digest),
            refused: None,
        };
        self.counts
            .expires_at
            .store(made.expires_at, Ordering::Relaxed);
        self.counts.is_stale.store(false, Ordering::Relaxed);
        self.counts.reloads.fetch_add(1, Ordering::Relaxed);
        self.newest.store(Arc::new((made.kind, made.settings)));
        info!(tls = K::USE, "certificates read again");
    }

    /// Looks at the files until the last handle is dropped. Call it within a runtime.
    pub fn watch(self: &Arc<Self>) {
        let watched = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let Some(there) = watched.upgrade() else {
                    return;
                };
                // A panic of the look is in the log; the next look tries again.
                let _ = tokio::task::spawn_blocking(move || there.look()).await;
                if Weak::strong_count(&watched) == 0 {
                    return;
                }
            }
        });
    }

    /// Looks at the files once.
    pub(crate) fn look(&self) {
        let kind = self.kind();
        let read = kind.files().read();
        let digest = read.as_ref().ok().map(Contents::digest);
        {
            let mut seen = self.seen.lock();
            let was_seen = std::mem::replace(&mut seen.last, digest) == digest;
            if digest.is_some() && digest == seen.used {
                seen.refused = None;
                self.counts.is_stale.store(false, Ordering::Relaxed);
                return;
            }
            if !was_seen || seen.refused == Some(digest) {
                return;
            }
            seen.refused = Some(digest);
        }
        match read.and_then(|contents| Made::from(kind, &contents)) {
            Ok(made) => {
                let mut seen = self.seen.lock();
                // Unless other files were put in force meanwhile.
                if self.newest.load().0 == made.kind {
                    self.replace(made, &mut seen);
                }
            }
            Err(error) => {
                self.counts.failures.fetch_add(1, Ordering::Relaxed);
                self.counts.is_stale.store(true, Ordering::Relaxed);
                warn!(
                    tls = K::USE,
                    error = &error as &dyn std::error::Error,
                    "new certificates cannot be used: the old ones stay in force"
                );
            }
        }
    }
}

/// Seconds of Unix time.
fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use coterie_certificates::Authority;
    use rustls::pki_types::ServerName;

    use super::*;
    use crate::ClusterTls;
    use crate::test_authority;

    fn watched(files: &Files) -> Arc<Watched<ClusterTls>> {
        let name = ServerName::try_from("coterie").unwrap();
        let files = files.clone();
        Watched::open(ClusterTls { files, name }).unwrap()
    }

    fn counts(watched: &Watched<ClusterTls>) -> (u64, u64, bool) {
        let counts = &watched.counts;
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let is_stale = counts.is_stale.load(Ordering::Relaxed);
        (load(&counts.reloads), load(&counts.failures), is_stale)
    }

    fn server(watched: &Watched<ClusterTls>) -> Arc<rustls::ServerConfig> {
        watched.settings().server
    }

    #[test]
    fn new_files_are_in_force_when_a_second_look_finds_them_the_same() {
        let authority = Authority::new("a");
        let (files, new) = (
            test_authority::files(&authority, "coterie"),
            test_authority::files(&authority, "coterie"),
        );
        let watched = watched(&files);
        let first = server(&watched);
        fs::copy(&new.cert.path, &files.cert.path).unwrap();
        watched.look();
        fs::copy(&new.key.path, &files.key.path).unwrap();
        watched.look();
        assert!(Arc::ptr_eq(&first, &server(&watched)), "half of a change");
        watched.look();
        assert!(!Arc::ptr_eq(&first, &server(&watched)));
        assert_eq!(counts(&watched), (1, 0, false));
        watched.look();
        assert_eq!(counts(&watched), (1, 0, false), "read once");
    }

    #[test]
    fn files_that_cannot_be_used_leave_the_old_in_force_and_are_counted_once() {
        let authority = Authority::new("a");
        let files = test_authority::files(&authority, "coterie");
        let watched = watched(&files);
        let first = server(&watched);
        let good = fs::read(&files.cert.path).unwrap();
        fs::write(&files.cert.path, "rubbish").unwrap();
        for _ in 0..4 {
            watched.look();
        }
        assert_eq!(counts(&watched), (0, 1, true));
        fs::remove_file(&files.cert.path).unwrap();
        for _ in 0..4 {
            watched.look();
        }
        assert_eq!(counts(&watched), (0, 2, true));
        assert!(Arc::ptr_eq(&first, &server(&watched)));
        fs::write(&files.cert.path, good).unwrap();
        watched.look();
        assert_eq!(counts(&watched), (0, 2, false));
    }
}
