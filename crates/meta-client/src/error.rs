//! Why meta gave no answer, by what the caller may conclude.

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// Surely not done: no member that leads was reached in time. The last thing that was in the
    /// way is told.
    #[error("meta is unavailable: {reason}")]
    Unavailable {
        /// The last refusal or failure.
        reason: String,
    },
    /// It may have been done: read before trying again.
    #[error("the fate of the proposal is unknown")]
    Unknown,
    /// Meta did not understand the request, or this process did not understand the answer: they are
    /// of different versions.
    #[error("meta and this process do not understand each other: {reason}")]
    Misunderstood {
        /// What was not understood.
        reason: String,
    },
}
