//! Reference pages of the language: keywords, types, and differences from Python. The examples are tested.

use crate::script::doc_page::DocPage;

/// A page on a keyword or a type.
struct Topic {
    /// The names under which it is found.
    names: &'static [&'static str],
    /// Its syntax.
    code: &'static str,
    doc: &'static str,
}

const TOPICS: &[Topic] = &[
    Topic {
        names: &["let", "const", "variable", "="],
        code: "let x = 5",
        doc: "Makes a variable; x = 6 changes it, const K = 5 makes one that cannot change.\nSeveral at once: let (a, b) = [1, 2]; a, b = b, a swaps them. A variable made anew hides the old one.",
    },
    Topic {
        names: &["fn", "function", "def", "return", "closure", "lambda", "Fn", "call"],
        code: "fn twice(x) { x * 2 }",
        doc: "Makes a function; its last expression is its value, return ends it early.\nIt reads the session's variables and cannot change them; numbers, texts, arrays and maps are handed over as copies, objects as themselves.\nA function without a name is |x| x * 2; it can change the variables around it: let f = |x| x * 2; f(4).\nA comment /// above a function is its help.",
    },
    Topic {
        names: &["if", "else", "elif", "switch", "case", "match"],
        code: "if 3 > 2 { \"yes\" } else if 1 > 2 { \"no\" } else { \"never\" }",
        doc: "Chooses; it has a value: let word = if 3 > 2 { \"yes\" } else { \"no\" }.\nswitch 3 { 1 => \"one\", 2 | 3 => \"few\", _ => \"many\" } chooses by a value.\nand, or, not are written && || !.",
    },
    Topic {
        names: &["for", "in", "range", "while", "loop", "do", "until", "break", "continue"],
        code: "for i in 0..3 { print(i) }",
        doc: "Goes through a range (0..3 without, 0..=3 with its end), an array, a text, the keys of a map, the batches of a split.\nfor (key, value) in #{ a: 1 } { print(key) }; for (i, x) in [5, 6].enumerate() { print(i) }; for (a, b) in [1].zip([2]) { print(a) }.\nOtherwise two names are the item and its number: for (x, i) in [5, 6] { print(i) }.\nwhile true { break }, loop { break }, do { 1 } until true repeat; break ends a loop, continue its round. range(3) is [0, 1, 2].",
    },
    Topic {
        names: &["try", "catch", "throw", "error", "except", "raise"],
        code: "try { throw \"no\" } catch (e) { print(e) }",
        doc: "Catches what goes wrong: e.message and e.hint of our errors, or what was thrown, as it is.\nA stop by Ctrl-C cannot be caught.",
    },
    Topic {
        names: &["import", "export", "module"],
        code: "import \"tools\" as t",
        doc: "Reads tools.rhai beside the script, or in the working folder; t::f(1) calls its function f.",
    },
    Topic {
        names: &["string", "text", "str", "char", "`"],
        code: "`${1 + 1} notes`",
        doc: "A text: in double quotes (\\n, \\t, \\\" inside), or in backticks, over lines and with values: `${x}`, `${format(x, \".2f\")}`.\n+ joins texts, * repeats them, text[0] is its first character (of type char, as 'a'), text[1..3] a part, \"a\" in text asks for one.",
    },
    Topic {
        names: &["array", "list", "tuple", "slice", "[]"],
        code: "let xs = [3, 1, 2]",
        doc: "Values in order. xs[0] is the first, xs[-1] the last, xs[1..3] the second and third, xs.len how many.\nxs + [4] is a new array, xs.push(4) changes this one. 3 in xs asks for a value.\nxs.map(|x| x * 2), xs.filter(|x| x > 1), xs.sorted(), xs.sum() make something of it.",
    },
    Topic {
        names: &["map", "dict", "object", "#{}"],
        code: "let m = #{ lr: 0.1, \"two words\": 2 }",
        doc: "Values by name. m.lr, m[\"two words\"]; m.lr = 0.2 changes or makes an entry.\nA missing one is a mistake; m[\"zz\"] ?? 0 and m.get(\"zz\", 0) say what to take instead, \"zz\" in m asks.\nm.keys(), m.values(), m.items(), m.len(), m.remove(\"lr\"). The keys stay sorted.",
    },
    Topic {
        names: &["int", "float", "number", "%", "//", "/", "**"],
        code: "7 / 2",
        doc: "Whole numbers (64 bits) and floats; a whole number serves wherever a float is asked for.\n/ of two whole numbers is whole: 7 / 2 is 3, 7 / 2.0 is 3.5. % keeps the sign of the left side: -7 % 3 is -1. ** is a power. // begins a comment.\nround(x, 2), int(x), float(x), x.to_string(2), format(x, \".2f\"), x.abs(), min(a, b), max(a, b).\nA value is shown with four digits; print(x) writes all of them.",
    },
    Topic {
        names: &["bool", "true", "false", "&&", "||", "!", "and", "or", "not"],
        code: "true && !false || 1 == 2",
        doc: "Truth values. Only they are true or false: write xs.len > 0, n != 0, text != \"\".",
    },
    Topic {
        names: &["()", "unit", "none", "null", "??", "None"],
        code: "()",
        doc: "Nothing: what let, print and loops give. x == () asks for it; x ?? 0 takes 0 where x is (); x?.name is () where x is.",
    },
    Topic {
        names: &["comment", "#", "/*"],
        code: "// a comment",
        doc: "Up to the end of the line; /* over lines */. A comment /// above a function is its help.",
    },
    Topic {
        names: &["this", "type_of", "is_def_var", "is_def_fn", "eval", "print", "debug"],
        code: "type_of(1.5)",
        doc: "type_of(x) names a type, as :type does. print(a, b) writes values with a space between, debug(x) with its line.\neval(\"1 + 1\") runs a text as code; is_def_var(\"x\") and is_def_fn(\"f\", 1) ask what there is; this is the value a method works on.",
    },
];

