//! Registers the members of objects: a signature, documentation, and a closure each.
//!
//! Both go to Rhai (as metadata) and to the [`Catalog`], so that help always matches the implementation.

use std::any::TypeId;
use std::marker::PhantomData;

use rhai::{Engine, FuncRegistration, RhaiNativeFunc, Variant};

use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::script::Bundle;
use crate::script::catalog::{Catalog, Member, MemberKind, Shower};
use crate::script::context::ScriptContext;
use crate::script::failure::Fallible;
use crate::script::html;

/// A type of script values: a cheap handle whose clones refer to the same object.
pub(crate) trait Object: Clone + 'static {
    /// Its name in scripts.
    const NAME: &'static str;
    /// Its description in a few sentences.
    const DOC: &'static str;
    /// Whether its formats are limited to the maximum output size of a cell.
    const BOUNDED: bool = true;

    /// The object on one line.
    fn line(&self) -> String;

    /// The object as text of at most one screen.
    fn text(&self, _width: usize) -> String {
        self.line()
    }

    /// The object as SVG; `None` when the user cancels.
    fn svg(&self, _interrupt: &Interrupt) -> Option<String> {
        None
    }

    /// The object as HTML.
    fn html(&self) -> Option<String> {
        None
    }

    /// The object in the formats for a terminal.
    fn bundle(&self, width: usize, interrupt: &Interrupt) -> Bundle {
        Bundle::text(self.text(width)).with("image/svg+xml", self.svg(interrupt))
    }

    /// The object in all formats for a notebook, including slow ones: as HTML, else as a picture.
    fn rich(&self, width: usize, progress: &Progress) -> Bundle {
        let mut bundle = self.bundle(width, progress.interrupt());
        match self.html() {
            // A front end that supports both would show only the HTML; the pictures are in `besides`.
            Some(page) => {
                bundle.forms.retain(|kind, _| *kind == "text/plain");
                bundle.with("text/html", Some(page))
            }
            None => html::with_picture(bundle),
        }
    }

    /// Outputs that a notebook shows before the object: the pictures of a page, a player.
    fn besides(&self, _progress: &Progress) -> Vec<Bundle> {
        Vec::new()
    }
}

/// Registers functions and types.
pub(crate) struct Registry<'e> {
    engine: &'e mut Engine,
    ctx: ScriptContext,
    catalog: Catalog,
}

impl<'e> Registry<'e> {
    pub(crate) fn new(engine: &'e mut Engine, ctx: ScriptContext) -> Self {
        Self { engine, ctx, catalog: Catalog::default() }
    }

    /// The shared state, for closures.
    pub(crate) fn ctx(&self) -> ScriptContext {
        self.ctx.clone()
    }

    /// Passes the catalog to the session.
    pub(crate) fn finish(self) {
        self.ctx.set_catalog(self.catalog);
    }

