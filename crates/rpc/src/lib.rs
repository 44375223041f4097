//! Calls between nodes: framing, authentication, deadlines, a connection pool.
