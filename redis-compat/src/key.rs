//! The generic commands: keys of any type.

mod copy;
mod del;
mod dump;
mod expire;
mod object;
mod rename;
mod ttl;

pub(crate) use copy::{copy, copy_check, move_key};
pub(crate) use del::{del, exists, key_type};
pub(crate) use dump::{dump, restore};
pub(crate) use expire::{expire, expireat, persist, pexpire, pexpireat};
pub(crate) use object::{
    memory_usage, object_encoding, object_freq, object_help, object_idletime, object_refcount,
};
pub(crate) use rename::{rename, renamenx};
pub(crate) use ttl::{expiretime, pexpiretime, pttl, ttl};
