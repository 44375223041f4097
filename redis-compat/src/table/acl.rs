//! Rows of the commands about users and their rights (`acl`).

use crate::Flags as F;
use crate::command::{Command, Part, Topic, command};

pub(super) const PART: Part = Part::new(ROWS, crate::acl::ACL_LINES);

const ROWS: &[Command] = &[
    command(Topic::Server, "acl")
        .container()
        .docs(
            "6.0.0",
            "Depends on subcommand",
            "A container for commands about users and their rights.",
        )
        .deviation(
            "The cluster keeps the users: a change holds on every proxy and outlasts restarts. \
            See [users and rights](users.md).",
        ),
    command(Topic::Server, "acl|cat")
        .syntax("[categoryname]")
        .flags(F::SESSION)
        .docs(
            "6.0.0",
            "O(1)",
            "Lists the categories of commands, or the commands of a category.",
        )
        .deviation("Commands come in the order of `COMMAND`."),
    command(Topic::Server, "acl|deluser")
        .syntax("username ...")
        .flags(F::ADMINISTERS)
        .docs(
            "6.0.0",
            "O(1) for each user",
            "Removes users, and closes their connections.",
        )
        .deviation("Not within MULTI."),
    command(Topic::Server, "acl|dryrun")
        .syntax("username command [arg ...]")
        .flags(F::ADMINISTERS)
        .docs(
            "7.0.0",
            "O(1)",
            "Tells whether a user may run a command, without running it.",
        ),
    command(Topic::Server, "acl|genpass")
        .syntax("[bits:integer]")
        .flags(F::SESSION)
        .docs("6.0.0", "O(1)", "Returns a random password."),
    command(Topic::Server, "acl|getuser")
        .syntax("username")
        .flags(F::ADMINISTERS)
        .docs(
            "6.0.0",
            "O(N) where N is the number of rules of the user",
            "Returns the rules of a user.",
        ),
    command(Topic::Server, "acl|help").flags(F::ANY_TIME).docs(
        "6.0.0",
        "O(1)",
        "Lists the subcommands.",
    ),
    command(Topic::Server, "acl|list")
        .flags(F::ADMINISTERS)
        .docs(
            "6.0.0",
            "O(N) where N is the number of users",
            "Lists all users with their rules.",
        ),
    command(Topic::Server, "acl|load")
        .flags(F::ADMINISTERS)
        .docs(
            "6.0.0",
            "O(N) where N is the number of users",
            "Replaces the users by those of the ACL file.",
        )
        .deviation(
            "It reads the file of this proxy (`--aclfile`) and changes the users of the cluster. \
            Not within MULTI.",
        ),
    command(Topic::Server, "acl|log")
        .syntax("[operation(count:integer|RESET)]")
        .flags(F::ADMINISTERS)
        .docs(
            "6.0.0",
            "O(N) where N is the number of entries shown",
            "Lists commands that were denied lately, and failed authentications.",
        )
        .deviation(
            "It shows the denials of this proxy. Names are cut after 1024 bytes. It needs all \
            keys.",
        ),
    command(Topic::Server, "acl|save")
        .flags(F::ADMINISTERS)
        .docs(
            "6.0.0",
            "O(N) where N is the number of users",
            "Saves the users in the ACL file.",
        )
        .deviation(
            "Users are saved with each change. With `--aclfile` it also writes the file of this \
            proxy.",
        ),
    command(Topic::Server, "acl|setuser")
        .syntax("username [rule ...]")
        .flags(F::ADMINISTERS)
        .docs(
            "6.0.0",
            "O(N) where N is the number of rules given",
            "Creates a user, or changes its rules.",
        )
        .deviation("Not within MULTI. All users together have at most 4 MiB of rules."),
    command(Topic::Server, "acl|users")
        .flags(F::ADMINISTERS)
        .docs(
            "6.0.0",
            "O(N) where N is the number of users",
            "Lists the names of all users.",
        ),
    command(Topic::Server, "acl|whoami").flags(F::SESSION).docs(
        "6.0.0",
        "O(1)",
        "Returns the name of the connection's user.",
    ),
];
