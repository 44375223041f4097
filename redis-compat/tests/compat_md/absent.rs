//! The commands of Redis 7.2 and 8, of Valkey 9, and of the modules that Redis 8 contains, that
//! have no row, with the reason. A command that gets a row leaves the list by itself.

use coterie_redis_compat::{lookup, lookup_subcommand};

const LATER: &str = "not built yet";
const JSON: &str = "documents are not offered: keep them as strings or hashes";
const SKETCH: &str = "only HyperLogLog of the probabilistic types is offered";
const SEARCH: &str = "no secondary indexes are kept";
const SERIES: &str = "time series are not offered: sorted sets and streams hold samples";
const VECTOR: &str = "vector sets are not offered";
const ARRAY: &str = "arrays are not offered: lists are indexed, too";
const SLOTS: &str = "proxies serve every slot; `COTERIE MOVE` moves ranges";
const NODE: &str = "`coterie backup` saves the whole cluster";

/// Families: the reason, and the names.
const ABSENT: &[(&str, &str)] = &[
    (
        LATER,
        "acl|cat acl|deluser acl|dryrun acl|genpass acl|getuser acl|help acl|list acl|load acl|log \
         acl|save acl|setuser acl|users acl|whoami eval eval_ro evalsha evalsha_ro fcall fcall_ro \
         function|delete function|dump function|flush function|help function|kill function|list \
         function|load function|restore function|stats script|debug script|exists script|flush \
         script|help script|kill script|load script|show psubscribe publish pubsub|channels \
         pubsub|help pubsub|numpat pubsub|numsub pubsub|shardchannels pubsub|shardnumsub \
         punsubscribe spublish ssubscribe subscribe sunsubscribe unsubscribe swapdb himport \
         object|freq blmovem bzmove zmove zmovemember sexpire sexpireat sexpiretime spexpire \
         spexpireat spexpiretime spttl sttl xcfgset bitrangeintarray hotkeys|get hotkeys|reset \
         hotkeys|start hotkeys|stop client|capa client|import-source commandlog|get \
         commandlog|help commandlog|len commandlog|reset",
    ),
    (
        "`DUMP` and `RESTORE` move keys, at the speed of the mover",
        "migrate restore-asking",
    ),
    (
        SLOTS,
        "cluster|migration cluster|migrateslots cluster|getslotmigrations \
         cluster|cancelslotmigrations cluster|slot-stats clusterscan trimslots",
    ),
    (NODE, "backup"),
    (
        "nothing is evicted",
        "bless|set bless|get bless|list bless|scan bless|count bless|clear",
    ),
    (
        JSON,
        "json.arrappend json.arrindex json.arrinsert json.arrlen json.arrpop json.arrtrim \
         json.clear json.debug json.del json.forget json.get json.merge json.mget json.mset \
         json.numincrby json.nummultby json.numpowby json.objkeys json.objlen json.resp json.set \
         json.strappend json.strlen json.toggle json.type",
    ),
    (
        SKETCH,
        "bf.add bf.card bf.debug bf.exists bf.info bf.insert bf.loadchunk bf.madd bf.mexists \
         bf.reserve bf.scandump cf.add cf.addnx cf.compact cf.count cf.debug cf.del cf.exists \
         cf.info cf.insert cf.insertnx cf.loadchunk cf.mexists cf.reserve cf.scandump cms.incrby \
         cms.info cms.initbydim cms.initbyprob cms.merge cms.query topk.add topk.count \
         topk.incrby topk.info topk.list topk.query topk.reserve tdigest.add tdigest.byrank \
         tdigest.byrevrank tdigest.cdf tdigest.create tdigest.info tdigest.max tdigest.merge \
         tdigest.min tdigest.quantile tdigest.rank tdigest.reset tdigest.revrank \
         tdigest.trimmed_mean",
    ),
    (
        SEARCH,
        "ft._list ft.aggregate ft.aliasadd ft.aliasdel ft.aliasupdate ft.alter ft.config \
         ft.create ft.cursor ft.dictadd ft.dictdel ft.dictdump ft.dropindex ft.explain \
         ft.explaincli ft.hybrid ft.info ft.profile ft.search ft.spellcheck ft.sugadd ft.sugdel \
         ft.sugget ft.suglen ft.syndump ft.synupdate ft.tagvals",
    ),
    (
        SERIES,
        "ts.add ts.alter ts.create ts.createrule ts.decrby ts.del ts.deleterule ts.get ts.incrby \
         ts.info ts.madd ts.mget ts.mrange ts.mrevrange ts.queryindex ts.range ts.revrange",
    ),
    (
        VECTOR,
        "vadd vcard vdim vemb vgetattr vinfo vismember vlinks vrandmember vrange vrem vsetattr \
         vsim",
    ),
    (
        ARRAY,
        "arcount ardel ardelrange arget argetrange argrep arinfo arinsert arlastitems arlen armget \
         armset arnext arop arring arscan arseek arset",
    ),
];

/// Whether a row has this full name.
fn is_there(name: &str) -> bool {
    let (container, sub) = name.split_once('|').unwrap_or((name, ""));
    let row = lookup(container.as_bytes());
    row.is_some_and(|row| sub.is_empty() || lookup_subcommand(row, sub.as_bytes()).is_some())
}

/// The names without a row, in order, with their reasons.
pub(crate) fn absent() -> Vec<(&'static str, &'static str)> {
    let families = ABSENT.iter();
    let names =
        families.flat_map(|(reason, names)| names.split_whitespace().map(|name| (name, *reason)));
    let mut absent: Vec<_> = names.filter(|(name, _)| !is_there(name)).collect();
    absent.sort_unstable();
    absent
}

/// Whether a command is on the list, there or not.
pub(crate) fn is_listed(name: &str) -> bool {
    let mut families = ABSENT.iter();
    families.any(|(_, names)| names.split_whitespace().any(|listed| listed == name))
}
