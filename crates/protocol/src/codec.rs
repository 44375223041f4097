//! Postcard for control messages: small, not self-describing, versioned by the connection.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A message that could not be decoded: cut short, of another version, or hostile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("decode {what}: {reason}")]
pub struct DecodeError {
    /// The kind of message.
    pub what: &'static str,
    /// The defect.
    pub reason: String,
}

impl DecodeError {
    /// An error about `what`.
    pub fn new(what: &'static str, reason: impl Into<String>) -> Self {
        Self {
            what,
            reason: reason.into(),
        }
    }
}

/// Encodes a control message.
///
/// # Panics
/// Never for the types of this crate: postcard fails only for sequences of unknown length.
#[must_use]
pub fn encode<T: Serialize>(message: &T) -> Bytes {
    match postcard::to_stdvec(message) {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) => unreachable!("control messages have known lengths: {error}"),
    }
}

/// Decodes a control message; bytes left over are an error too.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let what = std::any::type_name::<T>();
    let (message, rest) =
        postcard::take_from_bytes(bytes).map_err(|e| DecodeError::new(what, e.to_string()))?;
    if rest.is_empty() {
        Ok(message)
    } else {
        Err(DecodeError::new(
            what,
            format!("{} bytes left over", rest.len()),
        ))
    }
}
