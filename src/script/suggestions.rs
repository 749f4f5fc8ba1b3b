//! Errors of unknown calls and properties, with what would fit and what was probably meant.

use crate::error::nearest;
use crate::script::CellError;
use crate::script::catalog::{Member, MemberKind};
use crate::script::convert::article;
use crate::script::error_context::{ErrorContext, ErrorPlace};
use crate::script::type_names::plain_type;
use crate::script::{guide, remedy, standard};

/// The most signatures in a hint.
const LISTED: usize = 6;

/// The error of a call without a matching function, from Rhai's `name (type, type)`.
pub(crate) fn function(context: &ErrorContext, signature: &str, at: ErrorPlace) -> CellError {
    let (name, given) = signature.split_once(" (").unwrap_or((signature, ""));
    let given: Vec<&str> = given.trim_end_matches(')').split(", ").filter(|t| !t.is_empty()).map(plain_type).collect();
    if !name.starts_with(|c: char| c == '_' || c.is_alphabetic()) {
        return operator(context, name, &given, at);
    }
    let scripted: Vec<&(String, usize)> = context.functions.iter().filter(|f| f.0 == name).collect();
    let known: Vec<&Member> = context.catalog.members.iter().filter(|m| m.name == name && callable(m)).collect();
    let call = format!("{name}({})", given.join(", "));
    if let Some(first) = scripted.first() {
        let expected = if first.1 == 1 { "1 argument".into() } else { format!("{} arguments", first.1) };
        let name = if name.starts_with("anon$") { "the closure" } else { name };
        return CellError::new("TypeError", format!("{name} takes {expected}, not {}", given.len()));
    }
    let remedy = remedy::call(name, &given, at.line, at.column);
    if !known.is_empty() {
        if let Some(remedy) = remedy {
            return CellError { hint: Some(remedy.hint()), ..CellError::new("TypeError", remedy.message) };
        }
        // Members of the object's own type are more helpful than others of the same name.
        let own: Vec<&Member> = known.iter().copied().filter(|m| m.owner == given.first().copied()).collect();
        let fitting = if own.is_empty() { &known } else { &own };
        let list: Vec<String> = fitting.iter().take(LISTED).map(|m| m.signature()).collect();
        let hint = format!("there is {}", list.join("\n        "));
        return CellError { hint: Some(hint), ..CellError::new("TypeError", format!("{call} does not fit")) };
    }
    if let Some(property) = given.first().and_then(|owner| of(context, owner, name)) {
        let hint = format!("write it without parentheses: .{name}");
        let message = format!("'{name}' of {} is a property, not a function", given[0]);
        return CellError {
            hint: Some(hint),
            ..CellError::new("TypeError", format!("{message} ({})", property.returns))
        };
    }
    if let Some(remedy) = remedy {
        return CellError { hint: Some(remedy.hint()), ..CellError::new("NameError", remedy.message) };
    }
    if context.scope.contains(name) {
        let message = format!("'{name}' is {}, not a function", kind_of(context, name));
        return CellError {
            hint: Some("write let f = |x| x + 1; f(2)".into()),
            ..CellError::new("TypeError", message)
        };
    }
    let mut names: Vec<&str> = context.catalog.function_names().into_iter().collect();
    names.extend(context.functions.iter().map(|f| f.0.as_str()).filter(|name| !name.starts_with("anon$")));
    names.extend(standard::FUNCTIONS);
    let before: String = at.line.chars().take(at.column.saturating_sub(1)).collect();
    // What stands behind a point belongs to a value, the rest to none.
    let owner = given.first().filter(|_| before.trim_end().ends_with('.'));
    if let Some(owner) = owner {
        names.extend(context.catalog.member_names(owner));
        names.extend(standard::methods(owner).iter().map(|f| f.name.as_str()));
    }
    names.retain(|known| *known != name);
    let same = names.iter().copied().find(|known| known.eq_ignore_ascii_case(name));
    let hint = match same.or_else(|| nearest(name, &names)) {
        Some(near) => Some(format!("did you mean '{near}'?")),
        None if owner == Some(&"map") => Some(format!("an entry is read without parentheses: .{name}")),
        None => owner.and_then(|owner| members_of(context, owner)),
    };
    CellError { hint, ..CellError::new("NameError", format!("there is no function {call}")) }
}

