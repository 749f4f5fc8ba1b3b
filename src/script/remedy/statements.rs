//! Hints for whole lines of Python or IPython: magics, shell commands, imports, comments, declarations.

use super::{Remedy, SourceLine, ours};
use crate::script::scan::LexemeKind;

/// The hint for a line; `at_begin` is true if the error is at its first character.
pub(super) fn remedy(line: &SourceLine, at_begin: bool) -> Option<Remedy> {
    let text = line.text;
    match text.chars().next()? {
        '%' if at_begin => return magic(text),
        '!' if at_begin && is_command(&text[1..]) => {
            return Remedy::new("'!' runs a command at the prompt only", shell(&text[1..]));
        }
        '#' if !text.starts_with("#{") && !text.starts_with("#\"") => {
            return Remedy::new("a comment begins with //", format!("//{}", &text[1..]));
        }
        _ => {}
    }
    if let Some(at) = (1..line.len()).find(|&i| line.word(i) == "#" && line.kind(i) == Some(LexemeKind::Symbol)) {
        let code = format!("{} //{}", ours(text[..line.start(at)].trim_end()), &text[line.end(at)..]);
        return Remedy::new("a comment begins with //", code);
    }
    if let Some(remedy) = prompt_command(text) {
        return Some(remedy);
    }
    let asked = text.trim_matches('?');
    if asked.len() < text.len() && line.tokens.iter().all(|t| t.kind != LexemeKind::Text) && is_path(asked) {
        return Remedy::new("'?' asks at the prompt only", format!("help(\"{asked}\")"));
    }
    let first = line.word(0);
    if let Some(remedy) = called(line) {
        return Some(remedy);
    }
    match first {
        "import" | "from" | "using" | "use" if line.is_name(1) => imported(),
        "print" if line.len() > 1 && line.word(1) != "(" => Remedy::new(
            "print is a function",
            format!("print({})", ours(line.part(1, line.len()).trim_end_matches(';'))),
        ),
        "pass" if line.len() == 1 => Remedy::new("an empty block is { }", "{ }"),
        "del" | "delete" | "unset" if line.is_name(1) => deleted(line),
        "assert" => {
            let comma = line.find(1, line.len(), ",").unwrap_or(line.len());
            let message =
                if comma < line.len() { ours(line.part(comma + 1, line.len())) } else { "\"it does not hold\"".into() };
            Remedy::new("a mistake is thrown", format!("if !({}) {{ throw {message} }}", ours(line.part(1, comma))))
        }
        "raise" => {
            let text = line.tokens.iter().position(|t| t.kind == LexemeKind::Text);
            let message = text.map_or_else(|| "\"what went wrong\"".into(), |i| ours(line.word(i)));
            Remedy::new("a mistake is thrown", format!("throw {message}"))
        }
        "global" | "nonlocal" if line.is_name(1) => {
            Remedy::new("functions read the session's variables; a closure can change them", "let f = |x| x + 1;")
        }
        "class" | "struct" | "enum" | "interface" | "trait" if line.is_name(1) => {
            Remedy::new("there are no classes; a map holds values by name", "let thing = #{ name: \"a\" };")
        }
        "throw" if line.word(1) == "new" => {
            let thrown = line.tokens.iter().position(|t| t.kind == LexemeKind::Text);
            Remedy::new(
                "a text is thrown, or any other value",
                format!("throw {}", thrown.map_or("\"no\"".into(), |i| ours(line.word(i)))),
            )
        }
        "@" => Remedy::new("there are no decorators", "help(\"fn\")"),
        "var" if line.is_name(1) => {
            Remedy::new("a variable is made with let", format!("let {}", line.part(1, line.len())))
        }
        "yield" | "async" | "await" => Remedy::new(format!("there is no '{first}'"), "help(\"python\")"),
        _ => None,
    }
}

/// Functions that are called without parentheses, and words of the language that help is asked on.
fn called(line: &SourceLine) -> Option<Remedy> {
    match line.word(0) {
        "help" | "man" if line.len() == 2 && line.is_name(1) => {
            Remedy::new("help is a function", format!("help(\"{}\")", line.word(1)))
        }
        "help" if line.word(1) == "(" && line.len() == 4 => {
            Remedy::new("words of the language are asked for as texts", format!("help(\"{}\")", line.word(2)))
        }
        "typeof" if line.len() > 1 => {
            Remedy::new("type_of is a function", format!("type_of({})", ours(line.part(1, line.len()))))
        }
        "print" if line.len() == 1 => Remedy::new("print is a function", "print(\"text\")"),
        word if CALLED.contains(&word) && line.len() == 2 && !line.touch(0) && operand(line, 1) => {
            let code = format!("{word}({})", ours(line.word(1)));
            Remedy::new("a function is called with parentheses", code)
        }
        _ => None,
    }
}

