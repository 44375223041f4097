//! The error lines of `ACL`, and of commands that a user may not run.

use crate::CommandError;
use crate::errors::error_lines;

error_lines! {
    /// `ACL SETUSER` of a name that would break the lines of `ACL LIST`.
    pub BAD_USER_NAME = "ERR Usernames can't contain spaces or null characters";
    /// `ACL DELUSER default`.
    pub DEFAULT_USER_STAYS = "ERR The 'default' user cannot be removed";
    /// `ACL GENPASS` of no bits, or of too many.
    pub GENPASS_BITS = "ERR ACL GENPASS argument must be the number of bits for the output password, \
        a positive number up to 4096";
    /// `SORT BY` with a pattern, without the right to read all keys.
    pub SORT_BY_DENIED = "ERR BY option of SORT denied due to insufficient ACL permissions.";
    /// `SORT GET`, likewise.
    pub SORT_GET_DENIED = "ERR GET option of SORT denied due to insufficient ACL permissions.";
    /// A queued command that may not run any more.
    pub EXEC_DENIED_COMMAND = "NOPERM ACLs rules changed between the moment the transaction was \
        accumulated and the EXEC call. This command is no longer allowed for the following reason: \
        no permission to execute the command or subcommand";
    /// A queued command whose key may not be touched any more.
    pub EXEC_DENIED_KEY = "NOPERM ACLs rules changed between the moment the transaction was \
        accumulated and the EXEC call. This command is no longer allowed for the following reason: \
        no permission to touch the specified keys";
    /// A queued command whose channel may not be used any more.
    pub EXEC_DENIED_CHANNEL = "NOPERM ACLs rules changed between the moment the transaction was \
        accumulated and the EXEC call. This command is no longer allowed for the following reason: \
        no permission to access one of the channels used as arguments";
    /// A command that the user of a script may not run.
    pub SCRIPT_DENIED_COMMAND = "ERR The user executing the script can't run this command or \
        subcommand";
    /// A command of a script with a key that its user may not use so.
    pub SCRIPT_DENIED_KEY = "ERR The user executing the script can't access at least one of the keys \
        mentioned in the command arguments";
    /// A command of a script with a channel that its user may not use.
    pub SCRIPT_DENIED_CHANNEL = "ERR The user executing the script can't publish to the channel \
        mentioned in the command";
    /// `ACL LOAD` without a file.
    pub NO_ACL_FILE = "ERR This Redis instance is not configured to use an ACL file. The cluster keeps \
        the users: ACL SETUSER changes them on every proxy, and they outlast restarts.";
    /// `ACL SAVE` into a file that cannot be written.
    pub ACL_NOT_SAVED = "ERR There was an error trying to save the ACLs. Please check the server logs \
        for more information";
    /// A proxy that does not know its users yet.
    pub USERS_UNKNOWN = "LOADING Coterie is starting: users are not known yet";
}

pub(super) const ACL_LINES: &[CommandError] = LINES;
