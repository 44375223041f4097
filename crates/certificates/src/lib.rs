//! Certificates for tests: an authority, and files of certificates that it signs.
//!
//! Only tests depend on this crate. It panics where a test would.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

/// An authority. Its directory holds all files, and is removed with it.
#[derive(Debug)]
pub struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
    made: AtomicUsize,
}

/// The files of a certificate, in PEM.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Authority {
    /// A new authority.
    ///
    /// # Panics
    /// When the files cannot be written.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        fs::write(dir.path().join("ca.pem"), pem).unwrap();
        Self {
            dir,
            issuer: Issuer::new(params, key),
            made: AtomicUsize::new(0),
        }
    }

    /// The directory of all files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The authority's own certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A new certificate for these names or addresses.
    ///
    /// # Panics
    /// When a name is none, or the files cannot be written.
    #[must_use]
    pub fn sign(&self, names: &[&str]) -> Signed {
        self.write(params(names))
    }

    /// A certificate that expired long ago.
    ///
    /// # Panics
    /// As [`Authority::sign`].
    #[must_use]
    pub fn sign_expired(&self, names: &[&str]) -> Signed {
        let mut params = params(names);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.write(params)
    }

    fn write(&self, params: CertificateParams) -> Signed {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let file = |name: &str, content: &str| {
            let path = self.dir.path().join(format!("{name}-{number}.pem"));
            fs::write(&path, content).unwrap();
            path
        };
        Signed {
            cert: file("cert", &cert.pem()),
            key: file("key", &key.serialize_pem()),
        }
    }
}

impl Signed {
    /// Copies these files over those of `other`, as a renewal does: one after the other.
    ///
    /// # Panics
    /// When a file cannot be written.
    pub fn replace(&self, other: &Signed) {
        fs::copy(&self.cert, &other.cert).unwrap();
        fs::copy(&self.key, &other.key).unwrap();
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    CertificateParams::new(names).unwrap()
}
