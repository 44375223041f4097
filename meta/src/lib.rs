//! The metadata service.
pub mod catalog;
