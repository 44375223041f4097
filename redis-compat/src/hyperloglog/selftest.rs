//! `PFSELFTEST`: both forms against each other, and the error of the estimate.

use super::hash;
use super::layout::REGISTERS;
use super::sparse::{self, Way};
use super::value::{Form, HyperLogLog};
use crate::command::{Command, Part, Topic, command};
use crate::{CommandError, Flags as F};

pub(super) const PART: Part = Part::new(&[PFSELFTEST], &[]);

const PFSELFTEST: Command = command(Topic::HyperLogLog, "pfselftest")
    .flags(F::ADMIN)
    .docs("2.8.9", "N/A", "Tests HyperLogLogs.")
    .deviation("It adds 100,000 elements, always the same, where Redis adds ten million.");

/// How many elements are added: a proxy has other clients to serve meanwhile.
const ELEMENTS: u64 = 100_000;

/// Adds elements to a HyperLogLog in the dense form and to another that begins sparse, and compares
/// their counts with the truth at each power of ten. Errors: what is wrong.
pub fn self_test() -> Result<(), CommandError> {
    let mut dense = HyperLogLog::empty();
    let mut sparse = HyperLogLog::empty();
    let mut way = Way::default();
    dense.make_dense()?;
    let mut checkpoint = 1;
    for number in 1..=ELEMENTS {
        let element = number.to_le_bytes();
        let (register, value) = hash::place(&element);
        dense.raise(register, value, &mut way)?;
        sparse.add(&element, &mut way)?;
        if number == checkpoint {
            check(number, &dense, &sparse)?;
            checkpoint *= 10;
        }
    }
    Ok(())
}

fn check(
    number: u64,
    dense: &HyperLogLog<Vec<u8>>,
    sparse: &HyperLogLog<Vec<u8>>,
) -> Result<(), CommandError> {
    let failed = |why: String| Err(CommandError::Other(format!("TESTFAILED {why}")));
    if number < sparse::BYTES_MAX as u64 / 2 && sparse.form() != Form::Sparse {
        return failed("sparse encoding not used".to_owned());
    }
    let count = dense.computed_count()?;
    if count != sparse.computed_count()? {
        return failed("dense/sparse disagree".to_owned());
    }
    let standard = 1.04 / (REGISTERS as f64).sqrt();
    let error = count.abs_diff(number);
    if error > (6.0 * standard * number as f64).ceil() as u64 {
        return failed(format!("Too big error. card:{number} abserr:{error}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_self_test_succeeds() {
        assert_eq!(super::self_test(), Ok(()));
    }
}
