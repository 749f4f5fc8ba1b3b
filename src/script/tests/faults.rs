//! Tests of error messages: text, place, calls, hint.

use super::{fault, printing, run, session, value};
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::script::{Host, Session, on_big_stack};

#[test]
fn mistakes_are_named_and_the_remedy_with_them() {
    for (code, message, hint) in [
        ("mdi(\"a\")", "there is no function mdi(string)", "midi"),
        ("let x = 1; y = x", "there is no variable 'y'", "let y = x"),
        ("seed(\"a\")", "seed(string) does not fit", "seed(n: int)"),
        ("fn f(a) { } f(1, 2)", "f takes 1 argument, not 2", ""),
        ("#{lr: 1}.ltr", "the map has no entry 'ltr'", "map[\"ltr\"] ?? 0"),
        ("[1, 2][5]", "the array has no item 5: it has 2 items", ""),
        ("midi + 1", "function + int has no meaning", "parentheses"),
        ("chords(\"C\").lenn", "Chords has no 'lenn'", "len"),
        ("1 / 0", "division by zero", ""),
        ("fn f() { f() } f()", "functions called each other more than 200 levels deep", "without end"),
        ("let x = (1 + ", "'(' is never closed", ""),
        ("let x = 1 +", "the code ends too soon", ""),
        ("let 5 = x", "the name of a variable must stand here", ""),
        ("let s = \"open", "a string has no end", "let s = \"open\""),
        ("const A = 1; A = 2", "constant", ""),
    ] {
        let fault = on_big_stack(|| fault(&[code]));
        assert!(fault.message.to_lowercase().contains(&message.to_lowercase()), "{code}: {fault}");
        assert!(fault.hint.clone().unwrap_or_default().contains(hint), "{code}: {fault}");
        assert!(fault.place.is_some(), "{code}: {fault}");
    }
}

#[test]
fn the_bracket_that_is_open_is_pointed_at() {
    for (code, bracket, place) in [
        ("if x > 3 {\n  print(1)", "{", (1, 10)),
        ("let a = [1, 2", "[", (1, 9)),
        ("f(1, g(2)", "(", (1, 2)),
        ("let m = #{ a: 1,\n", "#{", (1, 9)),
        ("fn f(x) {\n    if x > 3 {\n        print(1);\n}\nprint(f(1))", "{", (2, 14)),
        ("while true {\n    print(1)\n\nfn g() { 1 }", "{", (1, 12)),
    ] {
        let fault = fault(&[code]);
        assert_eq!(fault.message, format!("'{bracket}' is never closed"), "{code}: {fault}");
        assert_eq!(fault.place.as_ref().map(|p| (p.0, p.1)), Some(place), "{code}: {fault}");
    }
}

#[test]
fn each_call_is_told_with_its_line() {
    let mut session = session();
    value(&mut session, &["fn inner(x) {\n  x + nothing\n}", "fn outer(x) {\n  let y = 1;\n  inner(x + y)\n}"]);
    let fault = session.eval("let z = 1;\nouter(z)").expect_err("nothing is not a variable");
    assert_eq!((fault.source.as_deref(), fault.place.as_ref().map(|p| p.0)), (Some("cell 1"), Some(2)), "{fault}");
    assert_eq!(
        fault.calls,
        ["inner (cell 1), called at cell 2:3: inner(x + y)", "outer (cell 2), called at line 2: outer(z)"]
    );
    let deep = on_big_stack(|| fault_of("fn f(n) { if n == 0 { nothing } else { f(n - 1) } } f(20)").calls);
    assert!(deep.len() < 5 && deep[0].contains("times)"), "{deep:?}");
    let closure = fault_of("let f = |x| x.nope();\n[1].map(f)");
    assert!(closure.calls[0].starts_with("a closure") && closure.calls[0].contains("called at line 2"), "{closure}");
}

fn fault_of(code: &str) -> crate::script::CellError {
    fault(&[code])
}

