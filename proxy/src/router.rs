//! Finds the group of a key, and gets a frame's replies from its group despite failures on the way.
//!
//! [`RangeCache`] knows which group owns which interval, from meta's catalog and from descriptors
//! that groups send with refusals. [`GroupRoute`] tracks the leader and numbers the frames. `retry`
//! sends a frame until it is answered, finally refused, or out of time.
//!
//! Nothing here knows a client or a command; callers are `conn::pipeline` and `fanout`.

mod backoff;
mod group;
mod links;
mod news;
mod prepared;
mod range_cache;
mod retry;
mod waiting;
mod window;

pub(crate) use group::GroupRoute;
pub(crate) use links::Links;
pub(crate) use news::{Following, NewsReader, Reader};
pub(crate) use prepared::{Prepared, encoded_len, frame_of, new_commands, put_command};
pub(crate) use range_cache::{RangeCache, RangeMap};
pub(crate) use retry::{Failure, Outcome, Router};
pub(crate) use waiting::{Sent, Words};
pub(crate) use window::random;
