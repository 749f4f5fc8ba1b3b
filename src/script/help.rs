//! Documentation: an overview, a type with its members, a function with its options.

use rhai::{Dynamic, FnPtr};

use crate::error::{Error, Result};
use crate::script::catalog::{Catalog, Member, MemberKind};
use crate::script::doc_page::{DocPage, columns};
use crate::script::type_names::type_name;
use crate::script::{guide, standard};

/// The overview: a line for each type and function, for a terminal of `width` columns.
pub(crate) fn overview(catalog: &Catalog, width: usize) -> String {
    let rows = |names: Vec<(&str, &str)>| -> Vec<Vec<String>> {
        names.into_iter().map(|(name, doc)| vec![name.into(), doc.into()]).collect()
    };
    let types = catalog.types.iter().map(|(name, doc)| (*name, doc.lines().next().unwrap_or_default())).collect();
    let functions = catalog
        .function_names()
        .into_iter()
        .map(|n| (n, catalog.functions(n).next().map_or("", Member::brief)))
        .collect();
    format!(
        "{}\n\n{}\n\nThe language: {}.\n\nhelp(\"midi\"), help(\"Model\"), help(\"Model.generate\"), help(\"array\") and help(x) tell more.",
        columns("function", &rows(functions), width).trim_end(),
        columns("type", &rows(types), width).trim_end(),
        guide::titles().collect::<Vec<_>>().join(", "),
    )
}

/// The page for a value: on the topic that a string names, or on the type of any other value.
pub(crate) fn topic(catalog: &Catalog, topic: &Dynamic, width: usize) -> Result<String> {
    if let Some(function) = topic.read_lock::<FnPtr>()
        && let Some(page) = named(catalog, function.fn_name()).or_else(|| standard::help(function.fn_name()))
    {
        return Ok(page.plain(width));
    }
    if let Ok(name) = topic.as_immutable_string_ref() {
        return named(catalog, &name).map(|page| page.plain(width)).ok_or_else(|| unknown(catalog, &name));
    }
    let name = type_name(topic);
    of_type(catalog, &name)
        .or_else(|| language(catalog, &name))
        .map(|page| page.plain(width))
        .ok_or_else(|| Error::mistake(format!("there is no help on {name}")).with_hint("help() lists what there is"))
}

/// The documentation of a function, type or member ("Model.generate").
pub(crate) fn named(catalog: &Catalog, name: &str) -> Option<DocPage> {
    let name = name.trim().trim_end_matches("()");
    if let Some((owner, member)) = name.split_once('.') {
        let members: Vec<&Member> = catalog.members(owner).filter(|m| m.name == member).collect();
        return of_members(&members)
            .or_else(|| standard::methods(owner).into_iter().find(|f| f.name == member).map(standard::Standard::page));
    }
    let functions: Vec<&Member> = catalog.functions(name).collect();
    of_members(&functions)
        .or_else(|| of_type(catalog, name))
        .or_else(|| language(catalog, name))
        .or_else(|| {
            let members: Vec<&Member> = catalog.members.iter().filter(|m| m.name == name).collect();
            of_members(&members)
        })
        .or_else(|| standard::help(name))
}

/// Signatures, documentation and options of functions that share a name.
fn of_members(members: &[&Member]) -> Option<DocPage> {
    let mut page = DocPage::default();
    for member in members {
        page.entry(member.signature(), member.doc, member.options);
    }
    page.filled()
}

/// A type and its members.
pub(crate) fn of_type(catalog: &Catalog, name: &str) -> Option<DocPage> {
    let doc = catalog.type_doc(name)?;
    let row = |m: &Member| {
        let signature = m.signature();
        let short = signature.strip_prefix(name).unwrap_or(&signature).trim_start();
        let set = if m.kind == (MemberKind::Property { writable: true }) { " (can be set)" } else { "" };
        vec![short.trim_start_matches('.').to_string(), format!("{}{set}", m.brief())]
    };
    let own = catalog.members(name).filter(|m| !m.name.starts_with("to_"));
    let rows: Vec<Vec<String>> = own.map(row).collect();
    let mut page = DocPage::default();
    page.entry(name, doc, &[]);
    if !rows.is_empty() {
        page.table("member", rows);
    }
    Some(page)
}

/// The page on a keyword; for Rhai's types with their members.
fn language(catalog: &Catalog, name: &str) -> Option<DocPage> {
    let mut page = guide::page(name)?;
    let kind = match name {
        "list" | "tuple" => "array",
        "dict" => "map",
        "text" | "str" => "string",
        "number" => "int",
        name => name,
    };
    if matches!(kind, "array" | "string" | "map" | "int" | "float" | "char") {
        page.table("member", members(catalog, kind));
    }
    Some(page)
}

/// The members of one of Rhai's types with a line on each, sorted.
fn members(catalog: &Catalog, kind: &str) -> Vec<Vec<String>> {
    let own = catalog.members(kind).filter(|m| m.kind == MemberKind::Method);
    let short = |m: &Member| m.signature().split_once('.').map_or_else(|| m.signature(), |(_, rest)| rest.to_string());
    let mut rows: Vec<Vec<String>> = own.map(|m| vec![short(m), m.brief().into()]).collect();
    let known: Vec<String> = catalog.member_names(kind).into_iter().map(String::from).collect();
    let rhais =
        standard::methods(kind).into_iter().filter(|f| !known.contains(&f.name) && !f.name.starts_with("to_json"));
    rows.extend(rhais.map(|f| vec![f.signature.clone(), f.brief()]));
    rows.sort();
    rows.dedup_by(|a, b| a[0] == b[0]);
    rows
}

fn unknown(catalog: &Catalog, name: &str) -> Error {
    let mut known: Vec<&str> = catalog.function_names().into_iter().collect();
    known.extend(guide::names());
    known.extend(catalog.types.iter().map(|t| t.0));
    let error = Error::mistake(format!("there is no help on '{name}'"));
    match crate::error::nearest(name, &known) {
        Some(near) => error.with_hint(format!("did you mean '{near}'? help() lists what there is")),
        None => error.with_hint("help() lists what there is"),
    }
}
