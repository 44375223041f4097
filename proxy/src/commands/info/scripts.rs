//! The lines of INFO about scripts and functions. Their memory is that of their text: interpreters
//! are in the servers.

use std::fmt::Write;

use crate::shared::Shared;

/// Lines for the section about memory.
pub(super) fn lines(shared: &Shared) -> String {
    let (count, bytes) = shared.scripts.counts();
    let functions = shared.scripts.functions();
    let of_functions: usize = functions
        .libraries
        .iter()
        .map(|library| library.code.len())
        .sum();
    let mut out = String::new();
    for (name, value) in [
        ("used_memory_vm_eval", 0),
        ("used_memory_lua", 0),
        ("used_memory_scripts_eval", bytes),
        ("number_of_cached_scripts", count),
        ("number_of_functions", functions.count()),
        ("number_of_libraries", functions.libraries.len()),
        ("used_memory_vm_functions", 0),
        ("used_memory_vm_total", 0),
        ("used_memory_functions", of_functions),
        ("used_memory_scripts", bytes + of_functions),
    ] {
        // Writing to a string cannot fail.
        let _ = write!(out, "{name}:{value}\r\n");
    }
    out
}
