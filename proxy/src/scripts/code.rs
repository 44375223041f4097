//! Gives calls of scripts and functions their code: the words that a group gets.

use bytes::Bytes;
use coterie_redis_compat::CommandError;
use coterie_redis_compat::errors::{NO_FUNCTION, NO_SCRIPT};

use super::Scripts;
use crate::conn::Call;

impl Scripts {
    /// Adds the code to a call: `EVALSHA` becomes `EVAL`, and `FCALL` becomes `_FCALL`. The row
    /// stays that of the client's command; the keys stay at their places.
    ///
    /// Errors: `NO_SCRIPT`, `NO_FUNCTION`; words that make no sense are left to others.
    pub(crate) fn add_code(&self, call: &mut Call) -> Result<(), CommandError> {
        let name = call.row.name;
        if call.row.validate(&call.args).is_err() || !is_bare(call) {
            return Ok(());
        }
        match name {
            "eval" | "eval_ro" => self.saw(&call.args[1]),
            "evalsha" | "evalsha_ro" => {
                let body = self.body(&call.args[1]).ok_or(NO_SCRIPT)?;
                let name = if name == "evalsha" { "EVAL" } else { "EVAL_RO" };
                call.args[0] = Bytes::from_static(name.as_bytes());
                call.args[1] = body;
            }
            _ => {
                let functions = self.functions();
                let library = functions.library_of(&call.args[1]).ok_or(NO_FUNCTION)?;
                let name = if name == "fcall" {
                    "_FCALL"
                } else {
                    "_FCALL_RO"
                };
                call.args[0] = Bytes::from_static(name.as_bytes());
                call.args.push(library.code.clone());
            }
        }
        Ok(())
    }
}

/// Whether the words are still those of the client.
fn is_bare(call: &Call) -> bool {
    call.args[0].eq_ignore_ascii_case(call.row.name.as_bytes())
}
