//! A merged walk through the layers of the write buffer and RocksDB below them.
//!
//! All these sources show the same moment. The topmost source that has a key decides: its value is
//! the key's value, its deletion hides the key.

use rocksdb::DBRawIterator;

use crate::write_buffer::LayerCursor;
use crate::{Cursor, StorageError};

/// An interval of RocksDB; the iterator has its bounds.
pub(crate) struct Below<'a>(pub(crate) DBRawIterator<'a>);

impl Below<'_> {
    /// An iterator at no entry has come to the end, or has failed.
    fn check(&self) -> Result<(), StorageError> {
        if self.0.valid() {
            return Ok(());
        }
        self.0.status().map_err(crate::rocks::error("scan"))
    }
}

impl Cursor for Below<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<(), StorageError> {
        self.0.seek(key);
        self.check()
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<(), StorageError> {
        self.0.seek_for_prev(key);
        self.check()?;
        if self.0.key() == Some(key) {
            self.prev()
        } else {
            Ok(())
        }
    }

    fn next(&mut self) -> Result<(), StorageError> {
        if self.0.valid() {
            self.0.next();
        }
        self.check()
    }

    fn prev(&mut self) -> Result<(), StorageError> {
        if self.0.valid() {
            self.0.prev();
        }
        self.check()
    }

    fn entry(&self) -> Option<(&[u8], &[u8])> {
        self.0.item()
    }
}

/// See the module's head.
pub(crate) struct Merged<'a> {
    /// From the top; at most two.
    layers: Vec<LayerCursor>,
    below: Below<'a>,
    /// The source of the entry, and a bit for each source at its key. The store below is the last.
    at: Option<(usize, u8)>,
    is_back: bool,
}

impl<'a> Merged<'a> {
    pub(crate) fn new(layers: Vec<LayerCursor>, below: Below<'a>) -> Self {
        debug_assert!(layers.len() < 8, "each has a bit");
        Self {
            layers,
            below,
            at: None,
            is_back: false,
        }
    }

    /// Key and value of a source; no value if it deletes the key.
    fn source(&self, n: usize) -> Option<(&[u8], Option<&[u8]>)> {
        match self.layers.get(n) {
            Some(layer) => layer.entry(),
            None => {
                let (key, value) = self.below.entry()?;
                Some((key, Some(value)))
            }
        }
    }

    /// The next source in the direction of the walk, and a bit for each source at the same key.
    fn first(&self) -> Option<(usize, u8)> {
        let mut first: Option<(usize, u8, &[u8])> = None;
        for n in 0..=self.layers.len() {
            let Some((key, _)) = self.source(n) else {
                continue;
            };
            let order = first.map(|(_, _, least)| {
                if self.is_back {
                    least.cmp(key)
                } else {
                    key.cmp(least)
                }
            });
            match (order, &mut first) {
                (Some(std::cmp::Ordering::Greater), _) => {}
                (Some(std::cmp::Ordering::Equal), Some((_, same, _))) => *same |= 1 << n,
                _ => first = Some((n, 1 << n, key)),
            }
        }
        first.map(|(n, same, _)| (n, same))
    }

    /// Steps the sources of these bits.
    fn step(&mut self, same: u8) -> Result<(), StorageError> {
        for (n, layer) in self.layers.iter_mut().enumerate() {
            if same & 1 << n != 0 {
                if self.is_back {
                    layer.prev()
                } else {
                    layer.next()
                }
            }
        }
        if same & 1 << self.layers.len() != 0 {
            if self.is_back {
                self.below.prev()?
            } else {
                self.below.next()?
            }
        }
        Ok(())
    }

    /// Goes to the first source, past deleted keys.
    fn settle(&mut self) -> Result<(), StorageError> {
        self.at = None;
        while let Some((n, same)) = self.first() {
            if self.source(n).is_some_and(|(_, value)| value.is_some()) {
                self.at = Some((n, same));
                break;
            }
            self.step(same)?;
        }
        Ok(())
    }

    fn walk(&mut self, back: bool) -> Result<(), StorageError> {
        let Some((n, same)) = self.at else {
            return Ok(());
        };
        if back == self.is_back {
            self.step(same)?;
            return self.settle();
        }
        let Some((key, _)) = self.source(n) else {
            return Ok(());
        };
        let key = key.to_vec();
        if back {
            self.seek_before(&key)
        } else {
            self.seek(&key)?;
            self.walk(false)
        }
    }
}

impl Cursor for Merged<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<(), StorageError> {
        self.is_back = false;
        self.at = None;
        self.layers.iter_mut().for_each(|layer| layer.seek(key));
        self.below.seek(key)?;
        self.settle()
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<(), StorageError> {
        self.is_back = true;
        self.at = None;
        let layers = self.layers.iter_mut();
        layers.for_each(|layer| layer.seek_before(key));
        self.below.seek_before(key)?;
        self.settle()
    }

    fn next(&mut self) -> Result<(), StorageError> {
        self.walk(false)
    }

    fn prev(&mut self) -> Result<(), StorageError> {
        self.walk(true)
    }

    fn entry(&self) -> Option<(&[u8], &[u8])> {
        let (n, _) = self.at?;
        let (key, value) = self.source(n)?;
        Some((key, value?))
    }
}
