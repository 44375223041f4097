//! Errors of a request to meta, by the conclusion the caller may draw.

/// Why meta gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// Certainly not done: no leader was reached in time. Carries the last reason.
    #[error("meta is unavailable: {reason}")]
    Unavailable {
        /// The last refusal or failure.
        reason: String,
    },
    /// It may have been done: read before retrying.
    #[error("the fate of the proposal is unknown")]
    Unknown,
    /// Meta could not decode the request, or this process could not decode the answer: they are of
    /// different versions.
    #[error("meta and this process do not understand each other: {reason}")]
    Misunderstood {
        /// The reason.
        reason: String,
    },
}
