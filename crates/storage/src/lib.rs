//! The store of one replica: engine, key layout, checkpoints.
