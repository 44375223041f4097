//! The meaning of Redis: commands, arguments, replies, errors, and their effects on records.
//!
//! Pure: no runtime, no clock, no socket, no disk, no random source. A command is executed when the
//! log entry that carries it is applied, on every replica, over a [`View`] of the store; time,
//! chance and versions come from the entry ([`Context`]), so that replicas reach the same state.
//!
//! A command is a row ([`COMMANDS`]), a function and a script (`testscripts/`). Routing,
//! `COMMAND`, ownership checks and `docs/COMPAT.md` read the row; nothing else lists commands.
//!
//! Callers: `group` (executes at apply and for reads), `proxy` (routes by the rows, runs the
//! commands that are [`Run::Proxy`], words its own refusals by [`CommandError`]).

pub mod acl;
mod args;
mod big;
mod bitmap;
mod changes;
mod command;
mod context;
mod deadline;
mod element;
mod element_scan;
mod encoding;
mod error;
pub mod errors;
mod execute;
mod fault;
mod flags;
mod float80;
mod geo;
pub mod glob;
mod hash;
mod hyperloglog;
pub mod introspect;
mod key;
mod keys;
mod list;
mod mem_view;
pub mod number;
mod range;
mod rdb;
mod record;
mod reply;
mod resolve;
mod script;
mod script_call;
mod set;
mod stream;
mod string;
pub mod syntax;
mod table;
mod txn;
mod view;
mod waits;
mod watch;
mod zset;

pub use args::{Args, Keyword, Word, Words};
pub use changes::{Changes, Removal};
pub use command::{Command, DATABASES, Function, Nulls, Route, Run, Topic, parse_table};
pub use context::Context;
pub use element::{Collection, ElementPlace, Walk};
pub use encoding::Encoding;
pub use error::{CommandError, EvalError};
pub use execute::{execute, resolve_words};
pub use fault::Fault;
pub use flags::{Categories, Flags};
pub use hyperloglog::self_test as hyperloglog_self_test;
pub(crate) use key::Value;
pub use keys::{BeginSearch, FindKeys, KeyFlags, KeySpec, Positions};
pub use mem_view::MemView;
pub use range::{PAGE_BYTES, PAGE_RECORDS};
pub use rdb::functions::{functions_of_payload, functions_payload};
pub use record::{Header, Kind, Record};
pub use reply::{Reply, Resp};
pub use resolve::{Resolved, resolve};
pub use script_call::{ScriptCall, ScriptSource};
pub use stream::resolve_read_ids;
pub use table::{
    COMMANDS, ROW_COUNT, ROWS, all_error_lines, lookup, lookup_subcommand, row_number,
};
pub use txn::Txn;
pub use view::View;
pub use waits::{Touch, WaitQueue};
pub use watch::watch_token_holds;
