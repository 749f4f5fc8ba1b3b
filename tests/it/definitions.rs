//! The types that source files define, read from their syntax trees.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};

use crate::{floors, imports};

/// The types defined at module level in one file.
#[derive(Default)]
struct Definitions {
    types: BTreeSet<String>,
    /// The types that implement `Object`: handles of the script language.
    objects: BTreeSet<String>,
    /// The modules that are compiled for tests only.
    tests: BTreeSet<String>,
}

impl<'a> Visit<'a> for Definitions {
    /// Types inside of functions are not visible outside.
    fn visit_block(&mut self, _: &'a syn::Block) {}

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if imports::is_test(&item.attrs) {
            self.tests.insert(item.ident.to_string());
        } else {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_struct(&mut self, item: &'a syn::ItemStruct) {
        self.types.insert(item.ident.to_string());
    }

    fn visit_item_enum(&mut self, item: &'a syn::ItemEnum) {
        self.types.insert(item.ident.to_string());
    }

    fn visit_item_union(&mut self, item: &'a syn::ItemUnion) {
        self.types.insert(item.ident.to_string());
    }

    fn visit_item_trait(&mut self, item: &'a syn::ItemTrait) {
        self.types.insert(item.ident.to_string());
    }

    fn visit_item_type(&mut self, item: &'a syn::ItemType) {
        self.types.insert(item.ident.to_string());
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        let is_object = item.trait_.as_ref().and_then(|(_, path, _)| path.segments.last());
        if let (Some(last), syn::Type::Path(object)) = (is_object, &*item.self_ty)
            && last.ident == "Object"
        {
            self.objects.extend(object.path.segments.last().map(|last| last.ident.to_string()));
        }
    }
}

/// The files under `src` that define each type, but for tests and for the handles of the script language.
pub(crate) fn types(src: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut files = Vec::new();
    floors::rust_files(src, &mut files);
    let mut read = BTreeMap::new();
    let mut tests = BTreeSet::new();
    for path in files {
        let file = path.strip_prefix(src).expect("inside src").to_string_lossy().into_owned();
        let tree =
            syn::parse_file(&fs::read_to_string(&path).expect("a text")).unwrap_or_else(|e| panic!("{file}: {e}"));
        let mut found = Definitions::default();
        found.visit_file(&tree);
        let module = file.trim_end_matches(".rs").trim_end_matches("/mod").trim_end_matches("lib").to_string();
        tests.extend(found.tests.iter().map(|test| format!("{module}/{test}").trim_start_matches('/').to_string()));
        read.insert(module, (file, found));
    }
    let mut types: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, (file, found)) in read {
        if !tests.iter().any(|test| module == *test || module.starts_with(&format!("{test}/"))) {
            for name in found.types.difference(&found.objects) {
                types.entry(name.clone()).or_default().insert(file.clone());
            }
        }
    }
    types
}
