//! Lists as RDB files hold them: nodes of packed elements, or element by element.
//!
//! ```text
//! 1           the number of elements, then the elements as strings
//! 10          a string that is a ziplist
//! 14          the number of nodes, then a string for each that is a ziplist
//! 18          the number of nodes, then for each its form and a string: form 1 is an element as it
//!             is, form 2 a listpack
//! ```
//!
//! Type 18 is written, as Redis has done since 7.0. Source: Redis `rdb.c`, `rdbSaveObject` and
//! `rdbLoadObject`.

use bytes::Bytes;

use super::place::End;
use crate::rdb::{self, listpack, ziplist};
use crate::txn::spread::COPY_BYTES_MAX;
use crate::{EvalError, Txn};

const TYPE_LIST: u8 = 1;
const TYPE_ZIPLIST: u8 = 10;
const TYPE_ZIPLISTS: u8 = 14;
const TYPE_QUICKLIST: u8 = 18;
const FORM_PLAIN: usize = 1;
const FORM_PACKED: usize = 2;
/// The longest listpack with several elements, as Redis fills its nodes.
const NODE_BYTES_MAX: usize = 8 << 10;

/// Whether a value of this RDB type is a list.
pub(crate) fn is_payload(of: u8) -> bool {
    matches!(
        of,
        TYPE_LIST | TYPE_ZIPLIST | TYPE_ZIPLISTS | TYPE_QUICKLIST
    )
}

/// Appends the type and the value of the list under a key. Errors: `ReplyTooLong`.
pub(crate) fn put_payload(
    out: &mut Vec<u8>,
    txn: &mut Txn<'_>,
    key: &Bytes,
) -> Result<(), EvalError> {
    let mut nodes = Nodes::default();
    let list = txn.list(key)?;
    list.scan(txn, 0, End::Right, &mut |txn, _, element| {
        txn.take_reply_room(element.len())?;
        nodes.push(element);
        Ok(true)
    })?;
    nodes.end_node();
    out.push(TYPE_QUICKLIST);
    rdb::put_len(out, nodes.count);
    out.extend_from_slice(&nodes.out);
    Ok(())
}

/// The nodes of a list, as they are written in turn.
#[derive(Default)]
struct Nodes {
    count: usize,
    out: Vec<u8>,
    /// The elements of the node under way, and their bytes in a listpack.
    elements: Vec<Bytes>,
    bytes: usize,
}

impl Nodes {
    fn push(&mut self, element: Bytes) {
        let bytes = listpack::entry_bytes(&element);
        if listpack::EMPTY_BYTES + self.bytes + bytes > NODE_BYTES_MAX {
            self.end_node();
        }
        self.elements.push(element);
        self.bytes += bytes;
    }

    fn end_node(&mut self) {
        if let Some(packed) = listpack::pack(self.elements.iter())
            && !self.elements.is_empty()
        {
            rdb::put_len(&mut self.out, FORM_PACKED);
            rdb::put_string(&mut self.out, &packed);
            self.count += 1;
        }
        self.elements.clear();
        self.bytes = 0;
    }
}

/// Takes a list of this type off the front of `input`: its elements, each of at most `max` bytes;
/// `None` if it is none. It stops short when the elements are more than a command may copy.
pub(crate) fn take_payload(of: u8, input: &mut Bytes, max: usize) -> Option<Vec<Bytes>> {
    // A node has at most so many bytes more than its elements.
    let node_max = COPY_BYTES_MAX.saturating_mul(2).saturating_add(max);
    let nodes = match of {
        TYPE_ZIPLIST => 1,
        TYPE_LIST | TYPE_ZIPLISTS | TYPE_QUICKLIST => rdb::take_len(input)?,
        _ => return None,
    };
    let (mut elements, mut bytes) = (Vec::new(), 0);
    for _ in 0..nodes {
        let form = match of {
            TYPE_QUICKLIST => rdb::take_len(input)?,
            _ => FORM_PACKED,
        };
        let node = match (of, form) {
            (TYPE_LIST, _) | (_, FORM_PLAIN) => vec![rdb::take_string(input, max)?],
            (TYPE_QUICKLIST, FORM_PACKED) => listpack::unpack(rdb::take_string(input, node_max)?)?,
            (_, FORM_PACKED) => ziplist::unpack(rdb::take_string(input, node_max)?)?,
            _ => return None,
        };
        for element in node {
            if element.len() > max {
                return None;
            }
            bytes += element.len() + 2;
            elements.push(element);
        }
        if bytes > COPY_BYTES_MAX {
            break;
        }
    }
    // Redis knows no empty list.
    (!elements.is_empty()).then_some(elements)
}
