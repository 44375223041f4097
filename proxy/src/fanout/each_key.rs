//! Shows every key of a table to a function, page after page, in key order.

use bytes::Bytes;
use coterie_redis_compat::CommandError;
use coterie_types::TableId;

use super::Calls;
use super::calls::unreadable;
use super::pages::Pages;
use crate::conn::{array_items, bulk};

/// Shows the keys of a table until `goes_on` is false.
pub(crate) async fn each_key(
    calls: &Calls,
    table: TableId,
    goes_on: &mut (dyn FnMut(&Bytes) -> bool + Send),
) -> Result<(), CommandError> {
    let words = |start, end| {
        let all = Bytes::from_static(b"*");
        vec![Bytes::from_static(b"_keys"), start, end, all]
    };
    for interval in calls.intervals(table) {
        let mut pages = Pages::new(calls, table, interval, &words);
        while let Some(page) = pages.next().await? {
            let keys = array_items(&page.reply).ok_or_else(unreadable)?;
            for key in &keys {
                let key = bulk(key).flatten().ok_or_else(unreadable)?;
                if !goes_on(&key) {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}
