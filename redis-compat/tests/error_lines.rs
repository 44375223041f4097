//! Error lines against those a real Redis gives: the words of `CommandError` are Redis' own.
//!
//! Errors that random commands provoke are compared by `differential.rs`; here stand all that a
//! server without further set-up can be made to say, those of the proxy among them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use common::real::Server;
use common::words;
use coterie_redis_compat::{CommandError as E, Reply, Resp, acl, all_error_lines, errors};

fn line(error: E) -> Bytes {
    let mut out = BytesMut::new();
    Reply::from(error).encode(Resp::V2, &mut out);
    out.freeze()
}

fn b(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// Commands and the lines that never change which a Redis answers.
const FIXED: &[(&str, &str)] = &[
    (
        "get list",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
    ),
    ("incr text", "ERR value is not an integer or out of range"),
    ("incr number", "ERR increment or decrement would overflow"),
    (
        "decrby number -9223372036854775808",
        "ERR decrement would overflow",
    ),
    ("incrbyfloat text 1", "ERR value is not a valid float"),
    (
        "incrbyfloat number inf",
        "ERR increment would produce NaN or Infinity",
    ),
    ("set k v nothing", "ERR syntax error"),
    ("rename none k", "ERR no such key"),
    ("setrange text -1 x", "ERR offset is out of range"),
    (
        "setrange text 536870912 x",
        "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
    ),
    (
        "setbit text -1 1",
        "ERR bit offset is not an integer or out of range",
    ),
    (
        "setbit text 1 2",
        "ERR bit is not an integer or out of range",
    ),
    ("bitpos text 2", "ERR The bit argument must be 1 or 0."),
    (
        "bitop not k text text",
        "ERR BITOP NOT must be called with a single source key.",
    ),
    (
        "bitfield text get u64 0",
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but \
         i64 is.",
    ),
    (
        "bitfield text overflow x",
        "ERR Invalid OVERFLOW type specified",
    ),
    (
        "bitfield_ro text set u8 0 1",
        "ERR BITFIELD_RO only supports the GET subcommand",
    ),
    ("hincrby hash text 1", "ERR hash value is not an integer"),
    ("hincrbyfloat hash text 1", "ERR hash value is not a float"),
    ("hincrbyfloat hash text inf", "ERR value is NaN or Infinity"),
    (
        "hrandfield hash -9223372036854775807 withvalues",
        "ERR value is out of range",
    ),
    (
        "spop none -1",
        "ERR value is out of range, must be positive",
    ),
    ("sintercard 0 none", "ERR numkeys should be greater than 0"),
    (
        "sintercard 2 none",
        "ERR Number of keys can't be greater than number of args",
    ),
    ("sintercard 1 none limit -1", "ERR LIMIT can't be negative"),
    (
        "lcs text hash",
        "ERR The specified keys must contain string values",
    ),
    (
        "lcs text text len idx",
        "ERR If you want both the length and indexes, please just use IDX.",
    ),
    ("lset list 1 x", "ERR index out of range"),
    (
        "lpop list -1",
        "ERR value is out of range, must be positive",
    ),
    (
        "lpos list a rank 0",
        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
         negative to start from the end of the list",
    ),
    ("lpos list a count -1", "ERR COUNT can't be negative"),
    ("lpos list a maxlen -1", "ERR MAXLEN can't be negative"),
    ("lmpop 0 list left", "ERR numkeys should be greater than 0"),
    (
        "lmpop 1 list left count 0",
        "ERR count should be greater than 0",
    ),
    (
        "pfadd text a",
        "WRONGTYPE Key is not a valid HyperLogLog string value.",
    ),
    ("pfcount broken", "INVALIDOBJ Corrupted HLL object detected"),
    (
        "pfdebug encoding none",
        "ERR The specified key does not exist",
    ),
    ("pfdebug decode dense", "ERR HLL encoding is not sparse"),
    ("move text 16", "ERR DB index is out of range"),
    ("select 16", "ERR DB index is out of range"),
    ("select x", "ERR value is not an integer or out of range"),
    (
        "copy text text",
        "ERR source and destination objects are the same",
    ),
    ("scan x", "ERR invalid cursor"),
    (
        "object freq text",
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
         that when switching between policies at runtime LRU and LFU data will take some time to \
         adjust.",
    ),
    (
        "restore text 0 x",
        "BUSYKEY Target key name already exists.",
    ),
    (
        "restore k 0 x",
        "ERR DUMP payload version or checksum are wrong",
    ),
    ("restore k -1 x", "ERR Invalid TTL value, must be >= 0"),
    (
        "restore k 0 x idletime -1",
        "ERR Invalid IDLETIME value, must be >= 0",
    ),
    (
        "restore k 0 x freq 256",
        "ERR Invalid FREQ value, must be >= 0 and <= 255",
    ),
    (
        "expire text 1 nx xx",
        "ERR NX and XX, GT or LT options at the same time are not compatible",
    ),
    (
        "expire text 1 gt lt",
        "ERR GT and LT options at the same time are not compatible",
    ),
    (
        "zadd zset nx xx 1 a",
        "ERR XX and NX options at the same time are not compatible",
    ),
    (
        "zadd zset gt lt 1 a",
        "ERR GT, LT, and/or NX options at the same time are not compatible",
    ),
    (
        "zadd zset incr 1 a 2 b",
        "ERR INCR option supports a single increment-element pair",
    ),
    (
        "zincrby zset -inf infinite",
        "ERR resulting score is not a number (NaN)",
    ),
    ("zcount zset x 1", "ERR min or max is not a float"),
    (
        "zlexcount zset x 1",
        "ERR min or max not valid string range item",
    ),
    (
        "zrange zset 0 1 limit 0 1",
        "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
    ),
    (
        "zrange zset - + bylex withscores",
        "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
    ),
    (
        "zpopmin zset -1",
        "ERR value is out of range, must be positive",
    ),
    ("zmpop 0 zset min", "ERR numkeys should be greater than 0"),
    (
        "zmpop 1 zset min count 0",
        "ERR count should be greater than 0",
    ),
    ("zunion 1 zset weights x", "ERR weight value is not a float"),
    ("zintercard 1 zset limit -1", "ERR LIMIT can't be negative"),
    (
        "zrandmember zset -9223372036854775808",
        "ERR value is out of range, value must between -9223372036854775807 and \
         9223372036854775807",
    ),
    (
        "zrandmember zset 9223372036854775807 withscores",
        "ERR value is out of range",
    ),
    ("command getkeys nothing k", "ERR Invalid command specified"),
    (
        "command getkeys ping x",
        "ERR The command has no key arguments",
    ),
    (
        "command getkeys get a b",
        "ERR Invalid number of arguments specified for command",
    ),
    (
        "command getkeys zinter 9 a",
        "ERR Invalid arguments specified for command",
    ),
    (
        "georadius none 1 1 1 yd",
        "ERR unsupported unit provided. please use M, KM, FT, MI",
    ),
    ("georadius none 1 1 x m", "ERR need numeric radius"),
    ("georadius none 1 1 -1 m", "ERR radius cannot be negative"),
    (
        "geosearch none fromlonlat 1 1 bybox x 1 m",
        "ERR need numeric width",
    ),
    (
        "geosearch none fromlonlat 1 1 bybox 1 x m",
        "ERR need numeric height",
    ),
    (
        "geosearch none fromlonlat 1 1 bybox -1 1 m",
        "ERR height or width cannot be negative",
    ),
    ("georadius none 1 1 1 m count 0", "ERR COUNT must be > 0"),
    (
        "georadius none 1 1 1 m any",
        "ERR the ANY argument requires COUNT argument",
    ),
    (
        "georadius none 1 1 1 m store k withdist",
        "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD \
         options",
    ),
    (
        "geosearchstore k none fromlonlat 1 1 byradius 1 m withdist",
        "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
    ),
    (
        "georadiusbymember places none 1 m",
        "ERR could not decode requested zset member",
    ),
    (
        "sort list",
        "ERR One or more scores can't be converted into double",
    ),
    ("hello 9", "NOPROTO unsupported protocol version"),
    (
        "hello x",
        "ERR Protocol version is not an integer or out of range",
    ),
    (
        "auth wrong",
        "ERR AUTH <password> called without any password configured for the default user. Are you \
         sure your configuration is correct?",
    ),
    (
        "auth nobody wrong",
        "WRONGPASS invalid username-password pair or user is disabled.",
    ),
    ("exec", "ERR EXEC without MULTI"),
    ("discard", "ERR DISCARD without MULTI"),
    ("client kill 1.2.3.4:5", "ERR No such client"),
    ("client kill id 0", "ERR client-id should be greater than 0"),
    ("client list id x", "ERR Invalid client ID"),
    (
        "client setname a\u{1}b",
        "ERR Client names cannot contain spaces, newlines or special characters.",
    ),
    ("client no-evict x", "ERR syntax error"),
    (
        "client pause 1 x",
        "ERR CLIENT PAUSE mode must be WRITE or ALL",
    ),
    (
        "client unblock 1 x",
        "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
    ),
    (
        "client tracking on redirect 99999",
        "ERR The client ID you want redirect to does not exist",
    ),
    (
        "client caching yes",
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
         OPTOUT mode enabled",
    ),
    (
        "client tracking on prefix a",
        "ERR PREFIX option requires BCAST mode to be enabled",
    ),
    (
        "client tracking on bcast optin",
        "ERR OPTIN and OPTOUT are not compatible with BCAST",
    ),
    (
        "client tracking on optin optout",
        "ERR You can't specify both OPTIN mode and OPTOUT mode",
    ),
    (
        "config rewrite",
        "ERR The server is running without a config file",
    ),
    (
        "slowlog get -2",
        "ERR count should be greater than or equal to -1",
    ),
    (
        "xadd stream x f v",
        "ERR Invalid stream ID specified as stream command argument",
    ),
    (
        "xrange stream (18446744073709551615-18446744073709551615 +",
        "ERR invalid start ID for the interval",
    ),
    (
        "xrange stream - (0-0",
        "ERR invalid end ID for the interval",
    ),
    (
        "xadd stream 0-0 f v",
        "ERR The ID specified in XADD must be greater than 0-0",
    ),
    (
        "xadd stream 5-0 f v",
        "ERR The ID specified in XADD is equal or smaller than the target stream top item",
    ),
    (
        "xadd full * f v",
        "ERR The stream has exhausted the last possible ID, unable to add more items",
    ),
    (
        "xadd stream maxlen 1 minid 1 * f v",
        "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
    ),
    (
        "xadd stream maxlen -1 * f v",
        "ERR The MAXLEN argument must be >= 0.",
    ),
    (
        "xadd stream limit -1 * f v",
        "ERR The LIMIT argument must be >= 0.",
    ),
    (
        "xadd stream limit 1 * f v",
        "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
    ),
    (
        "xadd stream maxlen 1 limit 1 * f v",
        "ERR syntax error, LIMIT cannot be used without the special ~ option",
    ),
    (
        "xtrim stream limit 0",
        "ERR syntax error, XTRIM must be called with a trimming strategy",
    ),
    (
        "xsetid stream 5-0 entriesadded -1",
        "ERR entries_added must be positive",
    ),
    (
        "xsetid stream 5-0 maxdeletedid 6",
        "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
    ),
    (
        "xsetid stream 4-0",
        "ERR The ID specified in XSETID is smaller than the target stream top item",
    ),
    (
        "xsetid stream 5-0 entriesadded 0",
        "ERR The entries_added specified in XSETID is smaller than the target stream length",
    ),
    (
        "xread group g c streams stream 0",
        "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
    ),
    (
        "xread noack streams stream 0",
        "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
    ),
    (
        "xread streams stream >",
        "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> \
         <consumer> option.",
    ),
    (
        "xreadgroup count 1 count 1 streams stream >",
        "ERR Missing GROUP option for XREADGROUP",
    ),
    (
        "xreadgroup group g c streams stream $",
        "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of \
         this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID \
         would just return an empty result set.",
    ),
    (
        "xgroup create stream h 0 entriesread -2",
        "ERR value for ENTRIESREAD must be positive or -1",
    ),
    (
        "xgroup create none g 0",
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to \
         use the MKSTREAM option to create an empty stream automatically.",
    ),
    (
        "xgroup create stream g 0",
        "BUSYGROUP Consumer Group name already exists",
    ),
    (
        "xclaim stream g c x 0",
        "ERR Invalid min-idle-time argument for XCLAIM",
    ),
    (
        "xclaim stream g c 0 0 idle x",
        "ERR Invalid IDLE option argument for XCLAIM",
    ),
    (
        "xclaim stream g c 0 0 time x",
        "ERR Invalid TIME option argument for XCLAIM",
    ),
    (
        "xclaim stream g c 0 0 retrycount x",
        "ERR Invalid RETRYCOUNT option argument for XCLAIM",
    ),
    (
        "xautoclaim stream g c x 0",
        "ERR Invalid min-idle-time argument for XAUTOCLAIM",
    ),
    ("xautoclaim stream g c 0 0 count 0", "ERR COUNT must be > 0"),
    (
        "module load /nothing",
        "ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", \
         you can run it from a local connection, otherwise you need to set this option in the \
         configuration file, and then restart the server.",
    ),
    ("failover abort", "ERR No failover in progress."),
    ("shutdown abort", "ERR No shutdown in progress."),
    ("wait x 0", "ERR value is not an integer or out of range"),
    ("wait 0 x", "ERR timeout is not an integer or out of range"),
    ("wait 0 -1", "ERR timeout is negative"),
    ("blpop none x", "ERR timeout is not a float or out of range"),
    (
        "acl deluser default",
        "ERR The 'default' user cannot be removed",
    ),
    (
        "acl setuser a\tb",
        "ERR Usernames can't contain spaces or null characters",
    ),
    (
        "acl genpass 4097",
        "ERR ACL GENPASS argument must be the number of bits for the output password, a positive \
         number up to 4096",
    ),
    (
        "evalsha nothing 0",
        "NOSCRIPT No matching script. Please use EVAL.",
    ),
    (
        "eval x 1",
        "ERR Number of keys can't be greater than number of args",
    ),
    ("eval x -1", "ERR Number of keys can't be negative"),
    (
        "eval_ro #!lua\nreturn 1 0",
        "ERR Can not execute a script with write flag using *_ro command.",
    ),
    ("fcall nothing 0", "ERR Function not found"),
    ("script kill", "NOTBUSY No scripts in execution right now."),
    (
        "script flush x",
        "ERR SCRIPT FLUSH only support SYNC|ASYNC option",
    ),
    (
        "function flush x",
        "ERR FUNCTION FLUSH only supports SYNC|ASYNC option",
    ),
    ("function delete nothing", "ERR Library not found"),
    (
        "function list libraryname",
        "ERR library name argument was not given",
    ),
    (
        "function restore x nothing",
        "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
    ),
];

/// Lines that other tests of this file compare.
const COMPARED_BELOW: &[E] = &[
    errors::BCAST_SWITCHED,
    errors::CACHING_NO_WITHOUT_OPTOUT,
    errors::CACHING_YES_WITHOUT_OPTIN,
    acl::EXEC_DENIED_CHANNEL,
    acl::EXEC_DENIED_COMMAND,
    acl::EXEC_DENIED_KEY,
    acl::SORT_BY_DENIED,
    acl::SORT_GET_DENIED,
    errors::EXEC_ABORT,
    errors::NESTED_MULTI,
    errors::NOT_IN_MULTI,
    errors::NO_AUTH,
    errors::NO_AUTH_HELLO,
    errors::NO_PERM_CHANNEL,
    errors::NO_PERM_KEY,
    errors::OPT_SWITCHED,
    errors::REDIRECTED_TWICE,
    errors::WATCH_INSIDE_MULTI,
];

/// Lines of Redis that take more than words: half a gigabyte of memory, a damaged payload with a
/// good checksum (`differential.rs` makes some), ten thousand clients, a Redis since 7.2.
const NOT_COMPARED: &[&str] = &[
    "ERR timeout is out of range",
    "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
    "ERR Bad data format",
    "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE",
    "ERR LBOUND can't be greater than UBOUND",
    "ERR digest must be exactly 16 hexadecimal characters",
    "ERR invalid numkeys value",
    "ERR max number of clients reached",
    // Deadlines of fields and members, of Redis since 7.4.
    "ERR invalid expire time, must be >= 0",
    "ERR missing expire time",
    "ERR wrong number of arguments",
    "ERR Multiple condition flags specified",
    "ERR missing FIELDS argument",
    "ERR missing MEMBERS argument",
    "ERR FIELDS keyword specified multiple times",
    "ERR MEMBERS keyword specified multiple times",
    "ERR Mandatory argument FIELDS is missing or not at the right position",
    "ERR Mandatory argument MEMBERS is missing or not at the right position",
    "ERR Number of fields must be a positive integer",
    "ERR Number of members must be a positive integer",
    "ERR Parameter `numFields` should be greater than 0",
    "ERR Parameter `numMembers` should be greater than 0",
    "ERR invalid number of fields",
    "ERR invalid number of members",
    "ERR The `numfields` parameter must match the number of arguments",
    "ERR The `nummembers` parameter must match the number of arguments",
    "ERR Only one of FXX or FNX arguments can be specified",
    "ERR Only one of MXX or MNX arguments can be specified",
    "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
    "ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified",
    "ERR wrong number of key-value pairs",
    "ERR Elements are too large to be stored",
    "ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.",
    "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be \
     specified.",
    "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of \
     this consumer by specifying a proper ID, or use the > ID to get new messages. The + ID would \
     just return an empty result set.",
    "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
    "ERR The `numids` parameter must match the number of arguments",
    "ERR Number of IDs must be a positive integer",
    "ERR MAXCOUNT and MAXSIZE must be > 0",
    "ERR RETRYCOUNT must be zero or more",
    "UNBLOCKED client unblocked via CLIENT UNBLOCK",
    // The server of the tests has DEBUG.
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can \
     run it from a local connection, otherwise you need to set this option in the configuration \
     file, and then restart the server.",
    // Only a Redis Cluster says so.
    "ERR Invalid slot",
    "ERR Invalid slot or number of keys",
    // Redis 7.4.
    "ERR maxage is not an integer or out of range",
    "ERR maxage should be greater than 0",
    "ERR The user executing the script can't run this command or subcommand",
    "ERR The user executing the script can't access at least one of the keys mentioned in the \
     command arguments",
    "ERR The user executing the script can't publish to the channel mentioned in the command",
    "ERR There was an error trying to save the ACLs. Please check the server logs for more \
     information",
    // They take a function, a script that is busy, no room, or a payload; or the name of a script
    // follows.
    "ERR Bad number of keys provided",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
    "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
    "ERR given type is not a function",
    "ERR Pre-GA function format not supported",
    "ERR Unknown Redis command called from script",
    "ERR Wrong number of args calling Redis command from script",
    "ERR This Redis command is not allowed from script",
    "ERR Write commands are not allowed from read-only scripts.",
    "ERR Script attempted to access a non local key in a cluster node",
];

/// Coterie's own, and Valkey's.
const OURS: &[E] = &[
    E::Fixed("ERR invalid number of vertices"),
    E::Fixed("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices"),
    E::Fixed(
        "ERR BY and GET patterns of SORT may name only keys of the group that holds the sorted key",
    ),
    E::Fixed("ERR the collection is too large to be sorted by a single command"),
    acl::NO_ACL_FILE,
    acl::USERS_UNKNOWN,
    errors::TOO_MANY_WAIT,
    errors::DEBUG_REFUSED,
    errors::FAILOVER_REFUSED,
    errors::REPLICAOF_REFUSED,
    errors::REPLICATION_REFUSED,
    errors::SHUTDOWN_REFUSED,
    errors::SLOTS_ARE_FIXED,
    errors::COLLECTION_TOO_LARGE,
    errors::DISK_FULL,
    errors::NOT_OFFERED,
    errors::NO_SCRIPT_DEBUG,
    errors::OF_THE_LEADER,
    errors::OF_THE_PROXY,
    errors::PROTECTED_MODE,
    errors::STARTING,
    errors::TOO_MANY_PREFIXES,
    errors::TOO_MANY_REMOVED,
    errors::UNDECLARED_KEY,
    E::Fixed("ERR too many entries to be trimmed by a single command: trim with ~ several times"),
    E::Fixed(
        "ERR too many pending entries to be removed by a single command: acknowledge some first",
    ),
];

#[test]
fn every_line_is_compared_or_our_own() {
    let mut known: BTreeSet<String> = FIXED.iter().map(|(_, line)| (*line).to_owned()).collect();
    known.extend(NOT_COMPARED.iter().map(|line| (*line).to_owned()));
    known.extend(COMPARED_BELOW.iter().chain(OURS).map(E::to_string));
    let all: BTreeSet<_> = all_error_lines().map(E::to_string).collect();
    assert_eq!(
        all, known,
        "every line stands in a list of this file, and no other"
    );
    for line in all {
        let code = line.split(' ').next().unwrap();
        let is_code = code.len() > 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        assert!(is_code && !line.contains(['\r', '\n']), "{line}");
    }
}

#[test]
fn the_words_are_those_of_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    real.run(&words("rpush list a"));
    real.run(&words("hset hash text abc"));
    real.run(&words("set text abc"));
    real.run(&words("geoadd places 1 1 here"));
    real.run(&words("xadd stream 5-0 f v"));
    real.run(&words("xgroup create stream g 0"));
    let last = "18446744073709551615-18446744073709551615";
    real.run(&words(&format!("xadd full {last} f v")));
    real.run(&words("set number 9223372036854775807"));
    real.run(&words("pfadd dense a"));
    real.run(&words("pfdebug todense dense"));
    real.run(&words("pfadd broken a"));
    real.run(&words("append broken x"));
    real.run(&words("zadd zset inf infinite"));
    let with_words: Vec<(&str, E)> = vec![
        ("set k v ex 0", E::invalid_expire("set")),
        ("get", E::WrongArity("get")),
        ("object encoding", E::WrongArity("object|encoding")),
        (
            "object nothing",
            E::UnknownSubcommand(b("nothing"), "object"),
        ),
        (
            "client nothing",
            E::UnknownSubcommand(b("nothing"), "client"),
        ),
        ("nothing a b", E::UnknownCommand(b("nothing"), words("a b"))),
        (
            "select 99999999999",
            E::int_out_of_range(i32::MIN, i32::MAX),
        ),
        (
            "move text 99999999999",
            E::int_out_of_range(i32::MIN, i32::MAX),
        ),
        ("expire text 1 nothing", E::unsupported_option(b"nothing")),
        ("hello 2 nothing", E::hello_option(b"nothing")),
        ("config set nothing 1", E::unknown_config(b"nothing")),
        ("zunion 0 zset", E::no_input_key("zunion")),
    ];
    let fixed = FIXED
        .iter()
        .map(|(command, line)| (*command, E::Fixed(line)));
    for (command, error) in fixed.chain(with_words) {
        assert_eq!(line(error), real.run(&words(command)), "{command}");
    }
    let id = real.run(&words("client id"));
    let id = std::str::from_utf8(&id[1..]).unwrap().trim();
    let twice = format!("client tracking on redirect {id} redirect {id}");
    assert_eq!(real.run(&words(&twice)), line(errors::REDIRECTED_TWICE));
}