#[test]
fn a_stop_names_its_line() {
    let interrupt = Interrupt::new();
    let progress = Progress::new(std::sync::Arc::new(super::Nobody), interrupt.clone());
    let mut session = Session::new(Host { progress, ..Host::silent() });
    let flag = interrupt.clone();
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(80));
        flag.trigger();
    });
    let fault = session.eval("let n = 0;\nloop {\n  n += 1\n}").expect_err("it was stopped");
    stopper.join().expect("it does not panic");
    let line = fault.place.as_ref().map(|p| p.0);
    assert!(fault.interrupted && line.is_some_and(|line| (2..=4).contains(&line)), "{fault:?}");
    assert!(fault.render(false).starts_with("interrupted\n"), "{fault}");
}

#[test]
fn places_are_those_of_the_typed_text() {
    let fault = fault(&["let a = [1, 2, 3];\nlet b = a[0..2] + nothing;"]);
    assert_eq!(fault.place, Some((2, 19, "let b = a[0..2] + nothing;".into())), "{fault}");
    let fault = super::fault(&["let f = |x| x; let y = f(1) + ;"]);
    assert_eq!(fault.place.as_ref().map(|p| p.1), Some(31), "{fault}");
}

#[test]
fn what_changes_a_copy_is_refused() {
    for code in [
        "song.notes[0].pitch = 61",
        "song.notes.push(1)",
        "song.notes[0].pitch += 1",
        "let all = [song]; all[0].notes[0] = 1",
    ] {
        let fault = fault(&["let song = chords(\"C\").score();", code]);
        assert!(fault.message.contains("Score.notes gives a copy"), "{code}: {fault}");
    }
    assert_eq!(run(&["let song = chords(\"C\").score(); let n = song.notes; n[0].pitch = 61; n[0].pitch"]), "61");
    assert_eq!(run(&["let m = #{ a: #{ b: [1] } }; m.a.b.push(2); m.a.b[0] = 5; m.a.b"]), "[5, 2]");
    let fault = fault(&["let song = chords(\"C\").score(); song.duration = 5"]);
    assert!(fault.message.contains("can be read but not set"), "{fault}");
}

#[test]
fn thrown_texts_and_wrong_flags_are_told_from_other_faults() {
    assert!(fault(&["throw \"name a folder\""]).usage);
    assert!(fault(&["flags([\"--no_such\", \"1\"], #{ a: 1 })"]).usage);
    assert!(!fault(&["midi(\"no/such.mid\")"]).usage && !fault(&["nothing"]).usage);
    let told = fault(&["flags([\"--sed\", \"1\"], #{ seed: 1 })"]).told();
    assert!(told.starts_with("error: ") && told.contains("seed") && !told.contains('│'), "{told}");
}

#[test]
fn functions_of_ours_are_values() {
    assert_eq!(run(&["type_of(midi)"]), "\"function\"");
    assert!(run(&["midi"]).starts_with("fn midi(path: string)"));
    assert!(run(&["help(midi)"]).starts_with("midi(path: string) -> Score"));
    assert!(run(&["help(sqrt)"]).contains("sqrt"));
    assert_eq!(run(&["fn midi(x) { x + 1 } [1].map(midi)"]), "[2]");
}

#[test]
fn values_are_printed_with_a_space_between() {
    let (mut session, printed) = printing();
    value(&mut session, &["print(1, \"a\"); print(()); print(1, 2.5, [3], ())"]);
    assert_eq!(*printed.lock().expect("no panic holds it"), ["1 a\n", "()\n", "1 2.5 [3] ()\n"]);
}

#[test]
fn modules_are_read_in_the_same_language() {
    let folder = tempfile::tempdir().expect("there is room");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write(
        "tools.rhai",
        "\u{feff}fn ends(xs) { let (a, b) = [xs[0..1], xs[-1..]]; a + b }\nfn bad(x) {\n  x + nothing\n}",
    );
    write("main.rhai", "import \"tools\" as t;\nprint(t::ends([1, 2, 3]));\nt::bad(1)");
    let fault = session_in(folder.path());
    assert!(fault.message.contains("nothing"), "{fault}");
    assert!(fault.calls.iter().any(|call| call.contains("bad")), "{fault}");
}

fn session_in(folder: &std::path::Path) -> crate::script::CellError {
    let mut session = session();
    session.run(&folder.join("main.rhai")).expect_err("bad is bad")
}
