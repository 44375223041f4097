//! `FUNCTION`: libraries of functions, which meta keeps (Redis `functions.c`).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use coterie_lua::{Engine, Library as Loaded, Limits, library_head};
use coterie_protocol::encode;
use coterie_protocol::objects::{Expected, ObjectChange, ObjectKind, ObjectName};
use coterie_protocol::scripts::{StoredFunction, StoredLibrary};
use coterie_redis_compat::errors::{
    FUNCTION_FLUSH_MODE, NO_LIBRARY, NO_LIBRARY_NAME, RESTORE_POLICY,
};
use coterie_redis_compat::{CommandError, Reply, functions_of_payload, functions_payload, glob};

use super::running::{Kind, kill, longest};
use super::{Answer, Handler, Local, Named, Remote, int, text};
use crate::scripts::{Functions, Library};

pub(super) const HANDLERS: &[Named] = &[
    ("function|delete", alone!(delete)),
    ("function|dump", alone!(dump)),
    ("function|flush", alone!(flush)),
    ("function|help", Handler::Now(help)),
    ("function|kill", alone!(kill_functions)),
    ("function|list", alone!(list)),
    ("function|load", alone!(load)),
    ("function|restore", alone!(restore)),
    ("function|stats", alone!(stats)),
];

/// How often a change is tried again because another came before it.
const TRIES: usize = 8;

/// How libraries that are there are treated by new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// A name that is taken is an error.
    Append,
    /// A library of the same name is replaced.
    Replace,
    /// All libraries are removed before.
    Flush,
}

/// `FUNCTION LOAD [REPLACE] function-code`: the name of the library.
async fn load(call: Remote) -> Result<Reply, CommandError> {
    let words = &call.args[2..];
    let (code, options) = words.split_last().ok_or(NO_LIBRARY)?;
    let mut policy = Policy::Append;
    for option in options {
        if !option.eq_ignore_ascii_case(b"replace") {
            return Err(CommandError::quoting("Unknown option given: ", option, ""));
        }
        policy = Policy::Replace;
    }
    let code = Bytes::copy_from_slice(code);
    let head = library_head(&code).map_err(|error| CommandError::Other(error.line()))?;
    put(&call, vec![code], policy).await?;
    Ok(text(head.name))
}

/// `FUNCTION RESTORE payload [FLUSH|APPEND|REPLACE]`.
async fn restore(call: Remote) -> Result<Reply, CommandError> {
    let policy = match call.args.get(3) {
        None => Policy::Append,
        Some(_) if call.args.len() > 4 => return Err(restore_words(&call)),
        Some(_) if call.is(3, "append") => Policy::Append,
        Some(_) if call.is(3, "replace") => Policy::Replace,
        Some(_) if call.is(3, "flush") => Policy::Flush,
        Some(_) => return Err(RESTORE_POLICY),
    };
    let codes = functions_of_payload(&call.args[2])?;
    let codes = codes.iter().map(|code| Bytes::copy_from_slice(code));
    put(&call, codes.collect(), policy).await?;
    Ok(Reply::OK)
}

fn restore_words(call: &Remote) -> CommandError {
    super::subcommand_syntax(&call.args[1], "FUNCTION")
}

/// Loads libraries to see whether they can be, and stores them: all or none.
async fn put(call: &Remote, codes: Vec<Bytes>, policy: Policy) -> Result<(), CommandError> {
    let loading = tokio::task::spawn_blocking(move || load_all(codes));
    let loaded = loading
        .await
        .map_err(|error| CommandError::Other(format!("ERR {error}")))??;
    let scripts = &call.shared.scripts;
    for _ in 0..TRIES {
        let before = scripts.functions();
        let (expected, changes) = changes_of(&before, &loaded, policy)?;
        if scripts.change(expected, changes, call.deadline).await? {
            return Ok(());
        }
        scripts.news().await;
    }
    let reason = "libraries were changed by others meanwhile".to_owned();
    Err(CommandError::TryAgain(reason))
}

/// Loads libraries, all into the same engine: functions of the same name are refused.
fn load_all(codes: Vec<Bytes>) -> Result<Vec<(Bytes, Loaded)>, CommandError> {
    let mut engine = Engine::new(Limits::default());
    let mut loaded: Vec<(Bytes, Loaded)> = Vec::new();
    for code in codes {
        let head = library_head(&code).map_err(|error| CommandError::Other(error.line()))?;
        if loaded.iter().any(|(_, library)| library.name == head.name) {
            return Err(library_exists(&head.name));
        }
        let library = engine.load_library(&code);
        let library = library.map_err(|error| CommandError::Other(error.line()))?;
        loaded.push((code, library));
    }
    Ok(loaded)
}