#[test]
fn tracking_is_refused_in_the_words_of_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    let overlaps = |prefix: &str, other: &str, is_had| {
        E::prefix_overlaps(prefix.as_bytes(), other.as_bytes(), is_had)
    };
    let ok = || Bytes::from_static(b"+OK\r\n");
    for (command, reply) in [
        ("client tracking on bcast prefix foo prefix bar", ok()),
        (
            "client tracking on bcast prefix fo",
            line(overlaps("fo", "foo", true)),
        ),
        (
            "client tracking on bcast prefix barb",
            line(overlaps("barb", "bar", true)),
        ),
        (
            "client tracking on bcast prefix x prefix xy",
            line(overlaps("x", "xy", false)),
        ),
        ("client tracking on", line(errors::BCAST_SWITCHED)),
        ("client tracking off", ok()),
        ("client tracking on optin", ok()),
        ("client tracking on bcast", line(errors::BCAST_SWITCHED)),
        ("client tracking on optout", line(errors::OPT_SWITCHED)),
        ("client caching no", line(errors::CACHING_NO_WITHOUT_OPTOUT)),
        ("client caching yes", ok()),
        ("client tracking off", ok()),
        ("client tracking on optout", ok()),
        (
            "client caching yes",
            line(errors::CACHING_YES_WITHOUT_OPTIN),
        ),
    ] {
        assert_eq!(real.run(&words(command)), reply, "{command}");
    }
}

