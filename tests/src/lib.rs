//! Whole-cluster tests: harness, workloads, histories, checker.
