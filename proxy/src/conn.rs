//! One client connection: bytes in, commands to their groups, replies out in order.
//!
//! [`codec`] takes requests apart; `pipeline` sends commands to groups and `delivery` puts their replies back in
//! order; `departure` sees that the client has left; `session` is what the connection remembers; `connection`
//! is the task that owns all of it and the socket; `listener` takes strangers in.

mod begin;
pub mod codec;
mod connection;
mod counting;
mod credit;
mod cross_protocol;
mod cut;
mod delivery;
mod departure;
mod exec;
mod farewell;
mod inline;
mod lane;
mod listener;
mod mending;
mod output;
mod pipeline;
mod publish;
mod reading;
mod replies;
mod request_credit;
mod resp;
mod route;
mod session;
mod sizes;

pub(crate) use exec::PROBE;
pub(crate) use listener::{Listener, bind};
pub(crate) use resp::{array_body, array_items, bulk, integer};
pub(crate) use session::{ReplyMode, Session};
