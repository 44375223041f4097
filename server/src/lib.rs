//! One node: a store of replicas.
