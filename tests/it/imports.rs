//! The imports of every source file, read from its syntax tree: who uses whom.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};

/// A module as its path from the root of the crate: `["midi", "score"]`.
pub(crate) type Module = Vec<String>;

/// A file with what it imports.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its module.
    pub(crate) module: Module,
    /// The modules and items it names, as paths from the root of the crate, outside of tests.
    pub(crate) names: BTreeSet<Module>,
    /// Names that it hands on (`pub use`), and where they come from.
    pub(crate) reexports: BTreeMap<String, Module>,
}

/// Reads all files under `src`; those that only tests see are left out.
pub(crate) fn sources(src: &Path) -> Vec<Source> {
    let mut files = Vec::new();
    super::floors::rust_files(src, &mut files);
    files.sort();
    let sources = files.iter().filter_map(|path| {
        let file = path.strip_prefix(src).expect("inside src").to_string_lossy().into_owned();
        let mut module: Module = file.trim_end_matches(".rs").split('/').map(str::to_string).collect();
        if module.iter().any(|part| part == "tests") {
            return None;
        }
        if module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        let text = fs::read_to_string(path).expect("a text");
        let tree = syn::parse_file(&text).unwrap_or_else(|e| panic!("src/{file}: {e}"));
        let mut reader = Reader { module: module.clone(), names: BTreeSet::new(), reexports: BTreeMap::new() };
        reader.visit_file(&tree);
        Some(Source { module, names: reader.names, reexports: reader.reexports })
    });
    sources.collect()
}

struct Reader {
    module: Module,
    names: BTreeSet<Module>,
    reexports: BTreeMap<String, Module>,
}

impl Reader {
    /// A path as one from the root of the crate; `None` where it leads out of it.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let mut from = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" => self.module.clone(),
            "super" => self.module[..self.module.len().checked_sub(1)?].to_vec(),
            _ => return None,
        };
        for part in &path[1..] {
            if part == "super" {
                from.pop()?;
            } else {
                from.push(part.clone());
            }
        }
        Some(from)
    }

    fn flatten(&mut self, tree: &syn::UseTree, before: &[String], public: bool) {
        let mut path = before.to_vec();
        match tree {
            syn::UseTree::Path(next) => {
                path.push(next.ident.to_string());
                self.flatten(&next.tree, &path, public);
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.flatten(item, before, public)),
            syn::UseTree::Name(name) => {
                if name.ident != "self" {
                    path.push(name.ident.to_string());
                }
                self.import(path, &name.ident.to_string(), public);
            }
            syn::UseTree::Rename(name) => {
                path.push(name.ident.to_string());
                self.import(path, &name.rename.to_string(), public);
            }
            syn::UseTree::Glob(_) => self.import(path, "*", public),
        }
    }

    fn import(&mut self, path: Vec<String>, name: &str, public: bool) {
        // A child that is named without `self`, as in `pub use child::Item`.
        let relative = || self.module.iter().chain(&path).cloned().collect::<Module>();
        let target = self.absolute(&path).or_else(|| public.then(relative));
        let Some(target) = target else { return };
        if public {
            self.reexports.insert(name.to_string(), target);
        } else {
            self.names.insert(target);
        }
    }
}

/// Whether an item is compiled for tests only.
pub(crate) fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string().starts_with("test"))
    })
}

impl<'a> Visit<'a> for Reader {
    fn visit_item(&mut self, item: &'a syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        self.flatten(&item.tree, &[], !matches!(item.vis, syn::Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let Some(target) = self.absolute(&parts) {
            self.names.insert(target);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        visit::visit_macro(self, call);
        // Arguments of macros are tokens; most are expressions.
        type Arguments = syn::punctuated::Punctuated<syn::Expr, syn::Token![,]>;
        if let Ok(arguments) = call.parse_body_with(Arguments::parse_terminated) {
            for argument in &arguments {
                let mut inner =
                    Self { module: self.module.clone(), names: BTreeSet::new(), reexports: BTreeMap::new() };
                inner.visit_expr(argument);
                self.names.extend(inner.names);
            }
        }
    }
}

/// Where each import leads: the file that defines the item, behind all that only hand it on. `(from, to)` as modules.
pub(crate) fn uses(sources: &[Source]) -> BTreeSet<(Module, Module)> {
    let modules: BTreeMap<&[String], &Source> = sources.iter().map(|s| (s.module.as_slice(), s)).collect();
    let home = |name: &Module| -> Option<Module> {
        let mut name = name.clone();
        for _ in 0..16 {
            // The longest part of it that is a module.
            let depth = (0..=name.len()).rev().find(|&depth| modules.contains_key(&name[..depth]))?;
            let source = modules[&name[..depth]];
            let Some(handed) = name.get(depth).and_then(|item| source.reexports.get(item)) else {
                return Some(source.module.clone());
            };
            name = handed.iter().chain(&name[depth + 1..]).cloned().collect();
        }
        None
    };
    let mut uses = BTreeSet::new();
    for source in sources {
        uses.extend(source.names.iter().filter_map(&home).map(|to| (source.module.clone(), to)));
    }
    uses
}

/// Circles among the children of each folder: of two children each leads to the other. Named by folder.
pub(crate) fn circles(uses: &BTreeSet<(Module, Module)>) -> Vec<Vec<String>> {
    // folder → child → children that it uses
    let mut graphs: BTreeMap<&[String], BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for (from, to) in uses {
        let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        if let (Some(child), Some(other)) = (from.get(common), to.get(common)) {
            graphs.entry(&from[..common]).or_default().entry(child).or_default().insert(other);
        }
    }
    let mut circles = Vec::new();
    for (folder, graph) in graphs {
        let reaches = |from: &str| -> BTreeSet<&str> {
            let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
            while let Some(at) = next.pop() {
                let all = graph.iter().filter(|(child, _)| **child == at).flat_map(|(_, to)| to.iter().copied());
                next.extend(all.filter(|to| seen.insert(*to)).collect::<Vec<_>>());
            }
            seen
        };
        let reached: BTreeMap<&str, BTreeSet<&str>> = graph.keys().map(|child| (*child, reaches(child))).collect();
        let mut done = BTreeSet::new();
        for child in graph.keys().copied() {
            let both = |other: &&str| reached.get(*other).is_some_and(|back| back.contains(child));
            let circle: Vec<&str> = reached[child].iter().copied().filter(both).collect();
            if circle.len() > 1 && circle.iter().all(|member| done.insert(*member)) {
                let path = |member: &str| [folder.join("::").as_str(), member].join("::");
                circles.push(circle.iter().map(|member| path(member).trim_start_matches("::").to_string()).collect());
            }
        }
    }
    circles
}
