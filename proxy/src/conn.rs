//! A client connection: bytes in, commands to their groups, replies out in order.
//!
//! [`codec`] parses requests; `begin` makes a `call` of each and checks it, `run` and `exec` run
//! it; `pipeline` sends commands to groups and `delivery` puts their replies back in order, or
//! `reroute` routes them again; `pushing` puts messages between them; `departure` notices that the
//! client has left.
//!
//! `session` is the client's state between commands, `state` the command that holds up all others;
//! `connection` is the task that owns all of these and the socket; `listener` accepts clients.

mod begin;
mod call;
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
mod finishing;
mod inline;
mod input;
mod lane;
mod listener;
mod mending;
mod monitor;
mod output;
mod permit;
mod pipeline;
mod publish;
mod pushing;
mod reading;
mod replies;
mod request_credit;
mod reroute;
mod resp;
mod route;
mod run;
mod script_rights;
mod session;
mod sizes;
mod state;
mod tally;

pub(crate) use call::Call;
pub(crate) use listener::{Listener, Sockets, bind};
pub(crate) use resp::{array_body, array_items, bulk, integer};
pub(crate) use route::{Destination, Unroutable, destination};
pub(crate) use session::{ReplyMode, Session};
