//! Every remedy offers code that runs.

use crate::script::{Host, Session};

/// What is typed, and the code that is offered for it.
const CASES: [(&str, &str); 81] = [
    ("x = 5", "let x = 5"),
    ("total += 1", "let total = 0"),
    ("a, b = 1, 2", "let (a, b) = [1, 2]"),
    ("True", "true"),
    ("let t = None;", "()"),
    ("!ls -l", "shell(\"ls -l\")"),
    ("%timeit 1 + 1", "time(|| { 1 + 1 })"),
    ("%%time", "time(|| 1 + 1)"),
    ("%ls", "shell(\"ls\")"),
    ("%who", "vars()"),
    ("%matplotlib inline", "help(\"python\")"),
    ("midi?", "help(\"midi\")"),
    ("midi??", "help(\"midi\")"),
    ("import numpy as np", "help(\"python\")"),
    ("import os", "help(\"python\")"),
    ("from os import path", "help(\"python\")"),
    ("print 'x'", "print(\"x\")"),
    ("print 1 + 1;", "print(1 + 1)"),
    ("# comment", "// comment"),
    ("let s = 'hello'", "let s = \"hello\""),
    ("let n = 3; f\"hi {n}\"", "let n = 3; `hi ${n}`"),
    ("let n = 3.0; f'{n:.2f} dB'", "let n = 3.0; `${format(n, \".2f\")} dB`"),
    ("let n = 3.14; `${n:.1f}`", "let n = 3.14; `${format(n, \".1f\")}`"),
    ("print(\"hi", "print(\"hi\")"),
    ("print(\"hi)", "print(\"hi\")"),
    ("def f(x): return x", "fn f(x) { return x }"),
    ("def f(x: int, y=1) -> int:", "fn f(x, y) { }"),
    ("function f(x) { x }", "fn f(x) { x }"),
    ("if 3 > 2 and True: print('yes')", "if 3 > 2 && true { print(\"yes\") }"),
    ("if 3 > 2:", "if 3 > 2 { }"),
    ("elif 3 > 2:", "if true { } else if 3 > 2 { }"),
    ("else:", "if true { } else { }"),
    ("while False: pass", "while false { }"),
    ("for i in range(3): print(i)", "for i in range(3) { print(i) }"),
    ("for k, v in #{ a: 1 }.items():", "for (k, v) in #{ a: 1 }.items() { }"),
    ("try:", "try { midi(\"no.mid\") } catch (e) { print(e.message) }"),
    ("with open('f') as f:", "exists(\"notes.txt\")"),
    ("let f = lambda x: x + 1", "let f = |x| x + 1"),
    ("let sq = [i * i for i in range(3)]", "let sq = range(3).map(|i| i * i)"),
    ("[i for i in range(9) if i % 2 == 0]", "range(9).filter(|i| i % 2 == 0)"),
    ("let m = 1 if true else 2", "let m = if true { 1 } else { 2 }"),
    ("not true", "!true"),
    ("true and not false", "true && !false"),
    ("let u = (); u is None", "let u = (); u == ()"),
    ("let i = 1; i++", "let i = 1; i += 1"),
    ("sampler(temperature=0.9)", "sampler(#{ temperature: 0.9 })"),
    ("let d = {\"a\": 1, 'b': None}", "let d = #{\"a\": 1, \"b\": () }"),
    ("let xs = [1, 2, 3]; xs[1:]", "let xs = [1, 2, 3]; xs[1..]"),
    ("let xs = [1, 2, 3]; xs[:2]", "let xs = [1, 2, 3]; xs[..2]"),
    ("let xs = [1, 2, 3]; xs[::-1]", "let xs = [1, 2, 3]; xs.reversed()"),
    ("let p = (1, 2)", "let p = [1, 2]"),
    ("let m = #{ \"39\": 1 }; m.39", "let m = #{ \"39\": 1 }; m[\"39\"]"),
    ("assert 1 == 1, 'no'", "if !(1 == 1) { throw \"no\" }"),
    ("let q: int = 5", "let q = 5"),
    ("n: int = 5", "let n = 5"),
    ("var w = 5", "let w = 5"),
    ("class A:", "let thing = #{ name: \"a\" };"),
    ("pass", "{ }"),
    ("len()", "[1, 2].len"),
    ("isinstance(1, 2)", "type_of(1) == \"int\""),
    ("Score", "help(\"Score\")"),
    ("ls", "shell(\"ls\")"),
    ("git --version", "shell(\"git --version\")"),
    ("ls -l", "shell(\"ls -l\")"),
    ("lets x = 1", "let x = 1"),
    ("int z = 3", "let z = 3"),
    ("func f(x) { x }", "fn f(x) { x }"),
    ("functoin f(x) { x }", "fn f(x) { x }"),
    ("foreach x in [1, 2] { print(x) }", "for x in [1, 2] { print(x) }"),
    ("whlie false { }", "while false { }"),
    ("if 1 == 5 then print(1)", "if 1 == 5 { print(1) }"),
    ("while false do print(1) end", "while false { print(1) }"),
    ("1 === 5", "1 == 5"),
    ("1 !== 5", "1 != 5"),
    ("1 > 2 ? 3 : 4", "if 1 > 2 { 3 } else { 4 }"),
    ("let c = 1 > 2 ? 3 : 4;", "let c = if 1 > 2 { 3 } else { 4 };"),
    ("null", "()"),
    ("let n = null;", "let n = ();"),
    ("console.log(1 + 1)", "print(1 + 1)"),
    ("println(\"x\")", "print(\"text\")"),
    ("nan", "0.0 / 0.0"),
];

#[test]
fn the_code_that_a_hint_offers_runs() {
    let mut unlike = Vec::new();
    for (typed, offered) in CASES {
        let mut session = Session::new(Host::silent());
        let fault = session.eval(typed).expect_err(typed);
        let hint = fault.hint.clone().unwrap_or_default();
        match hint.strip_prefix("write ") {
            Some(code) if code == offered => {
                if let Err(fault) = Session::new(Host::silent()).eval(code) {
                    unlike.push(format!("{typed}: {code} does not run: {fault}"));
                }
            }
            _ => unlike.push(format!("{typed}: {fault}\n  wanted: {offered}")),
        }
        if fault.place.is_none() {
            unlike.push(format!("{typed}: no place"));
        }
    }
    assert!(unlike.is_empty(), "{}", unlike.join("\n\n"));
}

#[test]
fn a_division_that_is_a_comment_is_noticed() {
    assert!(super::note("let z = 7 // 2").is_some() && super::note("f(x // 3);").is_some());
    for fine in ["let z = 7; // 2", "7 // two", "// 2", "let a = [\n// 3\n]", "7 / 2"] {
        assert_eq!(super::note(fine), None, "{fine}");
    }
}

#[test]
fn what_is_right_here_is_not_taken_for_python() {
    for (code, part) in [
        ("let a = 1; let b = a +* 2;", ""),
        ("let x = ;", ""),
        ("foo bar", "missing"),
        ("let s = \"a\" \"b\"", "missing"),
    ] {
        let fault = Session::new(Host::silent()).eval(code).expect_err(code);
        assert!(fault.hint.as_deref().is_none_or(|hint| !hint.starts_with("write")), "{code}: {fault}");
        assert!(fault.message.contains(part), "{code}: {fault}");
    }
}
