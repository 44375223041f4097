//! The client of the metadata service: finds the leader, retries, watches.
