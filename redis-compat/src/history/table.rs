//! The table of [`Past`], sorted by name.

use super::past::{Past, past};

pub(super) static TABLE: &[Past] = &[
    past("acl|getuser").history(&[
        ("6.2.0", "Added Pub/Sub channel patterns."),
        (
            "7.0.0",
            "Added selectors and changed the format of key and channel patterns from a list to \
                    their rule representation.",
        ),
    ]),
    past("acl|setuser").history(&[
        ("6.2.0", "Added Pub/Sub channel patterns."),
        ("7.0.0", "Added selectors and key based permissions."),
    ]),
    past("auth")
        .history(&[("6.0.0", "Added ACL style (username and password).")])
        .since(&[("username", "6.0.0")]),
    past("bgsave")
        .history(&[("3.2.2", "Added the `SCHEDULE` option.")])
        .since(&[("SCHEDULE", "3.2.2")]),
    past("bitcount")
        .history(&[("7.0.0", "Added the `BYTE|BIT` option.")])
        .since(&[("index/index_unit", "7.0.0")]),
    past("bitpos")
        .history(&[("7.0.0", "Added the `BYTE|BIT` option.")])
        .since(&[("index/end_index/index_unit", "7.0.0")]),
    past("blpop").history(&[(
        "6.0.0",
        "`timeout` is interpreted as a double instead of an integer.",
    )]),
    past("brpop").history(&[(
        "6.0.0",
        "`timeout` is interpreted as a double instead of an integer.",
    )]),
    past("brpoplpush")
        .replaced("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments")
        .history(&[(
            "6.0.0",
            "`timeout` is interpreted as a double instead of an integer.",
        )]),
    past("bzpopmax").history(&[(
        "6.0.0",
        "`timeout` is interpreted as a double instead of an integer.",
    )]),
    past("bzpopmin").history(&[(
        "6.0.0",
        "`timeout` is interpreted as a double instead of an integer.",
    )]),
    past("client|kill")
        .history(&[
            ("2.8.12", "Added new filter format."),
            ("2.8.12", "`ID` option."),
            ("3.2.0", "Added `master` type in for `TYPE` option."),
            (
                "5.0.0",
                "Replaced `slave` `TYPE` with `replica`. `slave` still supported for backward \
                    compatibility.",
            ),
            ("6.2.0", "`LADDR` option."),
        ])
        .since(&[
            ("filter/new-format/ID", "2.8.12"),
            ("filter/new-format/TYPE", "2.8.12"),
            ("filter/new-format/TYPE/MASTER", "3.2.0"),
            ("filter/new-format/TYPE/REPLICA", "5.0.0"),
            ("filter/new-format/LADDR", "6.2.0"),
        ])
        .deprecated(&[("filter/ip:port", "2.8.12")]),
    past("client|list")
        .history(&[
            ("2.8.12", "Added unique client `id` field."),
            ("5.0.0", "Added optional `TYPE` filter."),
            ("6.0.0", "Added `user` field."),
            (
                "6.2.0",
                "Added `argv-mem`, `tot-mem`, `laddr` and `redir` fields and the optional `ID` \
                    filter.",
            ),
            (
                "7.0.0",
                "Added `resp`, `multi-mem`, `rbs` and `rbp` fields.",
            ),
            ("7.0.3", "Added `ssub` field."),
        ])
        .since(&[("TYPE", "5.0.0"), ("ID", "6.2.0")]),
    past("client|pause")
        .history(&[(
            "6.2.0",
            "`CLIENT PAUSE WRITE` mode added along with the `mode` option.",
        )])
        .since(&[("mode", "6.2.0")]),
    past("cluster|meet")
        .history(&[("4.0.0", "Added the optional `cluster_bus_port` argument.")])
        .since(&[("cluster_bus_port", "4.0.0")]),
    past("cluster|slaves").replaced("5.0.0", "`CLUSTER REPLICAS`"),
    past("cluster|slots")
        .replaced("7.0.0", "`CLUSTER SHARDS`")
        .history(&[
            ("4.0.0", "Added node IDs."),
            ("7.0.0", "Added additional networking metadata field."),
        ]),
    past("command|info").history(&[(
        "7.0.0",
        "Allowed to be called with no argument to get info on all commands.",
    )]),
    past("config|get").history(&[(
        "7.0.0",
        "Added the ability to pass multiple pattern parameters in one call",
    )]),
    past("config|set").history(&[(
        "7.0.0",
        "Added the ability to set multiple parameters in one call.",
    )]),
    past("debug").system(),
    past("exists").history(&[("3.0.3", "Accepts multiple `key` arguments.")]),
    past("expire")
        .history(&[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")])
        .since(&[("condition", "7.0.0")]),
    past("expireat")
        .history(&[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")])
        .since(&[("condition", "7.0.0")]),
    past("flushall")
        .history(&[
            ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
            ("6.2.0", "Added the `SYNC` flushing mode modifier."),
        ])
        .since(&[("async/ASYNC", "4.0.0"), ("async/SYNC", "6.2.0")]),
    past("flushdb")
        .history(&[
            ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
            ("6.2.0", "Added the `SYNC` flushing mode modifier."),
        ])
        .since(&[("async/ASYNC", "4.0.0"), ("async/SYNC", "6.2.0")]),
    past("geoadd")
        .history(&[("6.2.0", "Added the `CH`, `NX` and `XX` options.")])
        .since(&[("condition", "6.2.0"), ("CH", "6.2.0")]),
    past("georadius")
        .replaced(
            "6.2.0",
            "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
        )
        .history(&[
            ("6.2.0", "Added the `ANY` option for `COUNT`."),
            ("7.0.0", "Added support for uppercase unit names."),
        ])
        .since(&[("count/ANY", "6.2.0")]),
    past("georadius_ro")
        .replaced("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument")
        .history(&[("6.2.0", "Added the `ANY` option for `COUNT`.")])
        .since(&[("count/ANY", "6.2.0")]),
    past("georadiusbymember")
        .replaced(
            "6.2.0",
            "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
        )
        .history(&[("7.0.0", "Added support for uppercase unit names.")]),
    past("georadiusbymember_ro").replaced(
        "6.2.0",
        "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
    ),
    past("geosearch").history(&[("7.0.0", "Added support for uppercase unit names.")]),
    past("geosearchstore").history(&[("7.0.0", "Added support for uppercase unit names.")]),
    past("getset").replaced("6.2.0", "`SET` with the `!GET` argument"),
    past("hdel").history(&[("2.4.0", "Accepts multiple `field` arguments.")]),
    past("hello").history(&[(
        "6.2.0",
        "`protover` made optional; when called without arguments the command reports the \
                    current connection's context.",
    )]),
    past("hmset").replaced("4.0.0", "`HSET` with multiple field-value pairs"),
    past("hset").history(&[("4.0.0", "Accepts multiple `field` and `value` arguments.")]),
    past("info").history(&[(
        "7.0.0",
        "Added support for taking multiple section arguments.",
    )]),
    past("lpop")
        .history(&[("6.2.0", "Added the `count` argument.")])
        .since(&[("count", "6.2.0")]),
    past("lpush").history(&[("2.4.0", "Accepts multiple `element` arguments.")]),
    past("lpushx").history(&[("4.0.0", "Accepts multiple `element` arguments.")]),
    past("migrate")
        .history(&[
            ("3.0.0", "Added the `COPY` and `REPLACE` options."),
            ("3.0.6", "Added the `KEYS` option."),
            ("4.0.7", "Added the `AUTH` option."),
            ("6.0.0", "Added the `AUTH2` option."),
        ])
        .since(&[
            ("COPY", "3.0.0"),
            ("REPLACE", "3.0.0"),
            ("authentication/AUTH", "4.0.7"),
            ("authentication/AUTH2", "6.0.0"),
            ("KEYS", "3.0.6"),
        ]),
    past("pexpire")
        .history(&[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")])
        .since(&[("condition", "7.0.0")]),
    past("pexpireat")
        .history(&[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")])
        .since(&[("condition", "7.0.0")]),
    past("pfdebug").system(),
    past("pfselftest").system(),
    past("pttl").history(&[("2.8.0", "Added the -2 reply.")]),
    past("renamenx").history(&[(
        "3.2.0",
        "The command no longer returns an error when source and destination names are the \
                    same.",
    )]),
    past("replconf").system(),
    past("restore")
        .history(&[
            ("3.0.0", "Added the `REPLACE` modifier."),
            ("5.0.0", "Added the `ABSTTL` modifier."),
            ("5.0.0", "Added the `IDLETIME` and `FREQ` options."),
        ])
        .since(&[
            ("REPLACE", "3.0.0"),
            ("ABSTTL", "5.0.0"),
            ("IDLETIME", "5.0.0"),
            ("FREQ", "5.0.0"),
        ]),
    past("restore-asking")
        .system()
        .history(&[
            ("3.0.0", "Added the `REPLACE` modifier."),
            ("5.0.0", "Added the `ABSTTL` modifier."),
            ("5.0.0", "Added the `IDLETIME` and `FREQ` options."),
        ])
        .since(&[
            ("REPLACE", "3.0.0"),
            ("ABSTTL", "5.0.0"),
            ("IDLETIME", "5.0.0"),
            ("FREQ", "5.0.0"),
        ]),
    past("rpop")
        .history(&[("6.2.0", "Added the `count` argument.")])
        .since(&[("count", "6.2.0")]),
    past("rpoplpush").replaced("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments"),
    past("rpush").history(&[("2.4.0", "Accepts multiple `element` arguments.")]),
    past("rpushx").history(&[("4.0.0", "Accepts multiple `element` arguments.")]),
    past("sadd").history(&[("2.4.0", "Accepts multiple `member` arguments.")]),
    past("scan")
        .history(&[("6.0.0", "Added the `TYPE` subcommand.")])
        .since(&[("TYPE", "6.0.0")]),
    past("script|flush")
        .history(&[(
            "6.2.0",
            "Added the `ASYNC` and `SYNC` flushing mode modifiers.",
        )])
        .since(&[("async", "6.2.0")]),
    past("set")
        .history(&[
            ("2.6.12", "Added the `EX`, `PX`, `NX` and `XX` options."),
            ("6.0.0", "Added the `KEEPTTL` option."),
            ("6.2.0", "Added the `GET`, `EXAT` and `PXAT` option."),
            (
                "7.0.0",
                "Allowed the `NX` and `GET` options to be used together.",
            ),
        ])
        .since(&[
            ("condition", "2.6.12"),
            ("GET", "6.2.0"),
            ("expiration/EX", "2.6.12"),
            ("expiration/PX", "2.6.12"),
            ("expiration/EXAT", "6.2.0"),
            ("expiration/PXAT", "6.2.0"),
            ("expiration/KEEPTTL", "6.0.0"),
        ]),
    past("shutdown")
        .history(&[("7.0.0", "Added the `NOW`, `FORCE` and `ABORT` modifiers.")])
        .since(&[("NOW", "7.0.0"), ("FORCE", "7.0.0"), ("ABORT", "7.0.0")]),
    past("slaveof").replaced("5.0.0", "`REPLICAOF`"),
    past("slowlog|get").history(&[(
        "4.0.0",
        "Added client IP address, port and name to the reply.",
    )]),
    past("spop")
        .history(&[("3.2.0", "Added the `count` argument.")])
        .since(&[("count", "3.2.0")]),
    past("srandmember")
        .history(&[("2.6.0", "Added the optional `count` argument.")])
        .since(&[("count", "2.6.0")]),
    past("srem").history(&[("2.4.0", "Accepts multiple `member` arguments.")]),
    past("substr").replaced("2.0.0", "`GETRANGE`"),
    past("ttl").history(&[("2.8.0", "Added the -2 reply.")]),
    past("xadd")
        .history(&[
            (
                "6.2.0",
                "Added the `NOMKSTREAM` option, `MINID` trimming strategy and the `LIMIT` option.",
            ),
            ("7.0.0", "Added support for the `<ms>-*` explicit ID form."),
        ])
        .since(&[
            ("NOMKSTREAM", "6.2.0"),
            ("trim/strategy/MINID", "6.2.0"),
            ("trim/LIMIT", "6.2.0"),
        ]),
    past("xautoclaim").history(&[(
        "7.0.0",
        "Added an element to the reply array, containing deleted entries the command \
                    cleared from the PEL",
    )]),
    past("xgroup|create").history(&[("7.0.0", "Added the `entries_read` named argument.")]),
    past("xgroup|setid").history(&[("7.0.0", "Added the optional `entries_read` argument.")]),
    past("xinfo|groups").history(&[("7.0.0", "Added the `entries-read` and `lag` fields")]),
    past("xinfo|stream").history(&[
        ("6.0.0", "Added the `FULL` modifier."),
        (
            "7.0.0",
            "Added the `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, \
                    `entries-read` and `lag` fields",
        ),
    ]),
    past("xpending")
        .history(&[(
            "6.2.0",
            "Added the `IDLE` option and exclusive range intervals.",
        )])
        .since(&[("filters/IDLE", "6.2.0")]),
    past("xrange").history(&[("6.2.0", "Added exclusive ranges.")]),
    past("xrevrange").history(&[("6.2.0", "Added exclusive ranges.")]),
    past("xsetid")
        .history(&[(
            "7.0.0",
            "Added the `entries_added` and `max_deleted_entry_id` arguments.",
        )])
        .since(&[("ENTRIESADDED", "7.0.0"), ("MAXDELETEDID", "7.0.0")]),
    past("xtrim")
        .history(&[(
            "6.2.0",
            "Added the `MINID` trimming strategy and the `LIMIT` option.",
        )])
        .since(&[("trim/strategy/MINID", "6.2.0"), ("trim/LIMIT", "6.2.0")]),
    past("zadd")
        .history(&[
            ("2.4.0", "Accepts multiple elements."),
            ("3.0.2", "Added the `XX`, `NX`, `CH` and `INCR` options."),
            ("6.2.0", "Added the `GT` and `LT` options."),
        ])
        .since(&[
            ("condition", "3.0.2"),
            ("comparison", "6.2.0"),
            ("CH", "3.0.2"),
            ("INCR", "3.0.2"),
        ]),
    past("zrange")
        .history(&[(
            "6.2.0",
            "Added the `REV`, `BYSCORE`, `BYLEX` and `LIMIT` options.",
        )])
        .since(&[("sortby", "6.2.0"), ("REV", "6.2.0"), ("LIMIT", "6.2.0")]),
    past("zrangebylex").replaced("6.2.0", "`ZRANGE` with the `BYLEX` argument"),
    past("zrangebyscore")
        .replaced("6.2.0", "`ZRANGE` with the `BYSCORE` argument")
        .history(&[("2.0.0", "Added the `WITHSCORES` modifier.")])
        .since(&[("WITHSCORES", "2.0.0")]),
    past("zrem").history(&[("2.4.0", "Accepts multiple elements.")]),
    past("zrevrange").replaced("6.2.0", "`ZRANGE` with the `REV` argument"),
    past("zrevrangebylex").replaced("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments"),
    past("zrevrangebyscore")
        .replaced("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments")
        .history(&[("2.1.6", "`min` and `max` can be exclusive.")]),
];
