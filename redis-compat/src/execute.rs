//! From a command with its row to the bytes of its reply.

use bytes::{Bytes, BytesMut};
use coterie_types::{KeyRange, TableId};

use crate::errors::{OF_THE_LEADER, OF_THE_PROXY};
use crate::txn::Scope;
use crate::{Args, Command, CommandError, EvalError, Fault, Reply, Resolved, Resp, Run, Txn};

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
    let reply = match run(txn, command) {
        Ok(reply) => reply,
        Err(EvalError::Rejected(error)) => error.into(),
        Err(EvalError::Fault(fault)) => return Err(fault),
    };
    reply.encode(resp, out);
    Ok(())
}

/// The command's words in a form that means the same at every moment (`$` of XREAD); `None` if they
/// do already.
pub fn resolve_words(
    txn: &mut Txn<'_>,
    command: &Resolved,
) -> Result<Option<Vec<Bytes>>, EvalError> {
    let row = command.row().map_err(CommandError::clone)?;
    let Some(resolve) = row.waits.and_then(|waits| waits.resolve) else {
        return Ok(None);
    };
    let scope = txn.begin(command.table(), false);
    declare(scope, row, command.table(), command.args());
    let words = resolve(txn, &Args::new(command.args(), row.name));
    txn.end(words.is_ok());
    words
}

fn run(txn: &mut Txn<'_>, command: &Resolved) -> Result<Reply, EvalError> {
    let row = command.row().map_err(CommandError::clone)?;
    call(txn, row, command.table(), command.args())
}

/// Runs the function of a row, within the keys that the row declares. A command that fails leaves
/// no trace, however far it came.
fn call(
    txn: &mut Txn<'_>,
    command: &Command,
    table: TableId,
    args: &[Bytes],
) -> Result<Reply, EvalError> {
    let function = match command.run {
        Run::Group(function) => function,
        Run::Script => return Err(OF_THE_LEADER.into()),
        Run::Proxy => return Err(OF_THE_PROXY.into()),
    };
    let scope = txn.begin(table, command.is_write());
    declare(scope, command, table, args);
    let reply = function(txn, &Args::new(args, command.name));
    txn.end(reply.is_ok());
    reply
}

/// Adds the keys, or the interval of keys, that the row declares to an empty scope.
pub(crate) fn declare(scope: &mut Scope, command: &Command, table: TableId, args: &[Bytes]) {
    if let Some((start, end)) = command.interval(args) {
        scope.set_interval(KeyRange { table, start, end });
        return;
    }
    let mut add = |table, key: &Bytes| scope.add_key(table, key);
    if command.visit_keys(table, args, &mut add).is_err() {
        // Its words hide its keys: it declares none, and will say so.
        scope.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Topic, command};
    use crate::errors::UNDECLARED_KEY;
    use crate::txn::tests::{T, b, ctx, view_of};
    use crate::{Flags, KeyFlags, KeySpec};

    type Outcome = Result<Reply, EvalError>;

    const KEYS: &[KeySpec] = &[KeyFlags::RW.at(1)];

    /// A command whose first word is a key, and whose second word its function takes for another.
    const CALLS: [Command; 4] = [
        faulty(|txn, args| Ok(Reply::bulk_or_null(Some(txn.string_bytes(args.bytes(2))?)))),
        faulty(|txn, args| {
            txn.put_string(args.bytes(1).clone(), b("new"), None)?;
            txn.put_string(args.bytes(2).clone(), b("new"), None)?;
            Ok(Reply::OK)
        }),
        faulty(|txn, args| {
            txn.remove(args.bytes(1).clone())?;
            txn.remove(args.bytes(2).clone())?;
            Ok(Reply::OK)
        }),
        faulty(|txn, _| {
            txn.clear(coterie_types::KeyRange::all(T))?;
            Ok(Reply::OK)
        }),
    ];

    const fn faulty(function: fn(&mut Txn<'_>, &Args<'_>) -> Outcome) -> Command {
        command(Topic::Coterie, "faulty")
            .syntax("key word")
            .flags(Flags::WRITE)
            .keys(KEYS)
            .runs(function)
    }

    #[test]
    fn a_key_that_a_command_does_not_declare_is_refused() {
        let view = view_of(&[("declared", None), ("other", None)]);
        let args = [b("faulty"), b("declared"), b("other")];
        for row in &CALLS {
            let mut txn = Txn::new(&view, ctx(1));
            match call(&mut txn, row, T, &args) {
                Err(EvalError::Rejected(error)) => assert_eq!(error, UNDECLARED_KEY),
                other => panic!("{other:?}"),
            }
            let untouched = Txn::new(&view, ctx(1));
            assert_eq!(txn.finish(), untouched.finish(), "a trace is left");
        }
        let args = [b("faulty"), b("declared"), b("declared")];
        for row in &CALLS[..3] {
            let mut txn = Txn::new(&view, ctx(1));
            call(&mut txn, row, T, &args).unwrap();
        }
    }

    #[test]
    fn a_command_that_fails_takes_its_own_changes_back_and_no_others() {
        let view = view_of(&[("declared", None), ("other", None)]);
        let mut txn = Txn::new(&view, ctx(1));
        let fine = [b("faulty"), b("declared"), b("declared")];
        let failing = [b("faulty"), b("declared"), b("other")];
        call(&mut txn, &CALLS[1], T, &fine).unwrap();
        call(&mut txn, &CALLS[2], T, &failing).unwrap_err();
        let mut expected = Txn::new(&view, ctx(1));
        call(&mut expected, &CALLS[1], T, &fine).unwrap();
        assert_eq!(txn.changed_bytes(), expected.changed_bytes());
        // Within a transaction that is given up, both are taken back.
        let mut txn_given_up = Txn::new(&view, ctx(1));
        txn_given_up.set_savepoint();
        call(&mut txn_given_up, &CALLS[1], T, &fine).unwrap();
        call(&mut txn_given_up, &CALLS[2], T, &failing).unwrap_err();
        txn_given_up.roll_back();
        assert_eq!(txn_given_up.finish(), Txn::new(&view, ctx(1)).finish());
        assert_eq!(txn.finish(), expected.finish());
    }

    #[test]
    fn a_record_that_is_expired_is_met_again_by_the_next_command() {
        let view = view_of(&[("k", Some(5))]);
        let mut txn = Txn::new(&view, ctx(9));
        let mut run = |line: &[&'static str]| {
            let args: Vec<_> = line.iter().map(|word| b(word)).collect();
            run(&mut txn, &Resolved::new(T, args))
        };
        run(&["rename", "k", "other"]).unwrap_err();
        assert_eq!(run(&["exists", "k"]).unwrap(), Reply::Integer(0));
        assert_eq!(run(&["_expired", "k"]).unwrap(), Reply::Integer(1));
    }
}