/// `del x`, `del m["a"]`, `del m.a`
fn deleted(line: &SourceLine) -> Option<Remedy> {
    let last = line.len() - 1;
    if let ("[", Some(close)) = (line.word(2), line.close(2)) {
        let code = format!("{}.remove({})", line.word(1), ours(line.part(3, close)));
        return Remedy::new("what a map or an array holds is taken out by remove", code);
    }
    if line.word(last - 1) == "." {
        let code = format!("{}.remove(\"{}\")", line.part(1, last - 1), line.word(last));
        return Remedy::new("an entry is taken out by remove", code);
    }
    Remedy::new("a variable is not deleted; () lets its value go", format!("let {} = ();", line.word(1)))
}

/// Functions that other languages call without parentheses.
const CALLED: [&str; 14] = [
    "len",
    "midi",
    "chords",
    "sum",
    "sorted",
    "max",
    "min",
    "sqrt",
    "abs",
    "display",
    "read",
    "load_model",
    "tokenizer",
    "exit",
];

/// Whether a token alone is a value.
fn operand(line: &SourceLine, i: usize) -> bool {
    line.is_name(i) || matches!(line.kind(i), Some(LexemeKind::Number | LexemeKind::Text))
}

/// `:vars` in a script.
fn prompt_command(text: &str) -> Option<Remedy> {
    let (name, rest) = text.strip_prefix(':')?.split_once(char::is_whitespace).unwrap_or((&text[1..], ""));
    let code = match name {
        "vars" => "vars()".into(),
        "type" if !rest.is_empty() => format!("type_of({})", rest.trim()),
        "time" if !rest.is_empty() => format!("time(|| {{ {} }})", rest.trim()),
        "quit" | "exit" => "exit()".into(),
        "help" if !rest.is_empty() => format!("help(\"{}\")", rest.trim()),
        _ if name.chars().all(char::is_alphabetic) && !name.is_empty() => "help()".into(),
        _ => return None,
    };
    Remedy::new(format!(":{name} is a command of the prompt"), code)
}

fn imported() -> Option<Remedy> {
    Remedy::new("there is nothing to import from Python: what is needed is built in", "help(\"python\")")
}

fn magic(text: &str) -> Option<Remedy> {
    let rest = text.trim_start_matches('%');
    let (name, code) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let code = code.trim();
    match name {
        "time" | "timeit" if !code.is_empty() => {
            Remedy::new(format!("%{name} is IPython's; :time does it at the prompt"), format!("time(|| {{ {code} }})"))
        }
        "time" | "timeit" => {
            Remedy::new(format!("%{name} is IPython's; :time does it at the prompt"), "time(|| 1 + 1)")
        }
        "ls" | "pwd" | "cat" | "sx" | "sh" => {
            let command = if matches!(name, "sx" | "sh") { code.into() } else { format!("{name} {code}") };
            Remedy::new(format!("%{name} is IPython's"), shell(&command))
        }
        "who" | "whos" => Remedy::new(format!("%{name} is IPython's"), "vars()"),
        _ => Remedy::new(
            format!("%{name} is IPython's; the prompt has :time, :cd, :vars, :load, :history"),
            "help(\"python\")",
        ),
    }
}

/// True for a text that is more likely a shell command than a condition.
pub(super) fn is_command(text: &str) -> bool {
    const KNOWN: [&str; 50] = [
        "ls", "pwd", "cat", "cd", "echo", "pip", "git", "mkdir", "rm", "cp", "mv", "head", "tail", "grep", "find",
        "wc", "which", "nvidia", "wget", "curl", "conda", "python", "python3", "pip3", "uv", "jupyter", "cargo",
        "make", "touch", "less", "more", "tree", "du", "df", "ps", "top", "htop", "ssh", "scp", "tar", "unzip", "sudo",
        "apt", "brew", "vim", "nano", "code", "whoami", "docker", "etude",
    ];
    let (name, rest) = text.split_once(|c: char| !c.is_alphanumeric()).unwrap_or((text, ""));
    KNOWN.contains(&name) && !rest.trim_start().starts_with(['&', '|', '='])
}

pub(super) fn shell(command: &str) -> String {
    format!("shell(\"{}\")", command.trim().replace('\\', "\\\\").replace('"', "\\\""))
}

/// A name, or names with dots between.
fn is_path(text: &str) -> bool {
    let name = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    text.split('.').all(name)
}

/// The hint for a line with an unknown variable, if the line as a whole is recognised.
pub(super) fn of_line(line: &SourceLine) -> Option<Remedy> {
    match line.word(0) {
        "import" | "from" | "using" | "use" => imported(),
        "!" if is_command(&line.text[1..]) => {
            Remedy::new("'!' runs a command at the prompt only", shell(&line.text[1..]))
        }
        "pass" | "raise" | "assert" | "del" => remedy(line, true),
        _ => None,
    }
}
