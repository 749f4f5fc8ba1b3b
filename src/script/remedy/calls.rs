//! Hints for calls of functions and methods that Python and its libraries have: the same call in our words.

use super::counterparts::{ALIASES, FUNCTIONS, KNOWN_MODULES, METHODS, MODULES, SHOWN};
use super::{Remedy, SourceLine, operators, ours, placed};
use crate::script::scan::LexemeKind;

/// A call, or a member without one, as a line has it.
struct CallSite<'t> {
    line: SourceLine<'t>,
    /// The token of the name.
    at: usize,
    receiver: Option<&'t str>,
    arguments: Vec<&'t str>,
}

impl<'t> CallSite<'t> {
    /// What stands at a column (from 1, in characters).
    fn new(text: &'t str, column: usize) -> Option<Self> {
        let line = SourceLine::new(text);
        let at = line.at_column(column)?;
        let receiver = (at > 1 && line.word(at - 1) == ".").then(|| line.part(line.operand_before(at - 1), at - 1));
        let arguments = if line.word(at + 1) == "(" { line.arguments(at + 1).unwrap_or_default() } else { Vec::new() };
        Some(Self { line, at, receiver, arguments })
    }

    /// A template with the parts of this call, if it has all of them.
    fn fill(&self, template: &str) -> Option<String> {
        let mut code = template.replace("$name", self.line.word(self.at));
        let all = self.arguments.iter().map(|argument| ours(argument)).collect::<Vec<_>>();
        code = code.replace("$all", &all.join(", "));
        if code.contains("$self") {
            code = code.replace("$self", &ours(self.receiver?));
        }
        for i in (1..=3).filter(|i| template.contains(&format!("${i}"))) {
            code = code.replace(&format!("${i}"), all.get(i - 1)?);
        }
        Some(code)
    }
}

/// The hint for an unknown function, or for one that does not take what it was given (types in `given`).
pub(crate) fn call(name: &str, given: &[&str], text: &str, column: usize) -> Option<Remedy> {
    let site = CallSite::new(text, column);
    let method = site.as_ref().is_some_and(|site| site.receiver.is_some());
    if let Some(remedy) = site.as_ref().and_then(|site| of_ours(name, given, site)) {
        return Some(remedy);
    }
    let own = given.first().copied().unwrap_or_default();
    if method && let Some(remedy) = self::method(own, name, text, column) {
        return Some(remedy);
    }
    let message = |how: &str| format!("{name}() {how}");
    let error = name.starts_with(char::is_uppercase) && (name.ends_with("Error") || name.ends_with("Exception"));
    if error {
        let thrown = site.as_ref().and_then(|site| site.fill("throw $1")).unwrap_or_else(|| "throw \"no\"".into());
        return Remedy::new("a text is thrown, or any other value", thrown);
    }
    if given.is_empty() {
        let found = SHOWN.iter().find(|(names, _)| names.contains(&name))?;
        let how = if name == "len" { "takes a value" } else { "is written otherwise here" };
        return Remedy::new(message(how), found.1);
    }
    if let Some(code) = site.as_ref().and_then(|site| special(name, given, site)) {
        return Remedy::new(message("is written otherwise here"), code);
    }
    let fitting =
        FUNCTIONS.iter().find(|(names, kind, _)| names.contains(&name) && (kind.is_empty() || *kind == own))?;
    let filled = site.as_ref().filter(|_| !method).and_then(|site| site.fill(fitting.2));
    let shown = || SHOWN.iter().find(|(names, _)| names.contains(&name)).map(|(_, code)| (*code).to_owned());
    Remedy::new(
        message("is written otherwise here"),
        filled.or_else(shown).unwrap_or_else(|| "help(\"python\")".into()),
    )
}

/// Python functions whose counterpart depends on what they are given.
fn special(name: &str, given: &[&str], site: &CallSite) -> Option<String> {
    let argument = |i: usize| site.arguments.get(i).map(|argument| ours(argument));
    match name {
        "isinstance" => {
            let wanted = match *site.arguments.get(1)? {
                "str" => "string",
                "list" | "tuple" => "array",
                "dict" => "map",
                other => other,
            };
            Some(format!("type_of({}) == \"{wanted}\"", argument(0)?))
        }
        "open" => {
            let path = argument(0)?;
            let writes = site.arguments.get(1).is_some_and(|mode| mode.contains('w') || mode.contains('a'));
            let midi = [".mid\"", ".midi\"", ".kar\""].iter().any(|end| path.ends_with(end));
            Some(match (writes, midi) {
                (true, _) => format!("write({path}, \"text\")"),
                (_, true) => format!("midi({path})"),
                _ => format!("read({path})"),
            })
        }
        "max" | "min" if given.len() > 2 => site.fill(&format!("[$all].{name}()")),
        _ => None,
    }
}

