//! The catalog of all types, functions and members of the script language, with their documentation. Help, completion,
//! signatures and suggestions read it.

use std::any::TypeId;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use rhai::Dynamic;

use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::script::Bundle;

/// The kind of a [`Member`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberKind {
    /// `midi(path)`
    Function,
    /// `score.transpose(2)`
    Method,
    /// `score.duration`, and whether it can be set.
    Property {
        /// True when `x.name = value` works.
        writable: bool,
    },
    /// `a + b`
    Operator,
    /// `chords[0]`
    Index,
}

/// A function, method, property or operator.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The type it belongs to; none for a function.
    pub(crate) owner: Option<&'static str>,
    /// Its name.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) kind: MemberKind,
    /// Names and types of the parameters, the object itself left out.
    pub(crate) params: Vec<(&'static str, &'static str)>,
    /// The type of the result, "" for none, alternatives separated by ` | `.
    pub(crate) returns: &'static str,
    /// The documentation; its first line is a summary.
    pub(crate) doc: &'static str,
    /// Keys of its map of options, with what they mean.
    pub(crate) options: &'static [(&'static str, &'static str)],
}

impl Member {
    /// `transpose(semitones: int) -> Score`
    pub(crate) fn signature(&self) -> String {
        let mut text = String::new();
        if let Some(owner) = self.owner {
            let _ = match self.kind {
                MemberKind::Method | MemberKind::Property { .. } => write!(text, "{owner}."),
                MemberKind::Operator => write!(text, "{owner} "),
                _ => write!(text, "{owner}"),
            };
        }
        let params: Vec<String> = self.params.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
        let _ = match self.kind {
            MemberKind::Property { .. } => write!(text, "{}", self.name),
            MemberKind::Operator => write!(text, "{} {}", self.name, self.params.first().map_or("", |p| p.1)),
            MemberKind::Index => write!(text, "[{}]", params.join(", ")),
            _ => write!(text, "{}({})", self.name, params.join(", ")),
        };
        if !self.returns.is_empty() {
            let _ = write!(text, " -> {}", self.returns);
        }
        text
    }

    /// The first line of the documentation.
    pub(crate) fn brief(&self) -> &'static str {
        self.doc.lines().next().unwrap_or_default()
    }
}

/// The display functions of a type.
#[derive(Clone, Copy)]
pub(crate) struct Shower {
    /// As one line.
    pub(crate) line: fn(&Dynamic) -> String,
    /// In the formats that are cheap to compute; the text at most `width` columns wide.
    pub(crate) bundle: fn(&Dynamic, usize, &Interrupt) -> Bundle,
    /// In all formats.
    pub(crate) rich: fn(&Dynamic, usize, &Progress) -> Bundle,
    /// Outputs that a notebook shows before it.
    pub(crate) besides: fn(&Dynamic, &Progress) -> Vec<Bundle>,
    /// Whether its formats are limited to the maximum output size of a cell.
    pub(crate) bounded: bool,
}

/// All registered types and members.
#[derive(Default)]
pub(crate) struct Catalog {
    pub(crate) members: Vec<Member>,
    /// Name and documentation of each type.
    pub(crate) types: Vec<(&'static str, &'static str)>,
    pub(crate) showers: HashMap<TypeId, Shower>,
}

impl Catalog {
    /// The functions with a name.
    pub(crate) fn functions(&self, name: &str) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |m| m.owner.is_none() && m.name == name)
    }

    /// The members of a type.
    pub(crate) fn members(&self, owner: &str) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |m| m.owner == Some(owner))
    }

    /// The documentation of a type.
    pub(crate) fn type_doc(&self, name: &str) -> Option<&'static str> {
        self.types.iter().find(|t| t.0 == name).map(|t| t.1)
    }

    /// The names of all functions, once each.
    pub(crate) fn function_names(&self) -> BTreeSet<&'static str> {
        self.members.iter().filter(|m| m.owner.is_none()).map(|m| m.name).collect()
    }

    /// The names of the members of a type, operators left out, once each.
    pub(crate) fn member_names(&self, owner: &str) -> BTreeSet<&'static str> {
        self.members(owner)
            .filter(|m| !matches!(m.kind, MemberKind::Operator | MemberKind::Index))
            .map(|m| m.name)
            .collect()
    }
}
