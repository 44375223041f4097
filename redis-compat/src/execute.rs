//! From the words of a command to the bytes of its reply.
//!
//! [`resolve`] finds the row and checks the number of words, in the order and with the words of
//! Redis (`server.c`, `processCommand`); the proxy calls it before it routes. The group looks the
//! command up again ([`Resolved`]), since a log entry may come from a proxy of another version.

use bytes::{Bytes, BytesMut};

use crate::errors::{OF_THE_PROXY, SYNTAX};
use crate::{
    Args, Command, CommandError, EvalError, Fault, Reply, Resolved, Resp, Run, Txn, table::lookup,
    table::lookup_subcommand,
};

/// The row for `args`, a subcommand's where the command is a container.
pub fn resolve(args: &[Bytes]) -> Result<&'static Command, CommandError> {
    let name = args.first().ok_or(SYNTAX)?;
    let unknown = || CommandError::UnknownCommand(name.clone(), args[1..].to_vec());
    let mut command = lookup(name).ok_or_else(unknown)?;
    if command.is_container()
        && let Some(word) = args.get(1)
    {
        command = lookup_subcommand(command, word)
            .ok_or_else(|| CommandError::UnknownSubcommand(word.clone(), command.name))?;
    }
    if command.takes(args.len()) {
        Ok(command)
    } else {
        Err(CommandError::WrongArity(command.name))
    }
}

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
