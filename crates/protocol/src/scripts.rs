//! Scripts and libraries of functions as objects of the catalog ([`crate::objects`]), which proxies
//! write and read, postcard; and the scripts that run on a node.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A script; the object's name is its SHA1 in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredScript {
    /// It came by SCRIPT LOAD, and stays until SCRIPT FLUSH. Others make room for newer scripts.
    pub is_loaded: bool,
    /// When it was stored, in milliseconds since 1970.
    pub at: u64,
    /// Its text.
    pub body: Bytes,
}

/// A library; the object's name is its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLibrary {
    /// Its text.
    pub code: Bytes,
    /// Its functions.
    pub functions: Vec<StoredFunction>,
}

/// A function of a library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFunction {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: Option<String>,
    /// The names of its flags.
    pub flags: Vec<String>,
}

/// The name of the object of kind `Script` whose value changes with each SCRIPT FLUSH.
pub const FLUSHED: &[u8] = b"flushed";

/// Scripts that were told to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KilledScripts {
    /// How many.
    pub killed: u64,
    /// How many run for long and are of the other kind: functions, or scripts.
    pub others: u64,
}

/// A script or a function that runs for long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningScript {
    /// It is a function.
    pub is_function: bool,
    /// The function's name.
    pub name: Bytes,
    /// Words of its command, shortened; the command's name is left out.
    pub words: Vec<Bytes>,
    /// How long it has run, in milliseconds.
    pub millis: u64,
}
