//! Objects: values that meta keeps for the commands of clients, and does not interpret. Users of
//! ACL, scripts, libraries of functions and configuration of the whole cluster are objects.
//!
//! Every process that follows the catalog has them all, so they are bounded in number and bytes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Bytes of a name, at most.
pub const NAME_BYTES_MAX: usize = 512;
/// Bytes of a value, at most.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// Objects of a kind, at most.
pub const KIND_OBJECTS_MAX: usize = 4096;
/// Bytes of the names and values of a kind, at most.
pub const KIND_BYTES_MAX: usize = 4 << 20;
/// Changes in a command, at most.
pub const CHANGES_MAX: usize = KIND_OBJECTS_MAX + 1;

/// The parameter with the classes of keyspace notifications, in the letters of Redis.
pub const NOTIFY_KEYSPACE_EVENTS: &[u8] = b"notify-keyspace-events";

/// The kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ObjectKind {
    /// A user of ACL, by name.
    User,
    /// A script, by its SHA1.
    Script,
    /// A library of functions, by name.
    Library,
    /// A parameter of CONFIG that holds in the whole cluster, by name.
    Config,
}

/// The name of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectName {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name among the objects of its kind.
    pub name: Bytes,
}

/// A change of objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectChange {
    /// Write an object.
    Put(ObjectName, Bytes),
    /// Remove an object, if it exists.
    Delete(ObjectName),
    /// Remove all objects of a kind.
    Clear(ObjectKind),
}

/// A condition of a change: the value that an object must have before; `None` for no such object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The object.
    pub object: ObjectName,
    /// Its value.
    pub value: Option<Bytes>,
}

impl ObjectName {
    /// The name of this object.
    #[must_use]
    pub fn new(kind: ObjectKind, name: impl Into<Bytes>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}