/// Correspondences for Python users: Python, here.
const PYTHON: [(&str, &str); 36] = [
    ("x = 5", "let x = 5, then x = 6"),
    ("a, b = f()", "let (a, b) = f()"),
    ("def f(x): return x + 1", "fn f(x) { x + 1 }"),
    ("lambda x: x + 1", "|x| x + 1"),
    ("if a and not b:", "if a && !b { }"),
    ("elif", "else if"),
    ("1 if c else 2", "if c { 1 } else { 2 }"),
    ("for i in range(3):", "for i in 0..3 { }"),
    ("for k, v in d.items():", "for (k, v) in d { }"),
    ("for i, x in enumerate(xs):", "for (i, x) in xs.enumerate() { }"),
    ("True False None", "true false ()"),
    ("# comment", "// comment"),
    ("'text'", "\"text\"; 'a' is a character"),
    ("f\"{x:.2f}\"", "`${format(x, \".2f\")}`"),
    ("{\"a\": 1}", "#{ a: 1 }"),
    ("(1, 2)", "[1, 2]"),
    ("[x * 2 for x in xs if x > 1]", "xs.filter(|x| x > 1).map(|x| x * 2)"),
    ("xs[1:3], xs[-1]", "xs[1..3], xs[-1]"),
    ("len(xs)", "xs.len, len(xs)"),
    ("xs.append(1)", "xs.push(1)"),
    ("sum(xs), sorted(xs)", "xs.sum(), xs.sorted()"),
    ("\", \".join(xs)", "xs.join(\", \")"),
    ("d.get(\"a\", 0)", "d.get(\"a\", 0), d[\"a\"] ?? 0"),
    ("f(lr=0.1)", "f(#{ lr: 0.1 })"),
    ("raise ValueError(\"no\")", "throw \"no\""),
    ("try: except E as e:", "try { } catch (e) { }"),
    ("import numpy", "nothing: what is needed is built in"),
    ("1 / 3", "1 / 3 is 0 here: 1 / 3.0, or 1.0 / 3"),
    ("7 // 2", "7 / 2; // begins a comment"),
    ("-7 % 3 is 2", "-7 % 3 is -1: the sign of the left side"),
    ("math.log(x)", "ln(x); log(x) is to base 10"),
    ("ys = xs shares a list", "let ys = xs copies; objects (Score, Model) are shared"),
    ("if xs:", "if xs.len > 0 { }: only true is true"),
    ("x shows 0.3333333333333333", "x is shown as 0.3333; print(x) writes all digits"),
    ("s.replace(a, b) leaves s", "s.replace(a, b), s.trim() also change s"),
    ("x ** 2, x ** 0.5", "x ** 2, sqrt(x)"),
];

