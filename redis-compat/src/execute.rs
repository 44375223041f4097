//! From a command with its row to the bytes of its reply.

use bytes::BytesMut;

use crate::errors::OF_THE_PROXY;
use crate::{Args, CommandError, EvalError, Fault, Reply, Resolved, Resp, Run, Txn};

/// Runs a command in `txn` and appends its reply, or Redis' error line, to `out`.
///
/// `Err` means this node alone failed: nothing of the entry may be applied. The caller has checked
/// that the keys are the group's own.
pub fn execute(
    txn: &mut Txn<'_>,
    command: &Resolved,
    resp: Resp,
    out: &mut BytesMut,
) -> Result<(), Fault> {
    txn.set_table(command.table());
    txn.set_resp(resp);
    let reply = match run(txn, command) {
        Ok(reply) => reply,
        Err(EvalError::Rejected(error)) => error.into(),
        Err(EvalError::Fault(fault)) => return Err(fault),
    };
    reply.encode(resp, out);
    Ok(())
}

fn run(txn: &mut Txn<'_>, command: &Resolved) -> Result<Reply, EvalError> {
    let row = command.row().map_err(CommandError::clone)?;
    let Run::Group(function) = row.run else {
        return Err(OF_THE_PROXY.into());
    };
    txn.set_writing(row.is_write());
    function(txn, &Args::new(command.args(), row.name))
}
