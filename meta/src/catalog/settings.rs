//! Settings: names and values that meta stores without interpreting them.

use coterie_protocol::catalog::Row;
use coterie_protocol::meta::Rejection;

use super::edit::{Edit, RowName, invalid};

const NAME_BYTES_MAX: usize = 128;
const VALUE_BYTES_MAX: usize = 64 << 10;

impl Edit<'_> {
    pub(super) fn put_setting(
        &mut self,
        name: String,
        value: Option<String>,
    ) -> Result<(), Rejection> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(invalid(format!(
                "a setting's name has 1 to {NAME_BYTES_MAX} bytes"
            )));
        }
        match value {
            Some(value) if value.len() > VALUE_BYTES_MAX => Err(invalid(format!(
                "a setting's value has at most {VALUE_BYTES_MAX} bytes"
            ))),
            Some(value) => {
                self.put(Row::Setting(name, value));
                Ok(())
            }
            None => {
                self.delete(RowName::Setting(name));
                Ok(())
            }
        }
    }
}