    /// Registers a function: `"midi(path: string) -> Score"`.
    pub(crate) fn function<A: 'static, const N: usize, const X: bool, R, const F: bool, FUNC>(
        &mut self,
        signature: &'static str,
        doc: &'static str,
        f: FUNC,
    ) -> &mut Member
    where
        R: Variant + Clone,
        FUNC: RhaiNativeFunc<A, N, X, R, F> + 'static,
    {
        let member = parse(None, MemberKind::Function, signature, doc);
        let name = member.name;
        self.add(FuncRegistration::new(name), member, f)
    }

    /// Registers a method of one of Rhai's own types: `"array"`, `"sum() -> any"`.
    pub(crate) fn method<A: 'static, const N: usize, const X: bool, R, const F: bool, FUNC>(
        &mut self,
        owner: &'static str,
        signature: &'static str,
        doc: &'static str,
        f: FUNC,
    ) -> &mut Member
    where
        R: Variant + Clone,
        FUNC: RhaiNativeFunc<A, N, X, R, F> + 'static,
    {
        let member = parse(Some(owner), MemberKind::Method, signature, doc);
        self.add(FuncRegistration::new(member.name), member, f)
    }

    /// Registers a method of one of Rhai's own types that changes the value.
    pub(crate) fn changing<A: 'static, const N: usize, const X: bool, R, const F: bool, FUNC>(
        &mut self,
        owner: &'static str,
        signature: &'static str,
        doc: &'static str,
        f: FUNC,
    ) where
        R: Variant + Clone,
        FUNC: RhaiNativeFunc<A, N, X, R, F> + 'static,
    {
        let member = parse(Some(owner), MemberKind::Method, signature, doc);
        FuncRegistration::new(member.name).with_purity(false).register_into_engine(self.engine, f);
        self.catalog.members.push(member);
    }

    /// Registers an operator of one of Rhai's own types: `"array"`, `"*(times: int) -> array"`.
    pub(crate) fn operator<A: 'static, const N: usize, const X: bool, R, const F: bool, FUNC>(
        &mut self,
        owner: &'static str,
        signature: &'static str,
        doc: &'static str,
        f: FUNC,
    ) where
        R: Variant + Clone,
        FUNC: RhaiNativeFunc<A, N, X, R, F> + 'static,
    {
        let member = parse(Some(owner), MemberKind::Operator, signature, doc);
        self.add(FuncRegistration::new(member.name), member, f);
    }

    /// The engine, for functions that are not in the catalog.
    pub(crate) fn engine(&mut self) -> &mut Engine {
        self.engine
    }

    /// Registers a type and returns the registry of its members.
    pub(crate) fn object<T: Object>(&mut self) -> Members<'_, 'e, T> {
        self.engine.register_type_with_name::<T>(T::NAME);
        self.catalog.types.push((T::NAME, T::DOC));
        self.catalog.showers.insert(
            TypeId::of::<T>(),
            Shower {
                line: |value| value.read_lock::<T>().map_or_else(String::new, |object| object.line()),
                bundle: |value, width, interrupt| {
                    value.read_lock::<T>().map_or_else(Bundle::default, |object| object.bundle(width, interrupt))
                },
                rich: |value, width, progress| {
                    value.read_lock::<T>().map_or_else(Bundle::default, |object| object.rich(width, progress))
                },
                besides: |value, progress| {
                    value.read_lock::<T>().map_or_else(Vec::new, |object| object.besides(progress))
                },
                bounded: T::BOUNDED,
            },
        );
        let ctx = self.ctx();
        let mut members = Members { registry: self, object: PhantomData::<T> };
        members.method("to_string() -> string", "The object as text, on one screen.", move |object: &mut T| {
            object.text(ctx.width())
        });
        members.method("to_debug() -> string", "The object in one line.", |object: &mut T| object.line());
        members
    }

    /// The registry for more members of a registered type.
    pub(crate) fn members<T: Object>(&mut self) -> Members<'_, 'e, T> {
        Members { registry: self, object: PhantomData }
    }

    fn add<A: 'static, const N: usize, const X: bool, R, const F: bool, FUNC>(
        &mut self,
        registration: FuncRegistration,
        member: Member,
        f: FUNC,
    ) -> &mut Member
    where
        R: Variant + Clone,
        FUNC: RhaiNativeFunc<A, N, X, R, F> + 'static,
    {
        let object = member.owner.map(|owner| format!("object: {owner}"));
        let params = member.params.iter().map(|(name, kind)| format!("{name}: {kind}"));
        let returns = if member.returns.is_empty() { "()" } else { member.returns };
        let info: Vec<String> = object.into_iter().chain(params).chain([returns.to_string()]).collect();
        let comments: Vec<String> = member.doc.lines().map(|line| format!("/// {line}")).collect();
        registration
            // Handles are mutable behind a reference, so a constant handle allows all calls.
            .with_purity(true)
            .with_params_info(info)
            .with_comments(comments)
            .register_into_engine(self.engine, f);
        self.catalog.members.push(member);
        let last = self.catalog.members.len() - 1;
        &mut self.catalog.members[last]
    }
}

/// Registers the members of one type; every closure takes `&mut T` first.
pub(crate) struct Members<'k, 'e, T> {
    registry: &'k mut Registry<'e>,
    object: PhantomData<T>,
}

