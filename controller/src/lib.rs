//! The controller: watches meta, decides, drives jobs.
