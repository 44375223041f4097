//! Takes pieces of spread collections of imported ranges: elements first, the header last.
//!
//! The elements of a collection arrive in their order, each piece where the previous piece ended.
//! With the header comes the source's tally of the elements. Only when it is the tally of what has
//! arrived is the header taken, and with it the key is known. If the key becomes known in another
//! way meanwhile, no header will name the elements that have arrived, and they are reclaimed after
//! the import.

use bytes::Bytes;
use coterie_redis_compat::{Collection, ElementPlace, Fault, Record, Txn};

use crate::digest::Tally;
use crate::entry::{Elements, Then};
use crate::import::{PIECES_MAX, Piece, add_element};
use crate::state::GroupState;
use crate::store::Store;

impl GroupState {
    /// Takes a piece; the inner error says why it does not fit.
    pub(super) fn take_elements(
        &mut self,
        piece: Elements,
        txn: &mut Txn<'_>,
        store: &dyn Store,
    ) -> Result<Result<(), String>, Fault> {
        let (range_id, key) = (piece.range_id, piece.key.clone());
        let bounds = match self.check_import(range_id, piece.epoch) {
            Ok(arriving) => arriving.range.bounds.clone(),
            Err(reason) => return Ok(Err(reason)),
        };
        if !bounds.contains(bounds.table, &key) {
            return Ok(Err(format!("a key that is not of range {range_id}")));
        }
        let import = self.imports.get(&range_id);
        let is_known = import.is_none_or(|import| import.known.holds(bounds.table, &key))
            || txn.knows(bounds.table, &key)?
            || store.is_marked(range_id, bounds.table, &key)?;
        if is_known {
            // Written here meanwhile.
            self.forget_piece(&piece);
            return Ok(Ok(()));
        }
        let before = match self.place_of(&piece) {
            Ok(before) => before,
            Err(reason) => return Ok(Err(reason)),
        };
        let of = Collection {
            table: bounds.table,
            key: key.clone(),
            incarnation: piece.incarnation,
        };
        let mut arrived = before;
        for ((family, element), value) in &piece.elements {
            add_element(&mut arrived, *family, element, value);
        }
        match &piece.then {
            Then::Next(next) => {
                let progress = Piece {
                    incarnation: piece.incarnation,
                    next: next.clone(),
                    arrived,
                };
                let pieces = self.pieces.entry(range_id).or_default();
                pieces.insert(key, progress);
            }
            Then::Header { record, all } => {
                let header = match header(&piece, record, all, &arrived) {
                    Ok(header) => header,
                    Err(reason) => return Ok(Err(reason)),
                };
                self.forget_piece(&piece);
                txn.import(bounds.table, key, header);
            }
        }
        for ((family, element), value) in piece.elements {
            let of = of.clone();
            let place = ElementPlace {
                of,
                family,
                element,
            };
            txn.import_element(place, value);
        }
        Ok(Ok(()))
    }

    /// The tally of the elements before the piece, if it begins where the previous piece ended.
    fn place_of(&self, piece: &Elements) -> Result<Tally, String> {
        let range_id = piece.range_id;
        let pieces = self.pieces.get(&range_id);
        let before = pieces.and_then(|pieces| pieces.get(&piece.key));
        match (before, &piece.from) {
            (None, None) if pieces.is_some_and(|pieces| pieces.len() >= PIECES_MAX) => Err(
                format!("{PIECES_MAX} other keys of range {range_id} are arriving in pieces"),
            ),
            (None, None) => Ok(Tally::default()),
            (Some(before), Some(from))
                if before.next == *from && before.incarnation == piece.incarnation =>
            {
                Ok(before.arrived)
            }
            // The piece was proposed twice, or by an earlier leader.
            _ => Err(format!("a key of range {range_id} has arrived past that")),
        }
    }

    fn forget_piece(&mut self, piece: &Elements) {
        if let Some(pieces) = self.pieces.get_mut(&piece.range_id) {
            pieces.remove(&piece.key);
            if pieces.is_empty() {
                self.pieces.remove(&piece.range_id);
            }
        }
    }
}

/// The header that comes with the last piece, if the elements are those of the source.
fn header(
    piece: &Elements,
    record: &Bytes,
    all: &Tally,
    arrived: &Tally,
) -> Result<Record, String> {
    let range_id = piece.range_id;
    let header = Record::decode(record.clone());
    let header = header.map_err(|_| format!("a record of range {range_id} cannot be read"))?;
    match header.incarnation() {
        Ok(Some(incarnation)) if incarnation == piece.incarnation => {}
        _ => {
            return Err(format!(
                "a header of range {range_id} that is not of these elements"
            ));
        }
    }
    if arrived != all {
        return Err(format!(
            "of the elements of a key of range {range_id} {arrived:?} arrived, and its source has \
             {all:?}"
        ));
    }
    Ok(header)
}
