//! Bytes of a connection: however they are damaged, they are frames or an error, the same for any
//! division into reads.

use bytes::{Bytes, BytesMut};
use coterie_fuzz::fuzz;

use crate::wire::{Head, take_frame};

const FRAME_BYTES_MAX: usize = 200;

/// The frames of the input, and whether an error ended them.
fn frames(input: &[u8], piece: usize) -> (Vec<(Head, Bytes)>, bool) {
    let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
    for piece in input.chunks(piece.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match take_frame(&mut buffer, FRAME_BYTES_MAX) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}

#[test]
fn frames_are_taken_the_same_in_any_pieces() {
    let heads = [
        Head::Call {
            id: 1,
            method: 48,
            timeout_ms: 1500,
        },
        Head::Answer { id: 2 },
        Head::Failure { id: 3 },
        Head::Piece { id: 4, total: 100 },
        Head::Working { id: 5 },
        Head::Cancel { id: 6 },
        Head::Closing,
    ];
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for head in heads {
        let mut bytes = BytesMut::new();
        head.encode(4, &mut bytes);
        bytes.extend_from_slice(b"body");
        seeds.push(bytes.to_vec());
    }
    seeds.push(seeds.concat());
    fuzz(&seeds, |input| {
        let whole = frames(input, usize::MAX);
        let bytes: usize = whole.0.iter().map(|(_, body)| body.len()).sum();
        assert!(bytes <= input.len(), "more than was sent");
        for piece in [1, 5] {
            assert_eq!(frames(input, piece), whole, "pieces of {piece}");
        }
    });
}
