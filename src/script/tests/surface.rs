//! Tests of the language's surface: every signature, and that all of it is documented.

use serde::Serialize;

use super::session;
use crate::data::DatasetOptions;
use crate::generate::SamplerOptions;
use crate::nn::LoraConfig;
use crate::script::catalog::{Member, MemberKind};
use crate::script::objects::ModelInputs;
use crate::train::{AdamWOptions, Schedule, TrainOptions};

#[test]
fn the_signatures_are_these() {
    let session = session();
    let catalog = session.ctx.catalog();
    let mut lines: Vec<String> = catalog
        .members
        .iter()
        .map(|m| {
            if m.kind == (MemberKind::Property { writable: true }) {
                format!("{} (set)", m.signature())
            } else {
                m.signature()
            }
        })
        .collect();
    lines.sort();
    assert!(lines.len() > 150, "{}", lines.len());
    insta::assert_snapshot!(lines.join("\n"));
}

/// Rhai's own types, and the names of any type and none.
const RHAIS: [&str; 10] = ["", "any", "int", "float", "bool", "string", "array", "map", "function", "range"];

#[test]
fn everything_is_documented() {
    let session = session();
    let catalog = session.ctx.catalog();
    let types: Vec<&str> = catalog.types.iter().map(|t| t.0).collect();
    for member in &catalog.members {
        let doc = member.doc;
        assert!(
            doc.starts_with(|c: char| c.is_uppercase() || c == '"' || c == 'e' || c == 'q'),
            "{}: {doc}",
            member.signature()
        );
        assert!(doc.ends_with(['.', ':', '…']) || doc.ends_with("})."), "{}: {doc}", member.signature());
        if let Some(owner) = member.owner {
            assert!(types.contains(&owner) || RHAIS.contains(&owner), "{owner} is not a type");
        }
        for kind in member.returns.split(" | ").chain(member.params.iter().flat_map(|p| p.1.split(" | "))) {
            assert!(RHAIS.contains(&kind) || types.contains(&kind), "{}: {kind}", member.signature());
        }
    }
}

/// The documented options of a function are the fields of the struct they fill.
#[test]
fn documented_options_are_those_there_are() {
    let session = session();
    let members = &session.ctx.catalog().members;
    let same = |name: &str, fields: Vec<String>| {
        let with: Vec<&Member> = members.iter().filter(|m| m.name == name && !m.options.is_empty()).collect();
        assert!(!with.is_empty(), "{name} has no options");
        for member in with {
            let mut keys: Vec<String> = member.options.iter().map(|o| o.0.to_string()).collect();
            let mut fields = fields.clone();
            keys.sort();
            fields.sort();
            assert_eq!(keys, fields, "{name}");
        }
    };
    same("dataset", fields(&DatasetOptions::default()));
    same("sampler", fields(&SamplerOptions::default()));
    same("adamw", fields(&AdamWOptions::default()));
    let mut trainer = fields(&TrainOptions::default());
    trainer.push("eval_sets".to_string()); // rows, which no file of options can name
    same("trainer", trainer);
    for name in ["forward", "loss", "attention"] {
        same(name, fields(&ModelInputs::default()));
    }
    same("lora", fields(&LoraConfig::default()));
    same("qlora", fields(&LoraConfig::default()));
    let mut schedule = fields(&Schedule::default());
    schedule.retain(|f| f != "kind");
    same("schedule", schedule);
}

fn fields(options: &impl Serialize) -> Vec<String> {
    let value = serde_json::to_value(options).expect("options are plain data");
    value.as_object().expect("options are a map").keys().cloned().collect()
}
