//! The proxy: RESP to clients, routing, retries; keeps no data.
