//! A whole proxy between clients on sockets and groups in this process: no Raft, no disk.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

mod proxy {
    mod blocking;
    mod client_list;
    mod commands;
    mod coterie;
    mod departures;
    mod details;
    mod fanout;
    mod fates;
    mod faults;
    mod hostile;
    mod memory;
    mod moves;
    mod pipelines;
    mod scan_events;
    mod scans;
    mod stats;
    mod stops;
    mod threads;
    mod transactions;
    mod user_changes;
    mod users;
}
