//! Adding entries, and trimming.

use bytes::Bytes;

use super::Stream;
use super::id::{NewId, StreamId};
use super::trim::{Trim, TrimOptions};
use crate::command::{Command, Part, Topic, command};
use crate::errors::{SYNTAX, error_lines};
use crate::{Args, Classes, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[XADD, XTRIM], LINES);

error_lines! {
    ID_IS_ZERO = "ERR The ID specified in XADD must be greater than 0-0";
    ID_IS_OLD = "ERR The ID specified in XADD is equal or smaller than the target stream top item";
    IDS_ARE_EXHAUSTED = "ERR The stream has exhausted the last possible ID, unable to add more \
        items";
    ENTRY_TOO_LARGE = "ERR Elements are too large to be stored";
    NO_STRATEGY = "ERR syntax error, XTRIM must be called with a trimming strategy";
}

const XADD: Command = command(Topic::Stream, "xadd")
    .syntax(
        "key [NOMKSTREAM] [trim(strategy(MAXLEN|MINID) [operator(equal==|approximately=~)] \
        threshold [LIMIT count])] id_or_auto(auto_id=*|id) field_value(field value) ...",
    )
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_UPDATE
        .at(1)
        .notes("UPDATE instead of INSERT because of the optional trimming feature")])
    .runs(xadd)
    .tips(&["nondeterministic_output"])
    .hints(
        "weight=12 key=stream-key threshold=stream-threshold count=stream-limit \
        auto_id=stream-new-id id=stream-new-id field=field value=field-value",
    )
    .docs(
        "5.0.0",
        "O(1) when adding a new entry, O(N) when trimming where N being the number of entries \
        evicted.",
        "Appends an entry to a stream.",
    )
    .deviation(
        "It takes KEEPREF, DELREF and ACKED of Redis 8.2, too. A trim that would remove more \
        entries than a log entry holds is refused.",
    );

/// `XADD key [NOMKSTREAM] [KEEPREF|DELREF|ACKED] [MAXLEN|MINID [=|~] threshold [LIMIT n]] *|id
/// field value ...`: the id; null if the key is absent and must be there.
///
/// O(fields), and what is trimmed. Errors: those of trimming, `INVALID_ID`, `WrongArity`,
/// `ID_IS_ZERO`, `WRONG_TYPE`, `IDS_ARE_EXHAUSTED`, `ID_IS_OLD`, `ENTRY_TOO_LARGE`. Source: Redis
/// `t_stream.c`, `xaddCommand`.
fn xadd(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let options = parse_add(args)?;
    let key = args.bytes(1);
    let mut stream = match txn.stream(key)? {
        Some(stream) => stream,
        None if options.must_exist => return Ok(Reply::Null),
        None => Stream::default(),
    };
    if stream.head.last == StreamId::MAX {
        return Err(IDS_ARE_EXHAUSTED.into());
    }
    let id = options.id.after(stream.head.last, txn.now().0);
    let id = id.ok_or(ID_IS_OLD)?;
    let bytes = options.words.iter().map(|word| word.len() + 10).sum();
    txn.check_len(bytes).map_err(|_| ENTRY_TOO_LARGE)?;
    stream.append(txn, id, options.words);
    let trimmed = match &options.trim {
        Some(trim) => stream.trim(txn, trim)?,
        None => 0,
    };
    txn.put_stream(key.clone(), &stream)?;
    txn.notify(Classes::STREAM, "xadd", key);
    if trimmed > 0 {
        txn.notify(Classes::STREAM, "xtrim", key);
    }
    Ok(id.reply())
}

struct AddOptions<'a> {
    must_exist: bool,
    trim: Option<Trim>,
    id: NewId,
    /// Fields and values.
    words: &'a [Bytes],
}

fn parse_add<'a>(args: &Args<'a>) -> Result<AddOptions<'a>, CommandError> {
    let (mut must_exist, mut trim, mut id) = (false, TrimOptions::default(), None);
    let mut words = args.options(2);
    while id.is_none()
        && let Some(word) = words.next()
    {
        let keyword = word.keyword();
        if word.0 != "*" && trim.read(keyword.as_str(), &mut words)? {
            continue;
        }
        match keyword.as_str() {
            "nomkstream" => must_exist = true,
            _ => id = Some(NewId::parse(word.0)?),
        }
    }
    let trim = trim.finish()?;
    let words = args.rest(args.len() - words.left());
    let arity = CommandError::WrongArity("xadd");
    let Some(id) = id.filter(|_| !words.is_empty() && words.len().is_multiple_of(2)) else {
        return Err(arity);
    };
    if id == NewId::Given(StreamId::MIN) {
        return Err(ID_IS_ZERO);
    }
    Ok(AddOptions {
        must_exist,
        trim,
        id,
        words,
    })
}

const XTRIM: Command = command(Topic::Stream, "xtrim")
    .syntax(
        "key trim(strategy(MAXLEN|MINID) [operator(equal==|approximately=~)] threshold \
        [LIMIT count])",
    )
    .flags(F::WRITE)
    .keys(&[K::RW.with(K::DELETE).at(1)])
    .runs(xtrim)
    .tips(&["nondeterministic_output"])
    .hints("weight=2 key=stream-key threshold=stream-threshold count=stream-limit")
    .docs(
        "5.0.0",
        "O(N), with N being the number of evicted entries.",
        "Removes entries from the front of a stream.",
    )
    .deviation(
        "It takes KEEPREF, DELREF and ACKED of Redis 8.2, too. A trim that would remove more \
        entries than a log entry holds is refused.",
    );

/// `XTRIM key MAXLEN|MINID [=|~] threshold [LIMIT n] [KEEPREF|DELREF|ACKED]`: how many entries
/// went. O(entries that go).
///
/// Errors: those of trimming, `SYNTAX`, `NO_STRATEGY`, `WRONG_TYPE`. Source: Redis `t_stream.c`,
/// `xtrimCommand`.
fn xtrim(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut options = TrimOptions::default();
    let mut words = args.options(2);
    while let Some(word) = words.next() {
        if !options.read(word.keyword().as_str(), &mut words)? {
            return Err(SYNTAX.into());
        }
    }
    if options.is_none() {
        return Err(NO_STRATEGY.into());
    }
    let trim = options.finish()?;
    let key = args.bytes(1);
    let (Some(mut stream), Some(trim)) = (txn.stream(key)?, trim) else {
        return Ok(Reply::Integer(0));
    };
    let removed = stream.trim(txn, &trim)?;
    if removed > 0 {
        txn.put_stream(key.clone(), &stream)?;
        txn.notify(Classes::STREAM, "xtrim", key);
    }
    Ok(Reply::Integer(removed as i64))
}
