//! Objects: values that meta keeps for the commands of clients and does not interpret.

use bytes::Bytes;
use coterie_protocol::catalog::{Catalog, Row};
use coterie_protocol::meta::Rejection;
use coterie_protocol::objects::{
    CHANGES_MAX, Expected, KIND_BYTES_MAX, KIND_OBJECTS_MAX, NAME_BYTES_MAX, ObjectChange,
    ObjectKind, ObjectName, VALUE_BYTES_MAX,
};

use super::edit::{Edit, RowName, invalid};

impl Edit<'_> {
    pub(super) fn put_objects(
        &mut self,
        expected: &[Expected],
        changes: Vec<ObjectChange>,
    ) -> Result<(), Rejection> {
        if changes.len() > CHANGES_MAX {
            return Err(invalid(format!(
                "a command changes at most {CHANGES_MAX} objects"
            )));
        }
        for Expected { object, value } in expected {
            if self.catalog().objects.get(object) != value.as_ref() {
                return Err(Rejection::Changed);
            }
        }
        let mut grown = Vec::new();
        for change in changes {
            match change {
                ObjectChange::Put(name, value) => {
                    check(&name, &value)?;
                    if !grown.contains(&name.kind) {
                        grown.push(name.kind);
                    }
                    self.put(Row::Object(name, value));
                }
                ObjectChange::Delete(name) => self.delete(RowName::Object(name)),
                ObjectChange::Clear(kind) => self.clear_objects(kind),
            }
        }
        for kind in grown {
            check_kind(self.catalog(), kind)?;
        }
        Ok(())
    }

    fn clear_objects(&mut self, kind: ObjectKind) {
        let names = self.catalog().objects_of(kind);
        let names: Vec<Bytes> = names.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.delete(RowName::Object(ObjectName { kind, name }));
        }
    }
}

fn check(name: &ObjectName, value: &Bytes) -> Result<(), Rejection> {
    if name.name.is_empty() || name.name.len() > NAME_BYTES_MAX {
        return Err(invalid(format!(
            "the name of an object has 1 to {NAME_BYTES_MAX} bytes"
        )));
    }
    if value.len() > VALUE_BYTES_MAX {
        return Err(invalid(format!(
            "the value of an object has at most {VALUE_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

fn check_kind(catalog: &Catalog, kind: ObjectKind) -> Result<(), Rejection> {
    let (mut count, mut bytes) = (0, 0);
    for (name, value) in catalog.objects_of(kind) {
        count += 1;
        bytes += name.len() + value.len();
    }
    if count > KIND_OBJECTS_MAX {
        return Err(invalid(format!(
            "there are {KIND_OBJECTS_MAX} objects of this kind at most"
        )));
    }
    if bytes > KIND_BYTES_MAX {
        return Err(invalid(format!(
            "all objects of this kind together have {KIND_BYTES_MAX} bytes at most"
        )));
    }
    Ok(())
}
