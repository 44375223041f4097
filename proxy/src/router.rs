//! From a key to its group, and from a frame to its replies whatever happens on the way.
//!
//! [`RangeCache`] knows which group owns which interval, from meta's catalog and from what groups
//! say when they refuse. [`Group`] knows who leads and numbers the frames. `retry` sends a frame
//! until it is answered, refused for good, or out of time.
//!
//! Nothing here knows a client or a command; callers are `conn::pipeline` and `fanout`.

mod backoff;
mod group;
mod prepared;
mod range_cache;
mod retry;
mod window;

pub(crate) use group::Group;
pub(crate) use prepared::{Prepared, encoded_len, frame_of, new_commands, put_command};
pub(crate) use range_cache::{RangeCache, RangeMap};
pub(crate) use retry::{Failure, Outcome, Router};
pub(crate) use window::random;
