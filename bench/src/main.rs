//! Measures a cluster beside redis-server and etcd.
fn main() {}
