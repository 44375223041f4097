//! Registers of six bits, one behind the other: each begins at the lowest free bit.

use super::layout::REGISTERS;

/// The bits of a register.
const BITS: usize = 6;
const MAX: u16 = (1 << BITS) - 1;
/// The bytes of all registers.
pub(super) const BYTES: usize = REGISTERS * BITS / 8;

/// The first byte of a register, and the bit in it at which the register begins.
fn place(register: usize) -> (usize, usize) {
    (register * BITS / 8, register * BITS % 8)
}

/// The byte of a register's first bits and the byte behind it, which the last register has not.
fn word(registers: &[u8], at: usize) -> u16 {
    let byte = |at: usize| registers.get(at).copied().unwrap_or(0);
    u16::from_le_bytes([byte(at), byte(at + 1)])
}

pub(super) fn get(registers: &[u8], register: usize) -> u8 {
    let (at, bit) = place(register);
    (word(registers, at) >> bit & MAX) as u8
}

pub(super) fn set(registers: &mut [u8], register: usize, value: u8) {
    let (at, bit) = place(register);
    let word = word(registers, at) & !(MAX << bit) | (u16::from(value) & MAX) << bit;
    for (byte, new) in registers[at..].iter_mut().zip(word.to_le_bytes()) {
        *byte = new;
    }
}

/// Each register in turn.
pub(super) fn all(registers: &[u8]) -> impl Iterator<Item = u8> {
    let (groups, _) = registers.as_chunks::<3>();
    groups.iter().flat_map(|[a, b, c]| {
        let four = u32::from_le_bytes([*a, *b, *c, 0]);
        [0, BITS, 2 * BITS, 3 * BITS].map(|bit| (four >> bit) as u8 & MAX as u8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_do_not_touch_their_neighbours() {
        let mut registers = vec![0; BYTES];
        let value = |register: usize| (register * 7 % 64) as u8;
        for register in (0..REGISTERS).rev() {
            set(&mut registers, register, 63);
            set(&mut registers, register, value(register));
        }
        for (register, found) in all(&registers).enumerate() {
            assert_eq!(found, value(register));
            assert_eq!(get(&registers, register), found);
        }
        assert_eq!(all(&registers).count(), REGISTERS);
    }
}