/// The page on a keyword or type.
pub(crate) fn page(name: &str) -> Option<DocPage> {
    if name.eq_ignore_ascii_case("python") {
        return Some(python());
    }
    let topic = TOPICS.iter().find(|topic| topic.names.contains(&name))?;
    let mut page = DocPage::default();
    page.entry(topic.code, topic.doc, &[]);
    Some(page)
}

/// "Coming from Python"
fn python() -> DocPage {
    let mut page = DocPage::default();
    page.text("Coming from Python: what is written otherwise here.");
    page.table("Python", PYTHON.iter().map(|(python, here)| vec![(*python).into(), (*here).into()]).collect());
    page.text(
        "?array ?string ?map ?for ?fn ?int tell more; at the prompt, %time, %cd and the like work as :time and :cd do.",
    );
    page
}

/// The names of all pages, the main name of each first.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let word = |name: &&'static str| name.starts_with(char::is_alphabetic);
    std::iter::once("python").chain(TOPICS.iter().flat_map(move |topic| topic.names.iter().copied().filter(word)))
}

/// The main names of the pages.
pub(crate) fn titles() -> impl Iterator<Item = &'static str> {
    std::iter::once("python").chain(TOPICS.iter().map(|topic| topic.names[0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Host, Session};

    #[test]
    fn what_the_pages_say_runs() {
        for topic in TOPICS.iter().filter(|topic| topic.names[0] != "import") {
            Session::new(Host::silent()).eval(topic.code).unwrap_or_else(|fault| panic!("{}: {fault}", topic.code));
        }
        let mut session = Session::new(Host::silent());
        session.eval("let x = 2; let xs = [3, 1]; let d = #{ a: 1 }; let c = true; let a = true; let b = false; fn f(o) { o } fn f() { [1, 2] }").expect("it runs");
        for (_, here) in
            PYTHON.iter().filter(|(_, here)| !here.contains(": ") && !here.contains("is a") && !here.contains(", then"))
        {
            if matches!(*here, "else if" | "true false ()" | "7 / 2; // begins a comment")
                || here.starts_with("ln(")
                || here.contains("copies")
                || here.contains("shown as")
                || here.contains("also change")
                || here.starts_with("throw")
            {
                continue;
            }
            for code in here.split(", ").filter(|code| {
                code.matches('(').count() == code.matches(')').count()
                    && code.matches('[').count() == code.matches(']').count()
            }) {
                session.eval(code).unwrap_or_else(|fault| panic!("{here}: {code}: {fault}"));
            }
        }
    }

    #[test]
    fn numbers_are_as_the_page_says() {
        let shown = |code: &str| {
            Session::new(Host::silent()).eval(code).expect("it runs").expect("a value").plain().to_string()
        };
        for (code, value) in
            [("1 / 3", "0"), ("7 / 2", "3"), ("-7 % 3", "-1"), ("log(100.0)", "2.0"), ("ln(1)", "0.0"), ("7 // 2", "7")]
        {
            assert_eq!(shown(code), value, "{code}");
        }
    }
}
