//! Registers as runs of equal values.
//!
//! ```text
//! 00nnnnnn            n + 1 registers are 0
//! 01nnnnnn nnnnnnnn   n + 1 registers are 0
//! 1vvvvvnn            n + 1 registers are v + 1
//! ```
//!
//! Which runs there are depends on the order in which registers were raised: Redis splits a run and
//! merges only neighbours of the new run. The same is done here, so that the bytes are the same.

use super::layout::{CORRUPTED, HEADER, REGISTERS};
use crate::CommandError;

/// The greatest value of a run.
const VALUE_MAX: u8 = 32;
/// The longest run of a value that is not 0.
const VALUE_RUN_MAX: usize = 4;
/// The longest run of zeros in a byte.
const ZERO_RUN_MAX: usize = 64;
/// The longest HyperLogLog of runs, header included: `hll-sparse-max-bytes`.
pub(super) const BYTES_MAX: usize = 3000;
/// Runs are merged among so many, counted from the run before the new run.
const MERGED_RUNS: usize = 5;

const LONG_ZERO: u8 = 0x40;
const VALUE: u8 = 0x80;

/// All registers are 0.
pub(super) const EMPTY: [u8; 2] = {
    let [high, low] = (REGISTERS as u16 - 1).to_be_bytes();
    [LONG_ZERO | high, low]
};

/// Registers of the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) value: u8,
    pub(super) len: usize,
    /// How many bytes it takes.
    pub(super) bytes: usize,
}

impl Run {
    /// The run that begins at `at`; `None` at the end, or if it is cut short.
    fn read(runs: &[u8], at: usize) -> Option<Self> {
        let first = *runs.get(at)?;
        let low = usize::from(first & 0x3f);
        Some(if first & VALUE != 0 {
            Self {
                value: (first >> 2 & 0x1f) + 1,
                len: usize::from(first & 3) + 1,
                bytes: 1,
            }
        } else if first & LONG_ZERO != 0 {
            Self {
                value: 0,
                len: (low << 8 | usize::from(*runs.get(at + 1)?)) + 1,
                bytes: 2,
            }
        } else {
            Self {
                value: 0,
                len: low + 1,
                bytes: 1,
            }
        })
    }

    fn put(out: &mut Vec<u8>, value: u8, len: usize) {
        let less_one = len - 1;
        match value {
            0 if len > ZERO_RUN_MAX => {
                let [high, low] = (less_one as u16).to_be_bytes();
                out.extend([LONG_ZERO | high, low]);
            }
            0 => out.push(less_one as u8),
            value => out.push(VALUE | (value - 1) << 2 | less_one as u8),
        }
    }
}

/// The runs behind a header. The last item is an error unless they make up all registers.
pub(super) fn runs(all: &[u8]) -> impl Iterator<Item = Result<Run, CommandError>> {
    let (mut at, mut first) = (HEADER, Some(0));
    std::iter::from_fn(move || {
        let done = first?;
        if at == all.len() && done == REGISTERS {
            return None;
        }
        let run = Run::read(all, at).filter(|run| done + run.len <= REGISTERS);
        at += run.map_or(0, |run| run.bytes);
        first = run.map(|run| done + run.len);
        Some(run.ok_or(CORRUPTED))
    })
}

/// The outcome of [`Sparse::raise`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Raised {
    Yes,
    /// The register has this value or a greater value.
    Not,
    /// Runs cannot hold it.
    DoesNotFit,
}

/// The way to the run that was looked for last: where the runs before it begin, and the first
/// register of each.
#[derive(Default)]
pub(super) struct Way(Vec<(usize, usize)>);

impl Way {
    /// The next register may be any.
    pub(super) fn restart(&mut self) {
        self.0.clear();
    }

    /// Goes to the run with a register, which is none before the register of the last search.
    fn find(&mut self, all: &[u8], register: usize) -> Option<(usize, usize, Run)> {
        let (mut at, mut first) = self.0.pop().unwrap_or((HEADER, 0));
        loop {
            let run = Run::read(all, at)?;
            if register < first + run.len {
                return Some((at, first, run));
            }
            self.0.push((at, first));
            (at, first) = (at + run.bytes, first + run.len);
        }
    }

    /// Where the run before begins; the header's end if there is none.
    fn before(&self) -> usize {
        self.0.last().map_or(HEADER, |(at, _)| *at)
    }
}

