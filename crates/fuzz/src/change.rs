//! A change of an input.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// The longest run of bytes that a change removes, repeats or copies.
const RUN_MAX: usize = 24;
/// Repetitions of a run at most.
const TIMES_MAX: usize = 40;

/// Numbers at which decoders fail.
const NUMBERS: [u64; 16] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// A number as bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Byte,
    TwoLittle,
    FourLittle,
    EightLittle,
    FourBig,
    EightBig,
    Leb128,
    Decimal,
}

const FORMS: [Form; 8] = [
    Form::Byte,
    Form::TwoLittle,
    Form::FourLittle,
    Form::EightLittle,
    Form::FourBig,
    Form::EightBig,
    Form::Leb128,
    Form::Decimal,
];

#[derive(Debug, Clone)]
pub(super) enum Change {
    Flip {
        at: Index,
        bit: u8,
    },
    Insert {
        at: Index,
        bytes: Vec<u8>,
    },
    Remove {
        at: Index,
        len: usize,
    },
    /// The rest is removed.
    Truncate {
        at: Index,
    },
    Repeat {
        at: Index,
        len: usize,
        times: usize,
    },
    /// The number replaces as many bytes as it takes.
    Number {
        at: Index,
        number: u64,
        form: Form,
    },
    /// Replaces the rest by the end of a seed.
    Splice {
        at: Index,
        seed: Index,
        from: Index,
    },
}

impl Change {
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let at = any::<Index>;
        let number = prop_oneof![
            3 => proptest::sample::select(&NUMBERS[..]),
            1 => 0u64..300,
        ];
        let form = proptest::sample::select(&FORMS[..]);
        prop_oneof![
            (at(), 0u8..8).prop_map(|(at, bit)| Self::Flip { at, bit }),
            (at(), vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Self::Insert { at, bytes }),
            (at(), 1..RUN_MAX).prop_map(|(at, len)| Self::Remove { at, len }),
            at().prop_map(|at| Self::Truncate { at }),
            (at(), 1..RUN_MAX, 1..TIMES_MAX).prop_map(|(at, len, times)| Self::Repeat {
                at,
                len,
                times
            }),
            (at(), number, form).prop_map(|(at, number, form)| Self::Number { at, number, form }),
            (at(), at(), at()).prop_map(|(at, seed, from)| Self::Splice { at, seed, from }),
        ]
    }

    pub(super) fn apply(&self, mut input: Vec<u8>, seeds: &[Vec<u8>]) -> Vec<u8> {
        let place = |at: &Index| at.index(input.len() + 1);
        match self {
            Self::Flip { at, bit } => {
                let at = place(at);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Insert { at, bytes } => {
                let at = place(at);
                input.splice(at..at, bytes.iter().copied());
            }
            Self::Remove { at, len } => {
                let at = place(at);
                input.drain(at..input.len().min(at + len));
            }
            Self::Truncate { at } => input.truncate(place(at)),
            Self::Repeat { at, len, times } => {
                let at = place(at);
                let run = input[at..input.len().min(at + len)].repeat(*times);
                input.splice(at..at, run);
            }
            Self::Number { at, number, form } => {
                let (at, bytes) = (place(at), form.bytes(*number));
                input.splice(at..input.len().min(at + bytes.len()), bytes);
            }
            Self::Splice { at, seed, from } => {
                input.truncate(place(at));
                let seed = &seeds[seed.index(seeds.len())];
                input.extend_from_slice(&seed[from.index(seed.len() + 1)..]);
            }
        }
        input
    }
}

impl Form {
    fn bytes(self, number: u64) -> Vec<u8> {
        match self {
            Self::Byte => vec![number as u8],
            Self::TwoLittle => (number as u16).to_le_bytes().to_vec(),
            Self::FourLittle => (number as u32).to_le_bytes().to_vec(),
            Self::EightLittle => number.to_le_bytes().to_vec(),
            Self::FourBig => (number as u32).to_be_bytes().to_vec(),
            Self::EightBig => number.to_be_bytes().to_vec(),
            Self::Leb128 => leb128(number),
            Self::Decimal => number.to_string().into_bytes(),
        }
    }
}

fn leb128(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_replaces_as_many_bytes_as_it_takes() {
        for (form, expected) in [
            (Form::Byte, &b"\x2cbcdefgh"[..]),
            (Form::TwoLittle, b"\x2c\x01cdefgh"),
            (Form::FourBig, b"\0\0\x01\x2cefgh"),
            (Form::Leb128, b"\xac\x02cdefgh"),
            (Form::Decimal, b"300defgh"),
        ] {
            let mut input = b"abcdefgh".to_vec();
            let bytes = form.bytes(300);
            input.splice(..bytes.len(), bytes);
            assert_eq!(input, expected, "{form:?}");
        }
    }

    proptest! {
        #[test]
        fn any_change_of_any_input_can_be_made(
            input in vec(any::<u8>(), 0..20),
            changes in vec(Change::any(), 0..20),
        ) {
            let seeds = [Vec::new(), b"seed".to_vec()];
            let changed = changes.iter().fold(input, |input, change| change.apply(input, &seeds));
            prop_assert!(changed.len() < 20 + 20 * RUN_MAX * TIMES_MAX);
        }
    }
}
