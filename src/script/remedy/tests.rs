//! Every remedy offers code that runs.

use crate::script::{Host, Session};

/// What is typed, and the code that is offered for it.
const CASES: [(&str, &str); 193] = [
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
    ("nan", "0.0 / 0.0"),
    ("with open('README.md') as f:", "let text = read(\"README.md\")"),
    ("len()", "[1, 2].len"),
    ("isinstance(1, str)", "type_of(1) == \"string\""),
    ("println(\"x\")", "print(\"x\")"),
    ("printf(\"%d\", 3)", "print(\"%d\", 3)"),
    ("x := 5", "let x = 5"),
    ("let x := 5", "let x = 5"),
    ("let x == 5", "let x = 5"),
    ("let mut x = 5", "let x = 5"),
    ("const x: int = 5", "const x = 5"),
    ("a = b = 3", "let b = 3; let a = b"),
    ("let x = y = 3;", "let y = 3; let x = y"),
    ("let x = 5, y = 6", "let x = 5; let y = 6"),
    ("let xs = [1, 2]; let a, *b = xs", "let xs = [1, 2]; let a = xs[0]; let b = xs[1..]"),
    ("let x = 5; if x = 5 { 1 }", "let x = 5; if x == 5 { 1 }"),
    ("let x = 5; if x == 5 print(1)", "let x = 5; if x == 5 { print(1) }"),
    ("if (1 > 2) print(1); else print(2);", "if (1 > 2) { print(1) } else { print(2) }"),
    ("let x = 5; if x { 1 }", "let x = 5; if x != 0 { 1 }"),
    ("let xs = []; while xs { 1 }", "let xs = []; while xs.len > 0 { 1 }"),
    ("let xs = [1]; if !xs { 1 }", "let xs = [1]; if !(xs.len > 0) { 1 }"),
    ("while 1 { break }", "while true { break }"),
    ("for (int i = 0; i < 10; i++) { print(i); }", "for i in 0..10 { print(i); }"),
    ("for (let i = 0; i <= 9; i += 3) { print(i) }", "for i in range(0, 9 + 1, 3) { print(i) }"),
    ("for i in 3 { print(i) }", "for i in 0..3 { print(i) }"),
    ("let n = 3; for i in n { print(i) }", "let n = 3; for i in 0..n { print(i) }"),
    ("for i = 1, 3 do print(i) end", "for i in 1..=3 { print(i) }"),
    ("for x of [1] { print(x) }", "for x in [1] { print(x) }"),
    ("for (x in [1]) { print(x) }", "for x in [1] { print(x) }"),
    ("help midi", "help(\"midi\")"),
    ("help(for)", "help(\"for\")"),
    ("help(print)", "help(\"print\")"),
    ("?midi", "help(\"midi\")"),
    ("typeof 5", "type_of(5)"),
    ("type(5)", "type_of(5)"),
    ("let xs = [1, 2, 3]; xs[::2]", "let xs = [1, 2, 3]; range(0, xs.len, 2).map(|i| xs[i])"),
    ("let xs = [1, 2, 3]; xs[1:3:2]", "let xs = [1, 2, 3]; range(1, 3, 2).map(|i| xs[i])"),
    ("let xs = [[1, 2]]; xs[0, 1]", "let xs = [[1, 2]]; xs[0][1]"),
    ("let xs = [1, 2]; xs.0", "let xs = [1, 2]; xs[0]"),
    ("let xs = [1, 2]; xs.sort(reverse=True)", "let xs = [1, 2]; xs.sorted().reversed()"),
    ("let xs = [1, 2]; sorted(xs, key=lambda x: -x)", "let xs = [1, 2]; xs.sorted(|x| -x)"),
    ("max([1, 2], key=lambda x: -x)", "[1, 2].sorted(|x| -x)[-1]"),
    ("max(1, 2, 3)", "[1, 2, 3].max()"),
    ("print(\"a\", end=\"\")", "print(\"a\")"),
    ("dict(a=1)", "#{ a: 1 }"),
    ("#{a = 1}", "#{a: 1}"),
    ("fn f(a, b) { a } f(b=1, a=2)", "fn f(a, b) { a } f(1, 2)"),
    ("let xs = [1, 2]; let m = {x: 1 for x in xs}", "let xs = [1, 2]; let m = #{}; for x in xs { m[`${x}`] = 1 }"),
    ("{x for x in [1, 1]}", "[1, 1].unique()"),
    ("sum(x * 2 for x in [1, 2])", "sum([1, 2].map(|x| x * 2))"),
    ("any(x > 2 for x in [1, 2])", "[1, 2].some(|x| x > 2)"),
    ("let s = {1, 2}", "let s = [1, 2].unique()"),
    ("let xs = [1]; print(*xs)", "let xs = [1]; print(xs.join(\" \"))"),
    ("let xs = [1]; not 2 in xs", "let xs = [1]; !(2 in xs)"),
    ("not 1 == 2 and true", "!(1 == 2) && true"),
    ("let xs = [1]; 2 not in xs", "let xs = [1]; 2 !in xs"),
    ("np.mean([1, 2])", "[1, 2].mean()"),
    ("math.sqrt(2)", "sqrt(2)"),
    ("let r = math.pi * 2", "PI()"),
    ("import numpy", "help(\"python\")"),
    ("import midi", "help(\"python\")"),
    ("os.listdir(\".\")", "list_folder(\".\")"),
    ("os.path.exists('a')", "exists(\"a\")"),
    ("plt.plot([1, 2])", "plot([1, 2])"),
    ("torch.manual_seed(0)", "seed(0)"),
    ("random.random()", "random()"),
    ("np.random.randint(1, 6)", "randint(1, 6)"),
    ("time.sleep(0)", "sleep(0)"),
    ("sys.argv", "args"),
    ("\"%d of %.1f\" % (3, 2.5)", "`${3} of ${format(2.5, \".1f\")}`"),
    ("\"%d\" % 3", "`${3}`"),
    ("\"{} is {:.1f}\".format(1, 2.5)", "`${1} is ${format(2.5, \".1f\")}`"),
    ("\", \".join([\"x\", \"y\"])", "[\"x\", \"y\"].join(\", \")"),
    ("\"abc\".upper()", "\"abc\".to_upper()"),
    ("\"a b\".strip()", "\"a b\".trim()"),
    ("let xs = [3]; xs.append(4)", "xs.push(4)"),
    ("[1, 2].any(|x| x > 1)", "[1, 2].some(|x| x > 1)"),
    ("let m = #{ a: 1 }; m.has_key(\"a\")", "\"a\" in m"),
    ("[1, 2] / 2", "[1, 2].map(|x| x / 2)"),
    ("[1, 2] * [3, 4]", "[1, 2].zip([3, 4]).map(|pair| pair[0] * pair[1])"),
    ("2 ^ 0.5", "2 ** 0.5"),
    ("(1..5).map(|x| x)", "range(1, 5).map(|x| x)"),
    ("let f = x => x * 2", "let f = |x| x * 2"),
    ("let f = (a, b) => a + b", "let f = |a, b| a + b"),
    ("let f = (x) -> x * 2", "let f = |x| x * 2"),
    ("let f = function(x) { x }", "let f = |x| { x }"),
    ("let f = fn(x) { x }", "let f = |x| { x }"),
    ("fn f(x) = x * 2", "fn f(x) { x * 2 }"),
    ("fn f x { x }", "fn f(x) { x }"),
    ("fn f(x: int) -> int { x }", "fn f(x) { x }"),
    ("fn f(x=1) { x }", "fn f(x) { x }"),
    ("fn f(*args) { }", "fn f(args) { }"),
    ("5 =< 6", "5 <= 6"),
    ("5 => 6", "5 >= 6"),
    ("5 =! 6", "5 != 6"),
    ("7 div 2", "7 / 2"),
    ("7 mod 2", "7 % 2"),
    ("1,000", "1_000"),
    (".5 + 1", "0.5 + 1"),
    ("5.", "5.0"),
    ("5f", "5"),
    ("r\"\\d\"", "`\\d`"),
    ("b\"abc\"", "\"abc\""),
    ("let x = 5 # five", "let x = 5 // five"),
    ("1 + 1 # two", "1 + 1 // two"),
    (":vars", "vars()"),
    (":time 1 + 1", "time(|| { 1 + 1 })"),
    ("struct A { x }", "let thing = #{ name: \"a\" };"),
    ("try { 1 } except { 2 }", "try { 1 } catch (e) { 2 }"),
    ("assert(1 == 1)", "if !(1 == 1) { throw \"it does not hold\" }"),
    ("switch 5 { case 1: 2; default: 3 }", "switch 5 { 1 => 2, _ => 3 }"),
    ("match 5 { 1 => 2 }", "switch 5 { 1 => 2 }"),
    ("whoami", "shell(\"whoami\")"),
    ("if __name__ == \"__main__\": print(1)", "print(1)"),
    ("open(\"README.md\")", "read(\"README.md\")"),
    ("quit()", "exit()"),
    ("clear", "clear_output()"),
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
                // Where the line has run up to the mistake, its variables are there.
                if let Err(fault) = session.eval(code) {
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
fn what_means_something_else_is_noticed() {
    assert!(super::note("let z = 7 // 2").is_some() && super::note("f(x // 3);").is_some());
    for odd in ["let d = {}", "1 < 2 < 3", "if 0 <= x < 9 { }"] {
        assert!(super::note(odd).is_some(), "{odd}");
    }
    for fine in ["let d = #{}", "1 < 2 && 2 < 3", "fn f() {}", "let f = || {};"] {
        assert_eq!(super::note(fine), None, "{fine}");
    }
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