impl<T: Object> Members<'_, '_, T> {
    /// Registers a method: `"transpose(semitones: int) -> Score"`.
    pub(crate) fn method<A: 'static, const N: usize, const X: bool, R, const F: bool, FUNC>(
        &mut self,
        signature: &'static str,
        doc: &'static str,
        f: FUNC,
    ) -> &mut Member
    where
        R: Variant + Clone,
        FUNC: RhaiNativeFunc<A, N, X, R, F> + 'static,
    {
        let member = parse(Some(T::NAME), MemberKind::Method, signature, doc);
        self.registry.add(FuncRegistration::new(member.name), member, f)
    }

    /// Registers a property: `"duration -> float"`.
    pub(crate) fn get<A: 'static, const N: usize, const X: bool, R, const F: bool, FUNC>(
        &mut self,
        signature: &'static str,
        doc: &'static str,
        f: FUNC,
    ) where
        R: Variant + Clone,
        FUNC: RhaiNativeFunc<A, N, X, R, F> + 'static,
    {
        let member = parse(Some(T::NAME), MemberKind::Property { writable: false }, signature, doc);
        self.registry.add(FuncRegistration::new_getter(member.name), member, f);
    }

    /// Makes a property writable; the closure receives a [`Dynamic`], so that an integer is accepted for a float.
    pub(crate) fn set<A: 'static, const N: usize, const X: bool, R, const F: bool, FUNC>(
        &mut self,
        name: &'static str,
        f: FUNC,
    ) where
        R: Variant + Clone,
        FUNC: RhaiNativeFunc<A, N, X, R, F> + 'static,
    {
        let mut known = self.registry.catalog.members.iter_mut();
        if let Some(member) = known.rfind(|m| m.owner == Some(T::NAME) && m.name == name) {
            member.kind = MemberKind::Property { writable: true };
        }
        FuncRegistration::new_setter(name).with_purity(true).register_into_engine(self.registry.engine, f);
    }

    /// Registers an operator: `"+(other: Score) -> Score"`.
    pub(crate) fn operator<A: 'static, const N: usize, const X: bool, R, const F: bool, FUNC>(
        &mut self,
        signature: &'static str,
        doc: &'static str,
        f: FUNC,
    ) where
        R: Variant + Clone,
        FUNC: RhaiNativeFunc<A, N, X, R, F> + 'static,
    {
        let member = parse(Some(T::NAME), MemberKind::Operator, signature, doc);
        self.registry.add(FuncRegistration::new(member.name), member, f);
    }

    /// Registers `object[index]`: `"[](index: int) -> Chord"`.
    pub(crate) fn index<A: 'static, const N: usize, const X: bool, R, const F: bool, FUNC>(
        &mut self,
        signature: &'static str,
        doc: &'static str,
        f: FUNC,
    ) where
        R: Variant + Clone,
        FUNC: RhaiNativeFunc<A, N, X, R, F> + 'static,
    {
        let member = parse(Some(T::NAME), MemberKind::Index, signature, doc);
        self.registry.add(FuncRegistration::new_index_getter(), member, f);
    }

    /// Makes `for item in object` work.
    pub(crate) fn iterate<R: Variant + Clone>(&mut self)
    where
        T: IntoIterator<Item = Fallible<R>>,
    {
        self.registry.engine.register_iterator_result::<T, R>();
    }

    /// The shared state, for closures.
    pub(crate) fn ctx(&self) -> ScriptContext {
        self.registry.ctx()
    }
}

/// Parses `name(a: type, b: type) -> type`.
fn parse(owner: Option<&'static str>, kind: MemberKind, signature: &'static str, doc: &'static str) -> Member {
    let (head, returns) = signature.split_once(" -> ").unwrap_or((signature, ""));
    let (name, params) = match head.split_once('(') {
        Some((name, params)) => (name, params.trim_end_matches(')')),
        None => (head, ""),
    };
    let params = params.split(", ").filter_map(|p| p.split_once(": ")).collect();
    Member { owner, name, kind, params, returns, doc, options: &[] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_read_and_written() {
        for signature in ["midi(path: string) -> Score", "seed(n: int)", "device() -> string"] {
            assert_eq!(parse(None, MemberKind::Function, signature, "").signature(), signature);
        }
        let get = parse(Some("Score"), MemberKind::Property { writable: false }, "duration -> float", "");
        assert_eq!(get.signature(), "Score.duration -> float");
        let index = parse(Some("Chords"), MemberKind::Index, "[](index: int) -> Chord", "");
        assert_eq!(index.signature(), "Chords[index: int] -> Chord");
        let plus = parse(Some("Score"), MemberKind::Operator, "+(other: Score) -> Score", "");
        assert_eq!(plus.signature(), "Score + Score -> Score");
    }
}
