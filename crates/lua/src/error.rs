//! The errors that a client sees when its script cannot be run, or does not end well.

use crate::Stop;

/// Why a script or a function has no reply. [`ScriptError::line`] is the client's error line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// The shebang line is refused, or the text is no Lua. The line, without `-`.
    #[error("{0}")]
    Compile(String),
    /// The script raised an error. The line, without `-`.
    #[error("{0}")]
    Run(String),
    /// The host ended the script.
    #[error("{line}")]
    Stopped {
        /// The host's reason.
        stop: Stop,
        /// The line, without `-`.
        line: String,
    },
    /// The library is not loaded, or it has no such function.
    #[error("ERR Function not found")]
    NoFunction,
}

impl ScriptError {
    /// The error line for the client: code and text, without `-`, CR and LF.
    pub fn line(&self) -> String {
        self.to_string()
    }

    /// An error of compilation with the code `ERR`.
    pub(crate) fn compile(text: impl std::fmt::Display) -> Self {
        Self::Compile(one_line(&format!("ERR {text}")))
    }
}

/// The text without CR and LF, which would end the line early. Those at the end are dropped, others
/// become blanks, as in Redis (`networking.c`, `addReplyErrorSdsEx`).
pub(crate) fn one_line(text: &str) -> String {
    text.trim_end_matches(['\r', '\n'])
        .replace(['\r', '\n'], " ")
}
