//! The rest of a request that is refused for its length: its bytes are dropped as they come, so
//! that the connection can go on behind it.
//!
//! Only the first bytes of the first words are kept: they name the command, and error lines quote
//! them. Caller: `codec`, which has read the request up to the argument that is too long.

use bytes::{Buf, Bytes, BytesMut};

/// Words that are kept: they name the command, and are more than an error line quotes.
const WORDS_KEPT: usize = 48;
/// Bytes kept of each word: as many as an error line quotes.
const WORD_BYTES_KEPT: usize = 128;

/// Why a request was cut short; its connection refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Announced bytes of all its arguments.
    pub total: usize,
    /// The argument that is longer than its command allows; `None` if only the total is too long.
    pub at: Option<usize>,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Cutting {
    pub(super) cut: Cut,
    words: Vec<Bytes>,
    /// Bytes of the current argument that are still to be dropped.
    left: usize,
}

impl Cutting {
    /// Starts to cut a request that has begun with these words and is too long from here on.
    pub(super) fn new<'a>(cut: Cut, words: impl Iterator<Item = &'a [u8]>) -> Self {
        let head = |word: &[u8]| Bytes::copy_from_slice(&word[..word.len().min(WORD_BYTES_KEPT)]);
        Self {
            cut,
            words: words.take(WORDS_KEPT).map(head).collect(),
            left: 0,
        }
    }

    /// Counts another argument of the request, of `len` bytes.
    pub(super) fn add(&mut self, len: usize) {
        self.cut.total = self.cut.total.saturating_add(len);
    }

    /// Drops the received bytes of the argument of `len` bytes at the front of `input`; `false`
    /// until the whole argument and its line end have come.
    pub(super) fn drop_argument(&mut self, input: &mut BytesMut, len: usize) -> bool {
        if self.left == 0 {
            let kept = if self.words.len() < WORDS_KEPT {
                len.min(WORD_BYTES_KEPT)
            } else {
                0
            };
            if input.len() < kept {
                return false;
            }
            if self.words.len() < WORDS_KEPT {
                self.words.push(Bytes::copy_from_slice(&input[..kept]));
            }
            input.advance(kept);
            self.left = len - kept + 2;
        }
        let dropped = self.left.min(input.len());
        input.advance(dropped);
        self.left -= dropped;
        self.left == 0
    }

    /// The words that were kept.
    pub(super) fn into_words(self) -> Vec<Bytes> {
        self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: Cut = Cut { total: 0, at: None };

    #[test]
    fn little_is_kept_whatever_comes() {
        let mut cutting = Cutting::new(CUT, std::iter::once(b"mset".as_slice()));
        let mut input = BytesMut::new();
        for _ in 0..1000 {
            cutting.add(1000);
            for _ in 0..100 {
                assert!(!cutting.drop_argument(&mut input, 1000));
                input.extend_from_slice(&[b'x'; 10]);
            }
            input.extend_from_slice(b"\r\n$");
            assert!(cutting.drop_argument(&mut input, 1000));
            assert_eq!(input.split(), "$");
        }
        assert_eq!(cutting.cut.total, 1_000_000);
        let words = cutting.into_words();
        assert_eq!((words.len(), words[0].as_ref()), (48, b"mset".as_slice()));
        assert!(words[1..].iter().all(|word| word == &[b'x'; 128][..]));
    }
}
