//! Whether the roles of this process serve.
//!
//! Each role adds a [`Component`], which at first is not ready, with the reason why. A failed
//! component cannot recover: the process is unhealthy until it is restarted. A dropped component no
//! longer counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

/// The state of all components; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Health {
    components: Arc<Mutex<BTreeMap<String, Readiness>>>,
}

#[derive(Debug, Clone)]
enum Readiness {
    Waiting(String),
    Ready,
    Failed(String),
}

impl Health {
    /// No components: healthy and ready.
    pub fn new() -> Health {
        Health::default()
    }

    /// Adds a component that is not ready yet. A second `server` is called `server 2`.
    pub fn component(&self, name: impl Into<String>) -> Component {
        let wanted: String = name.into();
        let mut components = self.lock();
        let mut name = wanted.clone();
        let mut number = 1;
        while components.contains_key(&name) {
            number += 1;
            name = format!("{wanted} {number}");
        }
        components.insert(name.clone(), Readiness::Waiting("starting".to_owned()));
        drop(components);
        Component {
            name,
            health: self.clone(),
        }
    }

    /// Whether no component has failed.
    pub fn is_healthy(&self) -> bool {
        !self
            .lock()
            .values()
            .any(|state| matches!(state, Readiness::Failed(_)))
    }

    /// Whether every component serves.
    pub fn is_ready(&self) -> bool {
        self.lock()
            .values()
            .all(|state| matches!(state, Readiness::Ready))
    }

    /// A line per component.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for (name, state) in self.lock().iter() {
            let written = match state {
                Readiness::Ready => writeln!(text, "{name}: ready"),
                Readiness::Waiting(reason) => writeln!(text, "{name}: not ready: {reason}"),
                Readiness::Failed(reason) => writeln!(text, "{name}: failed: {reason}"),
            };
            written.expect("a String takes any text");
        }
        text
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Readiness>> {
        // The map is consistent between any two calls on it, so a panic elsewhere did not break it.
        self.components.lock()
    }
}

/// The part of a role in the health of the process.
#[derive(Debug)]
pub struct Component {
    name: String,
    health: Health,
}

impl Component {
    /// The component serves.
    pub fn ready(&self) {
        self.set(Readiness::Ready);
    }

    /// The component does not serve at present, for `reason`.
    pub fn waiting(&self, reason: impl Into<String>) {
        self.set(Readiness::Waiting(reason.into()));
    }

    /// The component will not serve again in this process.
    pub fn failed(&self, reason: impl Into<String>) {
        self.set(Readiness::Failed(reason.into()));
    }

    fn set(&self, state: Readiness) {
        self.health.lock().insert(self.name.clone(), state);
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        self.health.lock().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_all_and_healthy_is_none_failed() {
        let health = Health::new();
        assert!(health.is_ready() && health.is_healthy());
        let (meta, server) = (health.component("meta"), health.component("server"));
        meta.ready();
        assert!(!health.is_ready() && health.is_healthy());
        server.ready();
        assert!(health.is_ready());
        server.failed("disk");
        assert!(!health.is_ready() && !health.is_healthy());
        assert_eq!(health.describe(), "meta: ready\nserver: failed: disk\n");
        let other = health.component("server");
        other.failed("disk too");
        assert_eq!(
            health.describe(),
            "meta: ready\nserver: failed: disk\nserver 2: failed: disk too\n"
        );
        drop(server);
        drop(other);
        assert!(health.is_ready() && health.is_healthy());
    }
}
