//! The files of a certificate, and their content.

use std::io::Read as _;
use std::{fs, io};

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use crate::file::File;
use crate::validity::Validity;
use crate::{TlsError, provider};

/// A longer file holds no certificate, and is not read.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The files of a certificate, all in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate, and the certificates between it and its authority.
    pub cert: File,
    /// The certificate's private key.
    pub key: File,
    /// The authorities that peers' certificates are checked against.
    pub ca: Option<File>,
}

/// The bytes of all files, read at about the same time.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    ca: Option<Vec<u8>>,
}

/// The parsed content of the files.
pub struct Material {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) authorities: Option<RootCertStore>,
    /// When the first of the certificate and its chain expires, in seconds of Unix time.
    pub(crate) expires_at: i64,
}

impl File {
    fn read(&self) -> Result<Vec<u8>, TlsError> {
        let read = || {
            let mut bytes = Vec::new();
            let file = fs::File::open(&self.path)?;
            file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|source: io::Error| TlsError::Read {
            flag: self.flag,
            path: self.path.clone(),
            source,
        })?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(TlsError::content(self, "too long for a PEM file"));
        }
        Ok(bytes)
    }

    fn certificates(&self, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let parsed: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(bytes).collect();
        let certificates = parsed.map_err(|error| TlsError::content(self, error.to_string()))?;
        if certificates.is_empty() {
            return Err(TlsError::content(self, "no certificate in PEM"));
        }
        Ok(certificates)
    }
}

impl Files {
    /// Reads all files.
    pub(crate) fn read(&self) -> Result<Contents, TlsError> {
        Ok(Contents {
            cert: self.cert.read()?,
            key: self.key.read()?,
            ca: self.ca.as_ref().map(File::read).transpose()?,
        })
    }

    /// Parses the files. A certificate that is not valid at `now` (seconds of Unix time), or whose
    /// key is another, is refused.
    pub(crate) fn parse(&self, contents: &Contents, now: i64) -> Result<Material, TlsError> {
        let chain = self.cert.certificates(&contents.cert)?;
        let mut expires_at = i64::MAX;
        for certificate in &chain {
            let validity = Validity::of(certificate)
                .ok_or_else(|| TlsError::content(&self.cert, "no X.509 certificate"))?;
            validity
                .check(now)
                .map_err(|reason| TlsError::content(&self.cert, reason))?;
            expires_at = expires_at.min(validity.not_after);
        }
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|error| {
            let reason = match error {
                pem::Error::NoItemsFound => "no private key in PEM".to_owned(),
                other => other.to_string(),
            };
            TlsError::content(&self.key, reason)
        })?;
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider()).map_err(|error| {
            let cert = self.cert.path.display();
            let reason = format!("not usable with the certificate in {cert}: {error}");
            TlsError::content(&self.key, reason)
        })?;
        let authorities = self.ca.as_ref().zip(contents.ca.as_ref());
        let authorities = authorities.map(|(file, bytes)| authorities_of(file, bytes));
        Ok(Material {
            chain,
            key,
            authorities: authorities.transpose()?,
            expires_at,
        })
    }
}

fn authorities_of(file: &File, bytes: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in file.certificates(bytes)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::content(file, error.to_string()))?;
    }
    Ok(roots)
}

impl Contents {
    /// A digest of all bytes: equal only if the files are.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        let ca = self.ca.as_deref().unwrap_or_default();
        for bytes in [&self.cert, &self.key, ca] {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        }
        digest.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use coterie_certificates::Authority;

    use super::*;
    use crate::test_authority::{files, now, of};

    fn reason(files: &Files) -> String {
        let parsed = files.read().and_then(|bytes| files.parse(&bytes, now()));
        let error = parsed.err().unwrap();
        match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    }

    #[test]
    fn an_error_names_the_flag_of_the_file() {
        let authority = Authority::new("a");
        let good = files(&authority, "coterie");
        assert!(good.read().and_then(|all| good.parse(&all, now())).is_ok());

        let mut broken = good.clone();
        broken.cert.path = good.cert.path.with_file_name("absent");
        assert!(
            reason(&broken).contains("absent (--cert)"),
            "{}",
            reason(&broken)
        );
        broken.cert.path = good.key.path.clone();
        assert!(
            reason(&broken).contains("(--cert): no certificate"),
            "{}",
            reason(&broken)
        );

        let mut broken = good.clone();
        broken.key.path = good.cert.path.clone();
        assert!(
            reason(&broken).contains("(--key): no private key"),
            "{}",
            reason(&broken)
        );
        broken.key.path = files(&authority, "coterie").key.path;
        assert!(
            reason(&broken).contains("(--key): not usable"),
            "{}",
            reason(&broken)
        );
    }

    #[test]
    fn an_expired_certificate_is_refused_with_its_date() {
        let authority = Authority::new("a");
        let files = of(&authority, authority.sign_expired(&["coterie"]));
        let reason = reason(&files);
        assert!(reason.contains("(--cert): it expired at 2001-"), "{reason}");
    }

    #[test]
    fn a_changed_byte_changes_the_digest() {
        let authority = Authority::new("a");
        let files = files(&authority, "coterie");
        let before = files.read().unwrap();
        let mut after = before.clone();
        assert_eq!(before.digest(), after.digest());
        after.ca.as_mut().unwrap().push(b'\n');
        assert_ne!(before.digest(), after.digest());
    }
}