/// The changes that store libraries beside those that are there.
fn changes_of(
    before: &Functions,
    loaded: &[(Bytes, Loaded)],
    policy: Policy,
) -> Result<(Vec<Expected>, Vec<ObjectChange>), CommandError> {
    let mut left: BTreeMap<&[u8], &Arc<Library>> = BTreeMap::new();
    if policy != Policy::Flush {
        let libraries = before.libraries.iter();
        left.extend(libraries.map(|library| (&library.name[..], library)));
    }
    for (_, library) in loaded {
        let is_there = left.remove(library.name.as_bytes()).is_some();
        if is_there && policy == Policy::Append {
            return Err(library_exists(&library.name));
        }
    }
    let taken = left.values().flat_map(|library| &library.functions);
    for function in taken {
        let mut new = loaded.iter().flat_map(|(_, library)| &library.functions);
        if new.any(|new| new.name.eq_ignore_ascii_case(&function.name)) {
            let name = &function.name;
            return Err(CommandError::Other(format!(
                "ERR Function {name} already exists"
            )));
        }
    }
    let expected = before.objects().map(|(name, value)| Expected {
        object: ObjectName::new(ObjectKind::Library, name.clone()),
        value: Some(value.clone()),
    });
    let mut expected: Vec<Expected> = expected.collect();
    let mut changes = Vec::new();
    if policy == Policy::Flush {
        changes.push(ObjectChange::Clear(ObjectKind::Library));
    }
    for (code, library) in loaded {
        let object = ObjectName::new(ObjectKind::Library, library.name.clone());
        if before.named(library.name.as_bytes()).is_none() {
            let object = object.clone();
            expected.push(Expected {
                object,
                value: None,
            });
        }
        changes.push(ObjectChange::Put(object, stored(code, library)));
    }
    Ok((expected, changes))
}

fn stored(code: &Bytes, library: &Loaded) -> Bytes {
    let functions = library.functions.iter().map(|function| StoredFunction {
        name: function.name.clone(),
        description: function.description.clone(),
        flags: function.flags.names().map(str::to_owned).collect(),
    });
    encode(&StoredLibrary {
        code: code.clone(),
        functions: functions.collect(),
    })
}

fn library_exists(name: &str) -> CommandError {
    CommandError::Other(format!("ERR Library '{name}' already exists"))
}

/// `FUNCTION DELETE library-name`.
async fn delete(call: Remote) -> Result<Reply, CommandError> {
    let (scripts, name) = (&call.shared.scripts, &call.args[2]);
    if scripts.functions().named(name).is_none() {
        scripts.news().await;
    }
    if scripts.functions().named(name).is_none() {
        return Err(NO_LIBRARY);
    }
    let name = ObjectName::new(ObjectKind::Library, Bytes::copy_from_slice(name));
    let changes = vec![ObjectChange::Delete(name)];
    scripts.change(Vec::new(), changes, call.deadline).await?;
    Ok(Reply::OK)
}

/// `FUNCTION FLUSH [ASYNC|SYNC]`.
async fn flush(call: Remote) -> Result<Reply, CommandError> {
    let is_known = call.is(2, "async") || call.is(2, "sync");
    if call.args.len() > 3 || (call.args.len() == 3 && !is_known) {
        return Err(FUNCTION_FLUSH_MODE);
    }
    let changes = vec![ObjectChange::Clear(ObjectKind::Library)];
    let scripts = &call.shared.scripts;
    scripts.change(Vec::new(), changes, call.deadline).await?;
    Ok(Reply::OK)
}

/// `FUNCTION DUMP`: a payload for RESTORE.
async fn dump(call: Remote) -> Result<Reply, CommandError> {
    call.shared.scripts.news().await;
    let functions = call.shared.scripts.functions();
    let codes = functions.libraries.iter().map(|library| &library.code);
    Ok(Reply::Bulk(functions_payload(codes)))
}

