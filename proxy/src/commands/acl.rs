//! `ACL`: users and their rights (Redis `acl.c`, `aclCommand`).
//!
//! Replies come from the users that this proxy knows (`rights`); changes go to meta (`change`), and
//! answer once this proxy follows them.

mod change;
mod show;

use bytes::Bytes;
use coterie_redis_compat::acl::{GENPASS_BITS, of_category};
use coterie_redis_compat::errors::NOT_AN_INTEGER;
use coterie_redis_compat::{Categories, CommandError, Reply, lookup, lookup_subcommand, number};

use super::{Answer, Handler, Local, Named};

pub(crate) use change::set_requirepass;

pub(super) const HANDLERS: &[Named] = &[
    ("acl|cat", Handler::Now(cat)),
    ("acl|deluser", alone!(change::deluser)),
    ("acl|dryrun", Handler::Now(dryrun)),
    ("acl|genpass", Handler::Now(genpass)),
    ("acl|getuser", Handler::Now(show::getuser)),
    ("acl|help", Handler::Now(help)),
    ("acl|list", Handler::Now(show::list)),
    ("acl|load", alone!(change::load)),
    ("acl|log", Handler::Now(show::log)),
    ("acl|save", alone!(change::save)),
    ("acl|setuser", alone!(change::setuser)),
    ("acl|users", Handler::Now(show::users)),
    ("acl|whoami", Handler::Now(whoami)),
];

/// The longest password that GENPASS makes.
const GENPASS_BITS_MAX: i64 = 4096;

/// `ACL WHOAMI`.
fn whoami(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let name = local.session.user.as_ref().map(|user| user.name().clone());
    Ok(Reply::bulk_or_null(name).into())
}

/// `ACL CAT [category]`.
fn cat(_: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let names: Vec<_> = match args {
        [_, _] => Categories::each()
            .filter_map(|category| category.words().next())
            .map(|word| Reply::text(&word[1..]))
            .collect(),
        [_, _, word] => {
            let category = Categories::from_word(word).ok_or_else(|| {
                let word = &word[..word.len().min(128)];
                CommandError::quoting("Unknown category '", word, "'")
            })?;
            let rows = of_category(category);
            rows.map(|row| Reply::text(row.name)).collect()
        }
        _ => return Err(super::subcommand_syntax(&args[1], "ACL")),
    };
    Ok(Reply::Array(names).into())
}

/// `ACL DRYRUN username command [arg ...]`.
fn dryrun(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let users = local.shared.users()?;
    let user = users.get(&args[2]);
    let user = user.ok_or_else(|| CommandError::quoting("User '", &args[2], "' not found"))?;
    let words = &args[3..];
    let unknown = || CommandError::quoting("Command '", &words[0], "' not found");
    let mut row = lookup(&words[0])
        .filter(|row| !row.is_internal())
        .ok_or_else(unknown)?;
    if row.is_container()
        && let Some(word) = words.get(1)
    {
        row = lookup_subcommand(row, word).ok_or_else(unknown)?;
    }
    if !row.takes(words.len()) {
        return Err(CommandError::WrongArity(row.name));
    }
    Ok(match user.check(row, words) {
        Ok(()) => Reply::OK,
        Err(denial) => Reply::Bulk(denial.of_dry_run(row, words)),
    }
    .into())
}

/// `ACL GENPASS [bits]`.
fn genpass(_: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let bits = match args {
        [_, _] => 256,
        [_, _, bits] => number::parse_int(bits).ok_or(NOT_AN_INTEGER)?,
        _ => return Err(super::subcommand_syntax(&args[1], "ACL")),
    };
    if !(1..=GENPASS_BITS_MAX).contains(&bits) {
        return Err(GENPASS_BITS);
    }
    let digits = usize::try_from(bits).unwrap_or(0).div_ceil(4);
    let mut bytes = vec![0; digits.div_ceil(2)];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the operating system has no random bytes");
        CommandError::TryAgain("no random bytes".to_owned())
    })?;
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(digits);
    Ok(super::text(text).into())
}

/// `ACL HELP`.
fn help(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::help(
        "ACL",
        &[
            "CAT [<category>]",
            "    List all commands that belong to <category>, or all command categories",
            "    when no category is specified.",
            "DELUSER <username> [<username> ...]",
            "    Delete a list of users.",
            "DRYRUN <username> <command> [<arg> ...]",
            "    Returns whether the user can execute the given command without executing the command.",
            "GETUSER <username>",
            "    Get the user's details.",
            "GENPASS [<bits>]",
            "    Generate a secure 256-bit user password. The optional `bits` argument can",
            "    be used to specify a different size.",
            "LIST",
            "    Show users details in config file format.",
            "LOAD",
            "    Reload users from the ACL file.",
            "LOG [<count> | RESET]",
            "    Show the ACL log entries.",
            "SAVE",
            "    Save the current config to the ACL file.",
            "SETUSER <username> <attribute> [<attribute> ...]",
            "    Create or modify a user with the specified attributes.",
            "USERS",
            "    List all the registered usernames.",
            "WHOAMI",
            "    Return the current connection username.",
        ],
    )
    .into())
}
