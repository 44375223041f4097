//! The handle of HyperLogLogs: a string of theirs, to be read or to be changed.

use std::ops::Deref;

use bytes::Bytes;

use super::estimate::{self, Histogram};
use super::layout::{HEADER, NOT_A_HYPERLOGLOG, REGISTERS};
use super::sparse::{Raised, Run, Way};
use super::{dense, hash, sparse};
use crate::string::StringValue;
use crate::{CommandError, EvalError, Txn};

const MAGIC: &[u8; 4] = b"HYLL";
const FORM_AT: usize = 4;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
/// Where the count that was computed last stands.
const COUNT_AT: usize = 8;
/// The byte of the count whose highest bit says that it is not valid.
const COUNT_TOP: usize = COUNT_AT + 7;
const NOT_VALID: u8 = 0x80;

/// How registers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Dense,
    Sparse,
}

/// The bytes of a HyperLogLog whose header makes sense.
pub(super) struct HyperLogLog<B> {
    bytes: B,
}

impl<B: Deref<Target = [u8]>> HyperLogLog<B> {
    /// The HyperLogLog in a string. Its runs are checked when they are read. Errors:
    /// `NOT_A_HYPERLOGLOG`.
    pub(super) fn of(bytes: B) -> Result<Self, CommandError> {
        let is_one = bytes.len() >= HEADER
            && bytes.starts_with(MAGIC)
            && match bytes[FORM_AT] {
                DENSE => bytes.len() == HEADER + dense::BYTES,
                SPARSE => true,
                _ => false,
            };
        is_one.then_some(Self { bytes }).ok_or(NOT_A_HYPERLOGLOG)
    }

    pub(super) fn form(&self) -> Form {
        match self.bytes[FORM_AT] {
            SPARSE => Form::Sparse,
            _ => Form::Dense,
        }
    }

    /// The runs of a sparse HyperLogLog.
    pub(super) fn runs(&self) -> impl Iterator<Item = Result<Run, CommandError>> {
        sparse::runs(&self.bytes)
    }

    /// The registers of a dense HyperLogLog.
    pub(super) fn registers(&self) -> impl Iterator<Item = u8> {
        dense::all(&self.bytes[HEADER..])
    }

    /// How many elements were added: computed, unless the count is noted. Errors: `CORRUPTED`.
    pub(super) fn count(&self) -> Result<u64, CommandError> {
        match self.bytes[COUNT_AT..].first_chunk() {
            Some(noted) if noted[7] & NOT_VALID == 0 => Ok(u64::from_le_bytes(*noted)),
            _ => self.computed_count(),
        }
    }

    /// The same, whatever is noted.
    pub(super) fn computed_count(&self) -> Result<u64, CommandError> {
        let mut histogram: Histogram = [0; 64];
        match self.form() {
            Form::Dense => self
                .registers()
                .for_each(|value| histogram[usize::from(value)] += 1),
            Form::Sparse => {
                for run in self.runs() {
                    let run = run?;
                    histogram[usize::from(run.value)] += run.len as u32;
                }
            }
        }
        Ok(estimate::count(&histogram))
    }

    /// Raises registers to those of this HyperLogLog. Errors: `CORRUPTED`.
    pub(super) fn raise_all(&self, registers: &mut [u8]) -> Result<(), CommandError> {
        match self.form() {
            Form::Dense => {
                for (register, value) in registers.iter_mut().zip(self.registers()) {
                    *register = value.max(*register);
                }
            }
            Form::Sparse => {
                let mut first = 0;
                for run in self.runs() {
                    let run = run?;
                    for register in &mut registers[first..first + run.len] {
                        *register = run.value.max(*register);
                    }
                    first += run.len;
                }
            }
        }
        Ok(())
    }
}

impl HyperLogLog<Bytes> {
    /// A copy to be changed.
    pub(super) fn to_changed(&self) -> HyperLogLog<Vec<u8>> {
        let bytes = self.bytes.to_vec();
        HyperLogLog { bytes }
    }
}

