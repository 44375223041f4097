//! Compiles `src/malloc.c` into the binary. It is linked as an object: nothing refers to it, and a
//! linker leaves out an unreferenced member of a library.

fn main() {
    println!("cargo::rerun-if-changed=src/malloc.c");
    let mut build = cc::Build::new();
    build.file("src/malloc.c").warnings_into_errors(true);
    for object in build.compile_intermediates() {
        println!("cargo::rustc-link-arg={}", object.display());
    }
}