#[test]
fn transactions_are_refused_in_the_words_of_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    real.run(&words("multi"));
    assert_eq!(real.run(&words("multi")), line(errors::NESTED_MULTI));
    assert_eq!(
        real.run(&words("watch k")),
        line(errors::WATCH_INSIDE_MULTI)
    );
    assert_eq!(real.run(&words("get")), line(E::WrongArity("get")));
    assert_eq!(real.run(&words("exec")), line(errors::EXEC_ABORT));
}

#[test]
fn strangers_are_refused_in_the_words_of_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    real.run(&words(
        "acl setuser limited on >secret +get +subscribe ~mine resetchannels",
    ));
    real.run(&words("auth limited secret"));
    assert_eq!(
        real.run(&words("set mine 1")),
        line(E::no_perm_command("set"))
    );
    assert_eq!(real.run(&words("get yours")), line(errors::NO_PERM_KEY));
    assert_eq!(
        real.run(&words("subscribe yours")),
        line(errors::NO_PERM_CHANNEL)
    );
    let mut admin = server.connect();
    for (rules, queued, error) in [
        ("-get", "get mine", acl::EXEC_DENIED_COMMAND),
        ("+get resetkeys", "get mine", acl::EXEC_DENIED_KEY),
        ("resetchannels", "subscribe mine", acl::EXEC_DENIED_CHANNEL),
    ] {
        admin.run(&words(
            "acl setuser limited ~mine &mine +get +multi +exec +subscribe",
        ));
        real.run(&words("multi"));
        real.run(&words(queued));
        admin.run(&words(&format!("acl setuser limited {rules}")));
        let reply = real.run(&words("exec"));
        assert_eq!(reply.slice("*1\r\n".len()..), line(error), "{rules}");
        admin.run(&words("acl setuser limited ~mine"));
    }
    admin.run(&words("rpush mine 1"));
    admin.run(&words("acl setuser limited +sort"));
    assert_eq!(
        real.run(&words("sort mine by w*")),
        line(acl::SORT_BY_DENIED)
    );
    assert_eq!(
        real.run(&words("sort mine get w*")),
        line(acl::SORT_GET_DENIED)
    );
    admin.run(&words("config set requirepass secret"));
    let mut stranger = server.connect();
    assert_eq!(stranger.run(&words("get k")), line(errors::NO_AUTH));
    assert_eq!(stranger.run(&words("hello 3")), line(errors::NO_AUTH_HELLO));
    assert_eq!(stranger.run(&words("auth wrong")), line(errors::WRONG_PASS));
}

#[test]
fn broken_requests_are_refused_in_the_words_of_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    for (request, words) in [
        (&b"*1\r\n:1\r\n"[..], "expected '$', got ':'"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"get \"k\r\n", "unbalanced quotes in request"),
    ] {
        let mut real = server.connect();
        real.send(request);
        assert_eq!(real.reply(), line(E::protocol(words)), "{words}");
    }
}
