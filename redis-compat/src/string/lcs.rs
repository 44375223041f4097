//! `LCS`: the longest common subsequence of two strings, by the table of all prefixes.

use bytes::Bytes;

use crate::command::{Command, Part, Topic, command};
use crate::errors::SYNTAX;
use crate::errors::error_lines;
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[LCS], LINES);

error_lines! {
    /// `LCS` of another type.
    LCS_TYPE = "ERR The specified keys must contain string values";
    /// `LCS` with both LEN and IDX.
    LCS_LEN_AND_IDX = "ERR If you want both the length and indexes, please just use IDX.";
    /// `LCS` of values whose table does not fit in memory.
    LCS_MEMORY = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
}

/// The most bytes the table may take: Redis' `proto-max-bulk-len`.
const TABLE_BYTES_MAX: u64 = 512 << 20;

#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    min_match_len: i64,
}

const LCS: Command = command(Topic::String, "lcs")
    .syntax("key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1).to(1)])
    .runs(lcs)
    .check(lcs_check)
    .hints("len=index")
    .docs(
        "7.0.0",
        "O(N*M) where N and M are the lengths of s1 and s2, respectively",
        "Finds the longest common subsequence of two strings.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN n] [WITHMATCHLEN]`: the subsequence, its length, or
/// where it lies. Absent keys count as empty.
///
/// O(n*m) time and memory, at most 512 MiB. Errors: `LCS_TYPE`, `NOT_AN_INTEGER`, `SYNTAX`,
/// `LCS_LEN_AND_IDX`, `LCS_MEMORY`. Source: Redis `t_string.c`, `lcsCommand`.
fn lcs(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (a, b) = (text(txn, args.bytes(1))?, text(txn, args.bytes(2))?);
    let options = parse(args)?;
    let cells = (a.len() as u64 + 1) * (b.len() as u64 + 1);
    if cells * 4 > TABLE_BYTES_MAX {
        return Err(LCS_MEMORY.into());
    }
    let table = Table::new(&a, &b);
    if options.idx {
        return Ok(Reply::Map(vec![
            (
                Reply::text("matches"),
                Reply::Array(table.matches(&options)),
            ),
            (Reply::text("len"), Reply::Integer(table.len())),
        ]));
    }
    if options.len {
        return Ok(Reply::Integer(table.len()));
    }
    let mut common: Vec<u8> = table.pairs().map(|(i, _)| a[i]).collect();
    common.reverse();
    Ok(Reply::Bulk(Bytes::from(common)))
}

fn text(txn: &mut Txn<'_>, key: &Bytes) -> Result<Bytes, EvalError> {
    let Some(value) = txn.value(key)? else {
        return Ok(Bytes::new());
    };
    let string = value.into_string()?.ok_or(LCS_TYPE)?;
    Ok(string.read_all(txn, key)?.into_bytes())
}

/// The options make sense. Redis reads them after the values; across groups nobody has both.
fn lcs_check(args: &Args<'_>) -> Result<(), CommandError> {
    parse(args).map(drop)
}

fn parse(args: &Args<'_>) -> Result<Options, CommandError> {
    let mut options = Options::default();
    let mut words = args.options(3);
    while let Some(word) = words.next() {
        match word.keyword().as_str() {
            "idx" => options.idx = true,
            "len" => options.len = true,
            "withmatchlen" => options.with_match_len = true,
            "minmatchlen" => options.min_match_len = words.int()?.max(0),
            _ => return Err(SYNTAX),
        }
    }
    if options.len && options.idx {
        Err(LCS_LEN_AND_IDX)
    } else {
        Ok(options)
    }
}

/// The length of the longest common subsequence of each two prefixes.
struct Table<'a> {
    a: &'a [u8],
    b: &'a [u8],
    cells: Vec<u32>,
}

impl<'a> Table<'a> {
    fn new(a: &'a [u8], b: &'a [u8]) -> Self {
        let width = b.len() + 1;
        let mut cells = vec![0u32; (a.len() + 1) * width];
        for (i, x) in a.iter().enumerate() {
            let (above, row) = cells[i * width..].split_at_mut(width);
            for (j, y) in b.iter().enumerate() {
                row[j + 1] = if x == y {
                    above[j] + 1
                } else {
                    above[j + 1].max(row[j])
                };
            }
        }
        Self { a, b, cells }
    }

    fn cell(&self, i: usize, j: usize) -> u32 {
        self.cells[i * (self.b.len() + 1) + j]
    }

    fn len(&self) -> i64 {
        self.cell(self.a.len(), self.b.len()).into()
    }

    /// The positions of the common bytes, last first, by the path Redis takes.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let (mut i, mut j) = (self.a.len(), self.b.len());
        std::iter::from_fn(move || {
            while i > 0 && j > 0 {
                if self.a[i - 1] == self.b[j - 1] {
                    (i, j) = (i - 1, j - 1);
                    return Some((i, j));
                }
                if self.cell(i - 1, j) > self.cell(i, j - 1) {
                    i -= 1;
                } else {
                    j -= 1;
                }
            }
            None
        })
    }

    /// The runs of common bytes, last first, as `IDX` answers.
    fn matches(&self, options: &Options) -> Vec<Reply> {
        let mut runs: Vec<(usize, usize, i64)> = Vec::new();
        for (i, j) in self.pairs() {
            match runs.last_mut() {
                Some((a, b, len)) if *a == i + 1 && *b == j + 1 => {
                    (*a, *b, *len) = (i, j, *len + 1)
                }
                _ => runs.push((i, j, 1)),
            }
        }
        let side = |start: usize, len: i64| {
            Reply::Array(vec![
                Reply::Integer(start as i64),
                Reply::Integer(start as i64 + len - 1),
            ])
        };
        let long_enough = runs
            .into_iter()
            .filter(|(_, _, len)| *len >= options.min_match_len);
        long_enough
            .map(|(a, b, len)| {
                let mut run = vec![side(a, len), side(b, len)];
                if options.with_match_len {
                    run.push(Reply::Integer(len));
                }
                Reply::Array(run)
            })
            .collect()
    }
}