/// The error of an unknown or read-only property, from Rhai's message.
pub(crate) fn property(context: &ErrorContext, text: &str, at: ErrorPlace) -> CellError {
    let quoted: Vec<&str> = text.split('\'').skip(1).step_by(2).collect();
    let (Some(&name), Some(owner)) = (quoted.first(), quoted.get(1).map(|t| plain_type(t))) else {
        return CellError::new("TypeError", text);
    };
    let setting = text.starts_with("No writable");
    let known = of(context, owner, name);
    if setting && let Some(member) = known {
        return match member.kind {
            MemberKind::Property { writable: true } => {
                let given = quoted.get(2).map_or("this", |t| plain_type(t));
                CellError::new("TypeError", format!("{owner}.{name} cannot be set to {given}"))
            }
            _ => CellError::new("TypeError", format!("{owner}.{name} can be read but not set")),
        };
    }
    if let Some(member) = known {
        let hint = format!("call it: {}", member.signature());
        return CellError { hint: Some(hint), ..CellError::new("TypeError", format!("{owner}.{name} is a method")) };
    }
    let names: Vec<&str> = context.catalog.member_names(owner).into_iter().collect();
    let theirs = remedy::method(owner, name, at.line, at.column).map(|remedy| remedy.hint());
    let hint = match nearest(name, &names) {
        _ if theirs.is_some() => theirs,
        Some(near) => Some(format!("did you mean '{near}'?")),
        None => members_of(context, owner),
    };
    CellError { hint, ..CellError::new("NameError", format!("{owner} has no '{name}'")) }
}

fn operator(context: &ErrorContext, name: &str, given: &[&str], at: ErrorPlace) -> CellError {
    let truth = match (name, given) {
        ("!", [kind]) => remedy::condition(kind, at.line, at.column),
        _ => None,
    };
    if let Some(remedy) = truth.or_else(|| remedy::operator(name, given, at.line, at.column)) {
        return CellError { hint: Some(remedy.hint()), ..CellError::new("TypeError", remedy.message) };
    }
    let message = match given {
        [one] => format!("{name} does not apply to {one}"),
        [left, right] => format!("{left} {name} {right} has no meaning"),
        _ => format!("{name} does not apply here"),
    };
    let fitting = context.catalog.members.iter().filter(|m| {
        m.kind == MemberKind::Operator && m.name == name && m.owner.is_some_and(|owner| given.contains(&owner))
    });
    let list: Vec<String> = fitting.take(LISTED).map(Member::signature).collect();
    let hint = match (list.is_empty(), name, given) {
        (false, ..) => Some(format!("there is {}", list.join("\n        "))),
        (_, "%", ["string", _]) => Some("write `${1 + 1} values`, or format(3.14159, \".2f\")".into()),
        (_, _, ["function", _] | [_, "function"]) => Some("a function is called with parentheses: midi(path)".into()),
        _ => None,
    };
    CellError { hint, ..CellError::new("TypeError", message) }
}

/// "an int"
fn kind_of(context: &ErrorContext, name: &str) -> String {
    context.scope.get(name).map_or_else(String::new, |value| article(&value.flatten_clone()))
}

fn callable(member: &Member) -> bool {
    matches!(member.kind, MemberKind::Function | MemberKind::Method)
}

fn of<'s>(context: &'s ErrorContext, owner: &str, name: &str) -> Option<&'s Member> {
    context.catalog.members(owner).find(|m| m.name == name)
}

fn members_of(context: &ErrorContext, owner: &str) -> Option<String> {
    if !owner.starts_with(char::is_uppercase) {
        return (!owner.is_empty())
            .then(|| format!("write help(\"{owner}\")"))
            .filter(|_| guide::page(owner).is_some());
    }
    let names: Vec<&str> = context.catalog.member_names(owner).into_iter().filter(|n| !n.starts_with("to_")).collect();
    (!names.is_empty()).then(|| format!("{owner} has {}", names.join(", ")))
}