/// Calls of names that exist here with another meaning: `random.random()`, `max(1, 2, 3)`, `"{}".format(x)`.
fn of_ours(name: &str, given: &[&str], site: &CallSite) -> Option<Remedy> {
    let module = site.receiver.and_then(|receiver| receiver.rsplit('.').next());
    if let Some(module) = module.filter(|_| given.first().is_none_or(|first| *first == "function")) {
        return member(module, site);
    }
    match (name, given) {
        ("max" | "min", [_, _, _, ..]) => Remedy::new("it takes two values, or an array", special(name, given, site)?),
        ("format", ["string", ..]) if site.receiver.is_some() => {
            let text = site.receiver?.strip_prefix(['"', '\''])?.strip_suffix(['"', '\''])?;
            let mut values = site.arguments.iter();
            let (mut code, mut rest) = (String::new(), text);
            while let Some((before, behind)) = rest.split_once('{') {
                let (inside, behind) = behind.split_once('}')?;
                let (which, how) = inside.split_once(':').unwrap_or((inside, ""));
                let value = match which.parse::<usize>() {
                    Ok(place) => site.arguments.get(place)?,
                    Err(_) => values.next()?,
                };
                code += before;
                code += &placed(value, how);
                rest = behind;
            }
            Remedy::new("values stand in a text in backticks, as ${x}", format!("`{code}{rest}`"))
        }
        ("map" | "filter", ["range", _]) => {
            let (from, to) = site.receiver?.trim_matches(['(', ')']).split_once("..")?;
            let to = to.strip_prefix('=').map_or(to.to_owned(), |to| format!("{to} + 1"));
            Remedy::new("a range is made an array by range", site.fill(&format!("range({from}, {to}).{name}($1)"))?)
        }
        _ => None,
    }
}

/// The hint for an unknown method or property of a value.
pub(crate) fn method(owner: &str, name: &str, text: &str, column: usize) -> Option<Remedy> {
    let (.., template) = METHODS.iter().find(|(of, names, _)| *of == owner && names.contains(&name))?;
    let site = CallSite::new(text, column)?;
    let code = site.fill(template).or_else(|| site.fill("$self"))?;
    Remedy::new(format!("{owner} has no '{name}'"), code)
}

/// The hint for a line that uses a module: `np.mean(xs)`, at the name of the module.
pub(super) fn of_module(name: &str, text: &str, column: usize) -> Option<Remedy> {
    let line = SourceLine::new(text);
    let mut at = line.at_column(column)?;
    let known = |name: &str| {
        KNOWN_MODULES.contains(&name)
            || MODULES.iter().any(|(module, ..)| *module == name)
            || ALIASES.iter().any(|(alias, _)| *alias == name)
    };
    if line.word(at + 1) != "." || !known(name) {
        return None;
    }
    while line.word(at + 1) == "." && line.is_name(at + 2) {
        at += 2;
    }
    let site = CallSite::new(text, text[..line.start(at)].chars().count() + 1)?;
    member(line.word(at - 2), &site).or_else(|| {
        Remedy::new("there is nothing to import from Python: what is needed is built in", "help(\"python\")")
    })
}

/// The counterpart of a member of a module.
fn member(module: &str, site: &CallSite) -> Option<Remedy> {
    let short = ALIASES.iter().find(|(alias, _)| *alias == module).map_or(module, |(_, short)| short);
    let name = site.line.word(site.at);
    let of = |wanted: &str| MODULES.iter().find(|(module, names, _)| *module == wanted && names.contains(&name));
    // numpy has what math has.
    let (.., template) = of(short).or_else(|| if matches!(short, "np" | "torch") { of("math") } else { None })?;
    let code = site.fill(template).unwrap_or_else(|| "help(\"python\")".into());
    Remedy::new(format!("{module}.{name} is written otherwise here"), code)
}

/// The hint for an operator between values that have none: `xs / 2`, `"%d" % 3`, `2 ^ 0.5`.
pub(crate) fn operator(name: &str, given: &[&str], text: &str, column: usize) -> Option<Remedy> {
    let line = SourceLine::new(text);
    if let ("%", ["string", _]) = (name, given) {
        return operators::percent(&line);
    }
    let at = line.at_column(column)?;
    let arithmetic = matches!(name, "+" | "-" | "*" | "/" | "%" | "**");
    let behind = at + name.chars().count() - usize::from(name == "**");
    let behind = if name == "**" && line.word(at + 1) == "*" { at + 2 } else { behind.max(at + 1) };
    let (from, to) = (line.operand_before(at), line.operand_after(behind)?);
    let (left, right) = (line.part(from, at), line.part(behind, to));
    if left.is_empty() || line.kind(at) != Some(LexemeKind::Symbol) {
        return None;
    }
    let number = |kind: &str| matches!(kind, "int" | "float");
    let (message, code) = match given {
        [a, b] if name == "^" && number(a) && number(b) => ("a power is written **", format!("{left} ** {right}")),
        ["array", b] if arithmetic && number(b) => {
            ("arrays are calculated with item by item", format!("{left}.map(|x| x {name} {right})"))
        }
        [a, "array"] if arithmetic && number(a) => {
            ("arrays are calculated with item by item", format!("{right}.map(|x| {left} {name} x)"))
        }
        ["array", "array"] if arithmetic => (
            "arrays are calculated with item by item",
            format!("{left}.zip({right}).map(|pair| pair[0] {name} pair[1])"),
        ),
        _ => return None,
    };
    Remedy::new(message, code)
}
