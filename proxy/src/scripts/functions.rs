//! The functions of the catalog, by name.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use coterie_protocol::catalog::Catalog;
use coterie_protocol::decode;
use coterie_protocol::objects::ObjectKind;
use coterie_protocol::scripts::{StoredFunction, StoredLibrary};

/// A library of functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Library {
    pub(crate) name: Bytes,
    pub(crate) code: Bytes,
    pub(crate) functions: Vec<StoredFunction>,
}

/// All functions, as a catalog has them.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    /// The objects that they were read from.
    objects: Vec<(Bytes, Bytes)>,
    pub(crate) libraries: Vec<Arc<Library>>,
    /// By function, in lower case: Redis compares their names so.
    by_function: HashMap<Vec<u8>, usize>,
}

impl Functions {
    /// Reads the libraries of a catalog. A value that no version has written is no library.
    pub(super) fn of(catalog: &Catalog) -> Self {
        let mut functions = Self::default();
        for (name, value) in catalog.objects_of(ObjectKind::Library) {
            functions.objects.push((name.clone(), value.clone()));
            let Ok(stored) = decode::<StoredLibrary>(value) else {
                continue;
            };
            for function in &stored.functions {
                let name = function.name.to_ascii_lowercase().into_bytes();
                let at = functions.libraries.len();
                functions.by_function.entry(name).or_insert(at);
            }
            functions.libraries.push(Arc::new(Library {
                name: name.clone(),
                code: stored.code,
                functions: stored.functions,
            }));
        }
        functions
    }

    /// Whether these are the functions of a catalog.
    pub(super) fn are_of(&self, catalog: &Catalog) -> bool {
        let theirs = catalog.objects_of(ObjectKind::Library);
        let is_same = |a: &Bytes, b: &Bytes| a.as_ptr() == b.as_ptr() && a.len() == b.len();
        let mut ours = self.objects.iter();
        let mut same = theirs.map(|(name, value)| {
            let ours = ours.next();
            ours.is_some_and(|ours| {
                (is_same(&ours.0, name) || ours.0 == *name)
                    && (is_same(&ours.1, value) || ours.1 == *value)
            })
        });
        same.all(|same| same) && ours.next().is_none()
    }

    /// The library with a function.
    pub(crate) fn library_of(&self, function: &[u8]) -> Option<&Arc<Library>> {
        let at = self.by_function.get(&function.to_ascii_lowercase())?;
        self.libraries.get(*at)
    }

    /// The library of this name.
    pub(crate) fn named(&self, name: &[u8]) -> Option<&Arc<Library>> {
        let mut libraries = self.libraries.iter();
        libraries.find(|library| library.name == name)
    }

    /// The objects of meta that these were read from: names and values.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &(Bytes, Bytes)> {
        self.objects.iter()
    }

    /// How many functions there are.
    pub(crate) fn count(&self) -> usize {
        self.by_function.len()
    }
}
