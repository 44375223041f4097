//! A file system small enough to be filled: a tmpfs, mounted for one test and unmounted after it.
//!
//! Mounting takes root; without it the test prints SKIPPED.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

/// A mounted file system of a given size.
#[derive(Debug)]
pub struct SmallDisk {
    dir: TempDir,
    mounted: PathBuf,
}

impl SmallDisk {
    /// Mounts a file system of this size. `None`, after a line with SKIPPED, if this process may
    /// not mount.
    pub fn mount(mebibytes: usize) -> anyhow::Result<Option<Self>> {
        let dir = tempfile::Builder::new()
            .prefix("coterie-small-disk-")
            .tempdir()?;
        let mounted = dir.path().join("disk");
        std::fs::create_dir(&mounted)?;
        let options = CString::new(format!("size={mebibytes}m"))?;
        match mount(
            "tmpfs",
            &mounted,
            "tmpfs",
            MountFlags::empty(),
            options.as_c_str(),
        ) {
            Ok(()) => Ok(Some(Self { dir, mounted })),
            Err(error) => {
                eprintln!("SKIPPED: a small file system cannot be mounted: {error}");
                Ok(None)
            }
        }
    }

    /// The mount point.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mounted
    }

    /// Fills the disk except for `leaving` bytes, with a file that can be removed.
    pub fn fill(&self, leaving: u64) -> anyhow::Result<PathBuf> {
        let path = self.mounted.join("filler");
        let file = std::fs::File::create(&path)?;
        let stat = rustix::fs::statvfs(&self.mounted)?;
        let free = stat.f_bavail * stat.f_frsize;
        rustix::fs::fallocate(
            &file,
            rustix::fs::FallocateFlags::empty(),
            0,
            free.saturating_sub(leaving),
        )?;
        Ok(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that was just killed may still be closing its files.
        if let Err(error) = unmount(&self.mounted, UnmountFlags::DETACH) {
            eprintln!("{} stays mounted: {error}", self.dir.path().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_disk_takes_no_more_until_something_is_removed() {
        let Some(disk) = SmallDisk::mount(4).expect("mounts or skips") else {
            return;
        };
        let filler = disk.fill(0).expect("fills");
        let other = disk.path().join("other");
        assert!(std::fs::write(&other, [0; 8192]).is_err());
        std::fs::remove_file(filler).expect("removes");
        std::fs::write(&other, [0; 8192]).expect("writes again");
    }
}
