//! The cluster token: a secret shared by every process of a cluster, and proofs of knowing it.
//!
//! A proof is HMAC-SHA256 under the token of a label and both sides' nonces. The label differs by
//! side, so that a proof cannot be reflected to its sender. Proofs are compared in constant time.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a nonce, and of a proof.
pub(crate) const PROOF_BYTES: usize = 32;

/// The side that makes a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// A secret shared by the processes of a cluster. Never printed.
#[derive(Clone)]
pub struct Token(Arc<[u8]>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(***)")
    }
}

impl Token {
    /// The token with these bytes. The caller decides whether an empty token is acceptable.
    pub fn new(secret: impl AsRef<[u8]>) -> Self {
        Self(Arc::from(secret.as_ref()))
    }

    /// The proof that `side` knows the token, in a handshake with these hellos.
    pub(crate) fn prove(&self, side: Side, transcript: &[&[u8]]) -> [u8; PROOF_BYTES] {
        self.mac(side, transcript).finalize().into_bytes().into()
    }

    /// Whether `proof` is the valid proof of `side`; takes the same time wherever it differs.
    pub(crate) fn verify(&self, side: Side, transcript: &[&[u8]], proof: &[u8]) -> bool {
        self.mac(side, transcript).verify_slice(proof).is_ok()
    }

    fn mac(&self, side: Side, transcript: &[&[u8]]) -> Hmac<Sha256> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            unreachable!("HMAC takes keys of every length")
        };
        mac.update(match side {
            Side::Client => b"coterie rpc client",
            Side::Server => b"coterie rpc server",
        });
        for part in transcript {
            mac.update(part);
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_side_token_and_transcript_only() {
        let token = Token::new("secret");
        let proof = token.prove(Side::Client, &[b"a", b"b"]);
        assert!(token.verify(Side::Client, &[b"a", b"b"], &proof));
        assert!(
            !token.verify(Side::Server, &[b"a", b"b"], &proof),
            "reflected"
        );
        assert!(!token.verify(Side::Client, &[b"a", b"c"], &proof));
        assert!(!Token::new("other").verify(Side::Client, &[b"a", b"b"], &proof));
        assert!(!token.verify(Side::Client, &[b"a", b"b"], &proof[..31]));
    }

    #[test]
    fn a_token_is_not_printed() {
        assert_eq!(format!("{:?}", Token::new("secret")), "Token(***)");
    }
}
