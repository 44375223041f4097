//! The string commands, by what they do to a value.

mod edit;
mod expiry;
mod get;
mod incr;
mod incr_float;
mod lcs;
mod many;
mod set;

pub(crate) use edit::{append, setrange, zero_padded};
pub(crate) use expiry::Unit;
pub(crate) use get::{clamp, get, getdel, getex, getrange, getset, strlen};
pub(crate) use incr::{decr, decrby, incr, incrby};
pub(crate) use incr_float::incrbyfloat;
pub(crate) use lcs::{lcs, lcs_check};
pub(crate) use many::{check_pairs, mget, mset, msetnx};
pub(crate) use set::{psetex, set, setex, setnx};
