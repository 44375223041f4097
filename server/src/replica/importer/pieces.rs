//! Copies spread collections in pieces: the elements in their order, then the header.
//!
//! The source counts the elements of a collection while they are copied; its count comes with the
//! header, and the group takes the header only if it has counted the same.

use bytes::Bytes;
use coterie_group::{Arriving, Elements, RangeChange, Tally, Then, add_element};
use coterie_protocol::frozen::{FrozenAnswer, FrozenRead, Spread};
use coterie_types::Version;

use super::counts::Pace;
use super::{CHUNK_BYTES, Importer, Trouble, incarnation, something_else};
use crate::peers::FrozenRange;

/// Bytes of a piece that writes wait for.
const WANTED_BYTES: u64 = 512 << 10;

impl Importer {
    /// Copies the next piece of a key that writes wait for.
    pub(super) async fn copy_wanted(&self, arriving: &Arriving, key: Bytes) -> Result<(), Trouble> {
        let range = FrozenRange::of(arriving);
        if !self.is_known(arriving, &key)?
            && let Some((_, incarnation)) = self.header(range, &key).await?
        {
            let spread = Spread { key, incarnation };
            return self.copy_piece(range, spread, Pace::Urgent).await;
        }
        // It was overwritten here meanwhile.
        self.shared.set_arrived(range.range_id, &key);
        Ok(())
    }

    /// The header of a spread collection at the source, and its incarnation.
    async fn header(
        &self,
        range: FrozenRange,
        key: &Bytes,
    ) -> Result<Option<(Bytes, Version)>, Trouble> {
        let read = FrozenRead::Keys(vec![key.clone()]);
        let answer = self.peers.read_frozen(range, read).await?;
        let FrozenAnswer::Keys(mut records) = answer else {
            return Err(something_else());
        };
        let Some(record) = records.pop().flatten() else {
            return Ok(None);
        };
        let incarnation = incarnation(&record)?;
        Ok(incarnation.map(|incarnation| (record, incarnation)))
    }

    /// Copies the next piece of a collection.
    pub(super) async fn copy_piece(
        &self,
        range: FrozenRange,
        of: Spread,
        pace: Pace,
    ) -> Result<(), Trouble> {
        self.check_room()?;
        self.counts.begin(&self.peers, range, &of);
        let before = {
            let published = self.shared.published();
            let pieces = published.read.pieces(range.range_id);
            pieces.and_then(|pieces| pieces.get(&of.key).cloned())
        };
        let from = before.as_ref().map(|piece| piece.next.clone());
        let read = FrozenRead::Elements {
            of: of.clone(),
            from: from.clone(),
            bytes_max: match pace {
                Pace::Urgent => WANTED_BYTES,
                Pace::Limited => CHUNK_BYTES,
            },
        };
        let answer = self.peers.read_frozen(range, read).await?;
        let FrozenAnswer::Elements { elements, next } = answer else {
            return Err(something_else());
        };
        let each = elements.iter();
        let bytes = each.map(|((_, element), value)| element.len() + value.len());
        if pace == Pace::Limited && !self.take_rate(range, bytes.sum()).await {
            return Ok(());
        }
        let is_last = next.is_none();
        let then = match next {
            Some(next) => Then::Next(next),
            None => {
                let mut arrived = before.map(|piece| piece.arrived).unwrap_or_default();
                for ((family, element), value) in &elements {
                    add_element(&mut arrived, *family, element, value);
                }
                self.last(range, &of, &arrived).await?
            }
        };
        let piece = Elements {
            range_id: range.range_id,
            epoch: range.epoch,
            key: of.key.clone(),
            incarnation: of.incarnation,
            from,
            elements,
            then,
        };
        self.propose(RangeChange::Elements(piece)).await?;
        if is_last {
            self.shared.set_arrived(range.range_id, &of.key);
        }
        Ok(())
    }

    /// The end of a collection: its header, and the source's count of its elements.
    async fn last(
        &self,
        range: FrozenRange,
        of: &Spread,
        arrived: &Tally,
    ) -> Result<Then, Trouble> {
        let Some((record, _)) = self.header(range, &of.key).await? else {
            return Err(something_else());
        };
        let all = self.counts.end(range, &of.key).await?;
        if *arrived != all {
            return Err(Trouble::Differs(format!(
                "the elements of a key that arrived ({arrived:?}) are not those that the source \
                 has ({all:?}): one of the copies is damaged, and both are kept"
            )));
        }
        Ok(Then::Header { record, all })
    }
}
