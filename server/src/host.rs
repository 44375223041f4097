//! The machine that this process runs on, by its kernel.
//!
//! It is the boot id: random, made by each kernel when it starts, the same in all its containers
//! and network namespaces. A host name is not (containers of a machine have several), and the id of
//! an installation is not unique (machines that were copied from the same image share it). The boot
//! id changes when the machine boots again; the node tells meta at its next start, which comes
//! after that.

use std::path::Path;

use tracing::warn;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The machine; empty when the kernel does not tell.
pub(crate) fn identity() -> String {
    read(Path::new(BOOT_ID)).unwrap_or_else(|error| {
        warn!(%error, "the kernel does not say which machine this is; --host would");
        String::new()
    })
}

fn read(path: &Path) -> std::io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    let id = text.trim();
    if id.is_empty() {
        Err(std::io::Error::other(format!(
            "{} is empty",
            path.display()
        )))
    } else {
        Ok(id.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_its_kernels_boot_and_nothing_when_that_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("boot_id");
        assert!(read(&path).is_err(), "it is not there");
        std::fs::write(&path, "\n").unwrap();
        assert!(read(&path).is_err(), "it is empty");
        std::fs::write(&path, "5a1d\n").unwrap();
        assert_eq!(read(&path).unwrap(), "5a1d");
        assert_eq!(
            identity(),
            identity(),
            "asked twice, the machine is the same"
        );
    }
}
