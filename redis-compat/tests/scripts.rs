//! Runs `testscripts/`: commands line by line, and their replies.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p coterie-redis-compat --test scripts` records the answers
//! anew; read the difference. Apart from commands a script may say `clock <ms>` (the group clock),
//! `resp <2|3>` and `table <n>`. Bytes are escaped as in Rust.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::error::Error;
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};
use common::Store;
use coterie_redis_compat::Resp;
use goldenscript::{Argument, Command, Context, Runner};

#[derive(Default)]
struct Script {
    store: Store,
    table: u32,
    resp: Resp,
}

impl Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        let mut words = vec![command.name.clone()];
        words.extend(command.args.iter().map(|arg| match arg {
            Argument::KeyValue(key, value) => format!("{key}={value}"),
            Argument::Positional(value) => value.clone(),
            other => other.to_string(),
        }));
        match words
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .as_slice()
        {
            ["clock", now] => self.store.now = now.parse()?,
            ["table", table] => self.table = table.parse()?,
            ["resp", version] => {
                self.resp = if *version == "3" { Resp::V3 } else { Resp::V2 };
            }
            _ => {
                // A character below 256 stands for the byte, so that scripts can say any bytes.
                let args: Vec<Bytes> = words
                    .iter()
                    .map(|w| w.chars().map(|c| c as u32 as u8).collect())
                    .collect();
                let mut reply = self.store.run(self.table, &args, self.resp);
                let shown = args
                    .iter()
                    .map(|arg| word(arg))
                    .collect::<Vec<_>>()
                    .join(" ");
                return Ok(format!("{shown} → {}\n", show(&mut reply)));
            }
        }
        Ok(String::new())
    }
}

fn word(word: &[u8]) -> String {
    let plain = !word.is_empty() && word.iter().all(u8::is_ascii_graphic);
    if plain {
        word.escape_ascii().to_string()
    } else {
        quoted(word)
    }
}

fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

/// The reply in a form for people.
fn show(raw: &mut Bytes) -> String {
    let end = raw.iter().position(|byte| *byte == b'\r').unwrap();
    let line = raw.split_to(end);
    raw.advance(2);
    let text = String::from_utf8_lossy(&line[1..]).into_owned();
    let mut items = |count: &str, per_item: usize| {
        let count = count.parse::<usize>().unwrap() * per_item;
        (0..count).map(|_| show(raw)).collect::<Vec<_>>()
    };
    match line[0] {
        b'_' => "null".to_owned(),
        b'$' | b'*' if text == "-1" => "null".to_owned(),
        b'$' => {
            let bytes = raw.split_to(text.parse().unwrap());
            raw.advance(2);
            quoted(&bytes)
        }
        b'*' => format!("[{}]", items(&text, 1).join(", ")),
        b'~' => format!("set[{}]", items(&text, 1).join(", ")),
        b'%' => {
            let pairs = items(&text, 2);
            let pairs = pairs
                .chunks(2)
                .map(|pair| format!("{}: {}", pair[0], pair[1]));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        _ => text,
    }
}

fn scripts(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            scripts(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn scripts_answer_as_recorded() {
    let mut found = Vec::new();
    scripts(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts"),
        &mut found,
    );
    found.sort();
    assert!(!found.is_empty());
    for path in found {
        goldenscript::run(&mut Script::default(), &path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
