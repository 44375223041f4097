//! The fencing number of the newest controller that this node has heard of.

use std::path::PathBuf;

use coterie_files::write_atomically;
use coterie_protocol::server::ServerAnswer;
use parking_lot::Mutex;

/// The highest fencing number seen, including by earlier processes of this directory.
pub(crate) struct Fencing {
    path: PathBuf,
    seen: Mutex<u64>,
}

impl Fencing {
    /// Reads the highest number seen before.
    pub(crate) fn open(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        Self {
            path,
            seen: Mutex::new(text.trim_end().parse().unwrap_or(0)),
        }
    }

    /// `Err` with the number seen when `fence` is an older controller's.
    pub(crate) fn admit(&self, fence: u64) -> Result<(), ServerAnswer> {
        let mut seen = self.seen.lock();
        if fence < *seen {
            return Err(ServerAnswer::Fenced { seen: *seen });
        }
        if fence > *seen {
            write_atomically(&self.path, fence.to_string().as_bytes())
                .map_err(|error| ServerAnswer::Failed(format!("record the fence: {error}")))?;
            *seen = fence;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_controller_is_refused_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("FENCE");
        let fencing = Fencing::open(path.clone());
        assert!(fencing.admit(5).is_ok() && fencing.admit(5).is_ok());
        assert_eq!(fencing.admit(4), Err(ServerAnswer::Fenced { seen: 5 }));
        assert_eq!(
            Fencing::open(path).admit(4),
            Err(ServerAnswer::Fenced { seen: 5 })
        );
    }
}