/// `FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]`.
async fn list(call: Remote) -> Result<Reply, CommandError> {
    let (mut pattern, mut with_code) = (None, false);
    let mut words = call.args[2..].iter();
    while let Some(word) = words.next() {
        if !with_code && word.eq_ignore_ascii_case(b"withcode") {
            with_code = true;
        } else if pattern.is_none() && word.eq_ignore_ascii_case(b"libraryname") {
            pattern = Some(words.next().ok_or(NO_LIBRARY_NAME)?);
        } else {
            return Err(CommandError::quoting("Unknown argument ", word, ""));
        }
    }
    call.shared.scripts.news().await;
    let functions = call.shared.scripts.functions();
    let is_asked = |library: &&Arc<Library>| {
        pattern.is_none_or(|pattern| {
            let (pattern, name) = (
                pattern.to_ascii_lowercase(),
                library.name.to_ascii_lowercase(),
            );
            glob::matches(&pattern, &name)
        })
    };
    let libraries = functions.libraries.iter().filter(is_asked);
    let shown = libraries.map(|library| show(library, with_code));
    Ok(Reply::Array(shown.collect()))
}

fn show(library: &Library, with_code: bool) -> Reply {
    let functions = library.functions.iter().map(|function| {
        let description = function.description.clone();
        let flags = function
            .flags
            .iter()
            .map(|flag| Reply::Simple(flag.clone().into()));
        Reply::Map(vec![
            pair("name", text(function.name.clone())),
            pair("description", description.map_or(Reply::Null, text)),
            pair("flags", Reply::Set(flags.collect())),
        ])
    });
    let mut shown = vec![
        pair("library_name", Reply::Bulk(library.name.clone())),
        pair("engine", Reply::text("LUA")),
        pair("functions", Reply::Array(functions.collect())),
    ];
    if with_code {
        shown.push(pair("library_code", Reply::Bulk(library.code.clone())));
    }
    Reply::Map(shown)
}

/// `FUNCTION STATS`.
async fn stats(call: Remote) -> Result<Reply, CommandError> {
    let running = match longest(&call).await {
        None => Reply::Null,
        Some(running) => {
            let name = if running.is_function { "fcall" } else { "eval" };
            let words = running.words.into_iter().map(Reply::Bulk);
            let command = std::iter::once(Reply::text(name)).chain(words);
            Reply::Map(vec![
                pair("name", Reply::Bulk(running.name)),
                pair("command", Reply::Array(command.collect())),
                pair("duration_ms", int(running.millis)),
            ])
        }
    };
    let functions = call.shared.scripts.functions();
    let counts = Reply::Map(vec![
        pair("libraries_count", int(functions.libraries.len() as u64)),
        pair("functions_count", int(functions.count() as u64)),
    ]);
    Ok(Reply::Map(vec![
        pair("running_script", running),
        pair("engines", Reply::Map(vec![pair("LUA", counts)])),
    ]))
}

/// `FUNCTION KILL`.
async fn kill_functions(call: Remote) -> Result<Reply, CommandError> {
    kill(&call, Kind::Function).await
}

fn pair(name: &'static str, value: Reply) -> (Reply, Reply) {
    (Reply::text(name), value)
}

/// `FUNCTION HELP`.
fn help(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::help(
        "FUNCTION",
        &[
            "LOAD [REPLACE] <FUNCTION CODE>",
            "    Create a new library with the given library name and code.",
            "DELETE <LIBRARY NAME>",
            "    Delete the given library.",
            "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
            "    Return general information on all the libraries:",
            "    * Library name",
            "    * The engine used to run the Library",
            "    * Library description",
            "    * Functions list",
            "    * Library code (if WITHCODE is given)",
            "    It also possible to get only function that matches a pattern using LIBRARYNAME \
            argument.",
            "STATS",
            "    Return information about the current function running:",
            "    * Function name",
            "    * Command used to run the function",
            "    * Duration in MS that the function is running",
            "    If no function is running, return nil",
            "    In addition, returns a list of available engines.",
            "KILL",
            "    Kill the current running function.",
            "FLUSH [ASYNC|SYNC]",
            "    Delete all the libraries.",
            "    When called without the optional mode argument, the behavior is determined by \
            the",
            "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
            "    * ASYNC: Asynchronously flush the libraries.",
            "    * SYNC: Synchronously flush the libraries.",
            "DUMP",
            "    Return a serialized payload representing the current libraries, can be restored \
            using FUNCTION RESTORE command",
            "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
            "    Restore the libraries represented by the given payload, it is possible to give a \
            restore policy to",
            "    control how to handle existing libraries (default APPEND):",
            "    * FLUSH: delete all existing libraries.",
            "    * APPEND: appends the restored libraries to the existing libraries. On collision, \
            abort.",
            "    * REPLACE: appends the restored libraries to the existing libraries, On \
            collision, replace the old",
            "      libraries with the new libraries (notice that even on this option there is a \
            chance of failure",
            "      in case of functions name conflict with another library).",
        ],
    )
    .into())
}
