//! The ACL file of a proxy (`--aclfile`): read when the proxy starts and by `ACL LOAD`, written by
//! `ACL SAVE`.
//!
//! At the first start of a cluster, when meta keeps no user yet, the users of the file become the
//! cluster's. Later starts only check the file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use coterie_protocol::objects::{ObjectChange, ObjectKind, ObjectName};
use coterie_redis_compat::acl::{FileError, Reading, User, Users, parse_file};

/// See the module's head.
#[derive(Debug, Clone)]
pub(crate) struct AclFile(PathBuf);

/// Why an ACL file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AclFileError {
    /// It cannot be read or written.
    #[error("Error loading ACLs, opening file '{0}': {1}")]
    Io(PathBuf, #[source] io::Error),
    /// Lines of it make no sense.
    #[error("{0}")]
    Lines(#[from] FileError),
}

impl AclFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The users of the file.
    pub(crate) fn read(&self, reading: Reading) -> Result<Vec<User>, AclFileError> {
        let text = fs::read(&self.0).map_err(|error| AclFileError::Io(self.0.clone(), error))?;
        Ok(parse_file(&self.0.to_string_lossy(), &text, reading)?)
    }

    /// Writes all users into the file, in place of the file: it is whole whenever it is read.
    pub(crate) fn write(&self, users: &Users) -> io::Result<()> {
        let mut text = Vec::new();
        for user in users.iter() {
            text.extend([b"user ", &user.name()[..], b" ", &user.rules(), b"\n"].concat());
        }
        let aside = self.0.with_extension(format!("tmp-{}", std::process::id()));
        let written = fs::write(&aside, text).and_then(|()| fs::rename(&aside, &self.0));
        if written.is_err() {
            // It may not be there.
            let _ = fs::remove_file(&aside);
        }
        written
    }
}

/// The change that writes these users.
pub(crate) fn put_all(users: &[User]) -> Vec<ObjectChange> {
    let put = |user: &User| {
        let name = ObjectName::new(ObjectKind::User, user.name().clone());
        ObjectChange::Put(name, user.rules())
    };
    users.iter().map(put).collect()
}