/// Raises a register to a value, unless it is as great. Errors: `CORRUPTED`.
pub(super) fn raise(
    all: &mut Vec<u8>,
    way: &mut Way,
    register: usize,
    value: u8,
) -> Result<Raised, CommandError> {
    if value > VALUE_MAX {
        return Ok(Raised::DoesNotFit);
    }
    let (at, first, run) = way.find(all, register).ok_or(CORRUPTED)?;
    if run.value >= value {
        return Ok(Raised::Not);
    }
    let mut split = Vec::with_capacity(5);
    if register > first {
        Run::put(&mut split, run.value, register - first);
    }
    Run::put(&mut split, value, 1);
    let last = first + run.len - 1;
    if register < last {
        Run::put(&mut split, run.value, last - register);
    }
    if split.len() > run.bytes && all.len() + split.len() - run.bytes > BYTES_MAX {
        return Ok(Raised::DoesNotFit);
    }
    all.splice(at..at + run.bytes, split);
    merge(all, way.before());
    Ok(Raised::Yes)
}

/// Merges neighbours of the same value, from the run at `at` on.
fn merge(all: &mut Vec<u8>, mut at: usize) {
    for _ in 0..MERGED_RUNS {
        let Some(run) = Run::read(all, at) else {
            return;
        };
        let next = Run::read(all, at + run.bytes);
        let next = next.filter(|next| run.value > 0 && next.value == run.value);
        match next.map(|next| run.len + next.len) {
            Some(len @ ..=VALUE_RUN_MAX) => {
                all.remove(at);
                all[at] = VALUE | (run.value - 1) << 2 | (len - 1) as u8;
            }
            _ => at += run.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Vec<u8> {
        [&[0; HEADER][..], &EMPTY].concat()
    }

    fn shown(all: &[u8]) -> String {
        let runs = runs(all).map(|run| match run.unwrap() {
            Run {
                value: 0,
                len,
                bytes,
            } => format!("{}:{len}", if bytes == 1 { "z" } else { "Z" }),
            Run { value, len, .. } => format!("v:{value},{len}"),
        });
        runs.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn runs_are_split_and_neighbours_merged() {
        let mut all = empty();
        assert_eq!(shown(&all), "Z:16384");
        let mut raise = |register, value| {
            let raised = super::raise(&mut all, &mut Way::default(), register, value).unwrap();
            (raised, shown(&all))
        };
        for (register, value, raised, expected) in [
            (70, 3, Raised::Yes, "Z:70 v:3,1 Z:16313"),
            (70, 2, Raised::Not, "Z:70 v:3,1 Z:16313"),
            (72, 3, Raised::Yes, "Z:70 v:3,1 z:1 v:3,1 Z:16311"),
            (71, 3, Raised::Yes, "Z:70 v:3,3 Z:16311"),
            (73, 3, Raised::Yes, "Z:70 v:3,4 Z:16310"),
            (74, 3, Raised::Yes, "Z:70 v:3,4 v:3,1 Z:16309"),
            (71, 32, Raised::Yes, "Z:70 v:3,1 v:32,1 v:3,3 Z:16309"),
            (
                71,
                33,
                Raised::DoesNotFit,
                "Z:70 v:3,1 v:32,1 v:3,3 Z:16309",
            ),
            (
                16383,
                1,
                Raised::Yes,
                "Z:70 v:3,1 v:32,1 v:3,3 Z:16308 v:1,1",
            ),
            (
                0,
                1,
                Raised::Yes,
                "v:1,1 Z:69 v:3,1 v:32,1 v:3,3 Z:16308 v:1,1",
            ),
        ] {
            assert_eq!(raise(register, value), (raised, expected.to_owned()));
        }
    }

    /// Registers in upward order are found from where the last was found.
    #[test]
    fn a_way_that_goes_on_comes_to_the_same_runs() {
        let value = |register: usize| (register * register / 7 % 3) as u8;
        let (mut with_one_way, mut anew) = (empty(), empty());
        let mut way = Way::default();
        for register in (0..REGISTERS).filter(|register| value(*register) > 0) {
            let one = raise(&mut with_one_way, &mut way, register, value(register)).unwrap();
            let new = raise(&mut anew, &mut Way::default(), register, value(register)).unwrap();
            assert_eq!((one, &with_one_way), (new, &anew), "{register}");
        }
        assert!(
            anew.len() > BYTES_MAX - 4 && anew.len() <= BYTES_MAX,
            "full"
        );
    }

    #[test]
    fn runs_that_do_not_make_up_the_registers_are_an_error() {
        let whole = empty();
        let outcome = |all: &[u8]| runs(all).collect::<Result<Vec<_>, _>>();
        assert_eq!(outcome(&whole).unwrap().len(), 1);
        assert_eq!(outcome(&whole[..HEADER]), Err(CORRUPTED));
        assert_eq!(outcome(&whole[..HEADER + 1]), Err(CORRUPTED));
        assert_eq!(outcome(&[&whole[..], &[0]].concat()), Err(CORRUPTED));
        let short = [&whole[..HEADER], &[0x3f]].concat();
        assert_eq!(outcome(&short), Err(CORRUPTED));
        let raised = raise(&mut short.clone(), &mut Way::default(), 64, 1);
        assert_eq!(raised, Err(CORRUPTED));
    }
}