impl HyperLogLog<Vec<u8>> {
    /// A HyperLogLog without elements.
    pub(super) fn empty() -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[FORM_AT] = SPARSE;
        bytes.extend(sparse::EMPTY);
        Self { bytes }
    }

    /// Adds an element; returns whether a register was raised. Errors: `CORRUPTED`.
    pub(super) fn add(&mut self, element: &[u8], way: &mut Way) -> Result<bool, CommandError> {
        let (register, value) = hash::place(element);
        way.restart();
        self.raise(register, value, way)
    }

    /// Raises a register to a value; returns whether it was lower. Where runs cannot hold it, the
    /// HyperLogLog becomes dense. Errors: `CORRUPTED`.
    pub(super) fn raise(
        &mut self,
        register: usize,
        value: u8,
        way: &mut Way,
    ) -> Result<bool, CommandError> {
        if self.form() == Form::Sparse {
            match sparse::raise(&mut self.bytes, way, register, value)? {
                Raised::Yes => return Ok(true),
                Raised::Not => return Ok(false),
                Raised::DoesNotFit => drop(self.make_dense()?),
            }
        }
        let registers = &mut self.bytes[HEADER..];
        let is_lower = dense::get(registers, register) < value;
        if is_lower {
            dense::set(registers, register, value);
        }
        Ok(is_lower)
    }

    /// Keeps the registers in the dense form; returns whether it was another. Errors: `CORRUPTED`.
    pub(super) fn make_dense(&mut self) -> Result<bool, CommandError> {
        if self.form() == Form::Dense {
            return Ok(false);
        }
        let mut registers = vec![0; REGISTERS];
        self.raise_all(&mut registers)?;
        self.bytes.truncate(HEADER);
        self.bytes[FORM_AT] = DENSE;
        self.bytes.resize(HEADER + dense::BYTES, 0);
        for (register, value) in registers.into_iter().enumerate() {
            dense::set(&mut self.bytes[HEADER..], register, value);
        }
        Ok(true)
    }

    /// The count that is noted is no longer right.
    pub(super) fn forget_count(&mut self) {
        self.bytes[COUNT_TOP] |= NOT_VALID;
    }

    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from(self.bytes)
    }
}

/// A HyperLogLog that is being changed.
pub(super) struct Changing {
    /// The string under the key, if there is any.
    pub(super) old: Option<StringValue>,
    pub(super) new: HyperLogLog<Vec<u8>>,
}

impl Txn<'_> {
    /// The HyperLogLog under a key. Errors: `WRONG_TYPE`, `NOT_A_HYPERLOGLOG`.
    pub(super) fn hyperloglog(
        &mut self,
        key: &Bytes,
    ) -> Result<Option<HyperLogLog<Bytes>>, EvalError> {
        let string = self.string(key)?;
        let found = string.map(|string| HyperLogLog::of(string.into_bytes()));
        Ok(found.transpose()?)
    }

    /// The HyperLogLog under a key, to be changed; without elements if the key is absent. Errors:
    /// `WRONG_TYPE`, `NOT_A_HYPERLOGLOG`.
    pub(super) fn hyperloglog_to_change(&mut self, key: &Bytes) -> Result<Changing, EvalError> {
        let old = self.string(key)?;
        let new = match &old {
            Some(old) => HyperLogLog::of(old.bytes().clone())?.to_changed(),
            None => HyperLogLog::empty(),
        };
        Ok(Changing { old, new })
    }

    /// Stores a changed HyperLogLog. The expiry is kept.
    pub(super) fn put_hyperloglog(
        &mut self,
        key: &Bytes,
        changing: Changing,
    ) -> Result<(), CommandError> {
        let expires_at = changing.old.and_then(|old| old.expires_at());
        let bytes = changing.new.into_bytes();
        self.check_len(bytes.len())?;
        self.put_raw(key.clone(), bytes, expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_hold_the_same_registers_and_count_the_same() {
        let mut sparse = HyperLogLog::empty();
        let mut way = Way::default();
        assert_eq!(sparse.computed_count(), Ok(0));
        for element in 0..600u32 {
            sparse.add(&element.to_le_bytes(), &mut way).unwrap();
        }
        assert_eq!(sparse.form(), Form::Sparse);
        let mut dense = HyperLogLog::of(sparse.bytes.clone()).unwrap();
        assert_eq!(dense.make_dense(), Ok(true));
        assert_eq!(dense.make_dense(), Ok(false));
        let mut both = [vec![0; REGISTERS], vec![0; REGISTERS]];
        sparse.raise_all(&mut both[0]).unwrap();
        dense.raise_all(&mut both[1]).unwrap();
        assert_eq!(both[0], both[1]);
        assert_eq!(sparse.computed_count(), dense.computed_count());
        let count = dense.computed_count().unwrap();
        assert!((580..620).contains(&count), "{count}");
    }

    #[test]
    fn only_a_sensible_header_is_taken() {
        let whole = HyperLogLog::empty().bytes;
        assert!(HyperLogLog::of(&whole[..]).is_ok());
        for damage in [
            |bytes: &mut Vec<u8>| bytes[0] = b'h',
            |bytes: &mut Vec<u8>| bytes[FORM_AT] = 2,
            |bytes: &mut Vec<u8>| bytes[FORM_AT] = DENSE,
            |bytes: &mut Vec<u8>| bytes.truncate(HEADER - 1),
        ] {
            let mut bytes = whole.clone();
            damage(&mut bytes);
            let outcome = HyperLogLog::of(&bytes[..]).map(drop);
            assert_eq!(outcome, Err(NOT_A_HYPERLOGLOG));
        }
    }

    #[test]
    fn a_noted_count_is_taken_while_it_is_valid() {
        let mut hll = HyperLogLog::empty();
        hll.bytes[COUNT_AT..HEADER].copy_from_slice(&77u64.to_le_bytes());
        assert_eq!(hll.count(), Ok(77));
        hll.forget_count();
        assert_eq!(hll.count(), Ok(0));
    }
}
