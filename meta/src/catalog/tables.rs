//! Tables: created and dropped by name. Redis' sixteen exist from birth and stay.
//!
//! A dropped table disappears at once, and its name is free: a table created again has another id,
//! under which nothing was ever written. The dropped ranges are kept apart until the controller has
//! made their groups remove the records.

use bytes::Bytes;
use coterie_protocol::catalog::{Row, TableDescriptor};
use coterie_protocol::meta::{Outcome, Rejection};
use coterie_types::{RangeDescriptor, TableId};

use super::edit::{Edit, RowName, invalid};
use super::state::REDIS_TABLES;

const NAME_BYTES_MAX: usize = 128;
/// Boundaries of a new table, and their bytes in all, at most.
const BOUNDARIES_MAX: usize = 1024;
const BOUNDARY_BYTES_MAX: usize = 1 << 20;

impl Edit<'_> {
    pub(super) fn create_table(
        &mut self,
        name: String,
        split_at: Vec<Bytes>,
    ) -> Result<Outcome, Rejection> {
        if let Some(table) = self.table_named(&name) {
            let TableDescriptor { table_id, name, .. } = table;
            return Err(invalid(format!(
                "table {name} is there already, as number {table_id}"
            )));
        }
        if reads_as_number(&name) {
            return Err(invalid(format!(
                "{name} is no name: a number is the table that has it"
            )));
        }
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_printable) {
            return Err(invalid(format!(
                "a table's name has 1 to {NAME_BYTES_MAX} bytes, none of them space or control"
            )));
        }
        check_boundaries(&split_at)?;
        let Some(after) = self.next().table.checked_add(1) else {
            return Err(invalid("every table id was given"));
        };
        let table = TableDescriptor {
            table_id: TableId(std::mem::replace(&mut self.next().table, after)),
            name,
            split_at,
        };
        self.put(Row::Table(table.clone()));
        Ok(Outcome::Table(table))
    }

    pub(super) fn drop_table(&mut self, name: &str) -> Result<(), Rejection> {
        let Some(table) = self.table_named(name) else {
            return Err(Rejection::NotFound(format!("table {name}")));
        };
        if table.table_id.0 < REDIS_TABLES {
            return Err(invalid(format!(
                "{name} is one of Redis' databases and stays; FLUSHDB empties it"
            )));
        }
        let ranges: Vec<RangeDescriptor> =
            self.catalog().ranges_of(table.table_id).cloned().collect();
        for range in ranges {
            self.delete(RowName::Range(range.range_id));
            self.put(Row::Dropped(range));
        }
        self.delete(RowName::Table(table.table_id));
        Ok(())
    }

    fn table_named(&self, name: &str) -> Option<TableDescriptor> {
        let mut tables = self.catalog().tables.values();
        tables.find(|table| table.name == name).cloned()
    }
}

fn check_boundaries(split_at: &[Bytes]) -> Result<(), Rejection> {
    let bytes: usize = split_at.iter().map(Bytes::len).sum();
    if split_at.len() > BOUNDARIES_MAX || bytes > BOUNDARY_BYTES_MAX {
        return Err(invalid(format!(
            "a table begins with at most {BOUNDARIES_MAX} boundaries of {BOUNDARY_BYTES_MAX} bytes in all"
        )));
    }
    let in_order = split_at.windows(2).all(|pair| pair[0] < pair[1]);
    if !in_order || split_at.first().is_some_and(Bytes::is_empty) {
        return Err(invalid("boundaries are sorted, each once, none empty"));
    }
    Ok(())
}

/// Whether people, and commands that take a table by name or number, read the name as a number.
fn reads_as_number(name: &str) -> bool {
    let digits = name.strip_prefix(['+', '-']).unwrap_or(name);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_printable(char: char) -> bool {
    !char.is_whitespace() && !char.is_control()
}
