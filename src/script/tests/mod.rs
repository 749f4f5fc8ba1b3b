//! Tests of sessions through the public interface.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

mod completion;
mod faults;
mod forms;
mod missing_keys;
mod surface;

use super::*;
use crate::interrupt::Interrupt;
use crate::progress::Progress;

fn session() -> Session {
    Session::new(Host::silent())
}

/// Runs cells and gives the text of the last one's value.
fn value(session: &mut Session, cells: &[&str]) -> String {
    let mut last = None;
    for cell in cells {
        last = session.eval(cell).unwrap_or_else(|fault| panic!("{cell}: {fault}"));
    }
    last.map_or_else(|| "()".into(), |bundle| bundle.plain().to_string())
}

fn run(cells: &[&str]) -> String {
    value(&mut session(), cells)
}

fn fault(cells: &[&str]) -> CellError {
    let mut session = session();
    let (last, before) = cells.split_last().expect("there is a cell");
    value(&mut session, before);
    session.eval(last).expect_err("it is a mistake")
}

/// A session that records its printed output.
fn printing() -> (Session, Arc<Mutex<Vec<String>>>) {
    let printed = Arc::new(Mutex::new(Vec::new()));
    let sink = printed.clone();
    let output: OutputHook = Arc::new(move |output| {
        let text = match output {
            Output::Text(text) | Output::Warning(text) => text,
            Output::Display { bundle, .. } | Output::Update { bundle, .. } => format!("<{}>", bundle.plain()),
            Output::Clear { .. } => String::new(),
        };
        sink.lock().expect("no panic holds it").push(text);
    });
    (Session::new(Host { output, ..Host::silent() }), printed)
}

#[test]
fn variables_and_functions_live_on() {
    assert_eq!(run(&["let x = 2;", "fn twice(n) { n * 2 }", "twice(x)"]), "4");
    assert_eq!(run(&["fn f() { 1 }", "fn f() { 2 }", "f()"]), "2");
    assert_eq!(run(&["let n = 1; let f = |x| n += x;", "f.call(4); f.call(5)", "n"]), "10");
    assert_eq!(run(&["fn add(x) { x + 1 }", "let h = add;", "[1, 2].map(h)"]), "[2, 3]");
}

#[test]
fn functions_read_the_variables_of_the_session() {
    assert_eq!(run(&["let lr = 0.1;", "fn f() { lr }", "f()"]), "0.1");
    assert_eq!(run(&["let lr = 0.1; fn f() { lr } f()"]), "0.1");
    assert_eq!(run(&["fn f() { lr } let lr = 1; f()"]), "1");
    assert_eq!(run(&["let lr = 1; fn f() { lr }", "lr = 2; f()"]), "2");
    assert_eq!(run(&["let lr = 1; fn f() { lr }", "let lr = 3; f()"]), "3");
    assert_eq!(run(&["let lr = 1; fn f() { lr }", "let lr = 3;", "f()"]), "3");
    assert_eq!(run(&["const K = 5; fn f() { K } f()"]), "5");
    assert_eq!(run(&["const K = 5;", "fn f() { K }", "f()"]), "5");
    assert_eq!(run(&["let a = [1, 2]; fn f(a) { a[0] } f([7])"]), "7");
    assert_eq!(run(&["let a = 1; fn f() { let g = |x| x + a; g.call(1) } f()"]), "2");
    assert_eq!(run(&["let a = 1; fn f() { g() } fn g() { a } f()"]), "1");
}

#[test]
fn functions_see_assignments_inside_a_loop() {
    let code = "let lr = 0; let seen = []; fn f() { lr } for i in 0..3 { lr = i; seen.push(f()); } seen";
    assert_eq!(run(&[code]), "[0, 1, 2]");
    assert_eq!(
        run(&["let lr = 0; fn f() { lr }", "let seen = []; for i in 0..3 { lr += 2; seen.push(f()); } seen"]),
        "[2, 4, 6]"
    );
}

#[test]
fn functions_do_not_change_the_variables_of_the_session() {
    let fault = fault(&["let n = 1;", "fn f() {\n  n = 2\n}", "f()"]);
    assert!(fault.message.contains("'n'"), "{fault}");
    assert_eq!(fault.place, Some((2, 3, "  n = 2".into())), "{fault}");
    assert_eq!(fault.source.as_deref(), Some("cell 2"));
    assert_eq!(fault.calls, ["f (cell 2), called at line 1: f()"]);
    assert!(fault.hint.is_some_and(|h| h.contains("return")));
}

#[test]
fn a_variable_defined_anew_frees_the_old_value() {
    let mut session = session();
    value(&mut session, &["let c = chords(\"C\");"]);
    // Redefined variables are dropped, so that the old handle is freed.
    value(&mut session, &["let c = 1; let d = 2; let c = 3;", "let c = 4;"]);
    let names: Vec<String> = session.variables().into_iter().map(|v| v.name).collect();
    assert_eq!(names, ["d", "c"]);
    assert_eq!(session.scope.len(), 3, "args, d, c");
}

#[test]
fn the_last_value_is_an_underscore() {
    assert_eq!(run(&["2 + 3", "_ * 2"]), "10");
    assert_eq!(run(&["2;", "`${_}!`"]), "\"2!\"");
    assert_eq!(run(&["7", "switch _ { 1 => \"one\", _ => \"other\" }"]), "\"other\"");
    assert_eq!(run(&["7", "fn f() { _ + 1 }", "f()"]), "8");
    assert_eq!(run(&["7", "let x = 1;", "_"]), "7");
}

#[test]
fn a_semicolon_hides_the_value() {
    for hidden in ["1;", "1; // done", "let x = 1;", "()", ""] {
        assert_eq!(run(&[hidden]), "()", "{hidden}");
    }
    assert_eq!(run(&["1 // done;"]), "1");
}

#[test]
fn imports_and_constants_outlive_the_cell() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("m.rhai");
    std::fs::write(&path, "fn triple(x) { x * 3 }").expect("it can be written");
    let module = path.with_extension("");
    let import = format!("import {:?} as m;", module.display().to_string());
    assert_eq!(run(&[&import, "m::triple(2)"]), "6");
    assert_eq!(run(&["const K = 4;", "fn f() { global::K } f()"]), "4");
}

#[test]
fn what_stood_before_a_fault_stays() {
    let mut session = session();
    let fault = session.eval("let a = 1;\nlet b = a + nothing;\nlet c = 2;").expect_err("nothing is not a variable");
    assert_eq!(fault.place, Some((2, 13, "let b = a + nothing;".into())));
    assert_eq!(fault.name, "NameError");
    assert_eq!(value(&mut session, &["a"]), "1");
    assert!(session.eval("c").is_err());
    assert_eq!(session.cells(), ["a"]);
}

#[test]
fn a_panic_is_a_fault_and_the_session_goes_on() {
    let mut session = session();
    session.engine.register_fn("explode", || -> i64 { panic!("boom") });
    value(&mut session, &["let a = 1;"]);
    let fault = session.eval("for i in 0..3 { explode() }").expect_err("it panics");
    assert_eq!((fault.name.as_str(), fault.message.as_str()), ("Panic", "boom"));
    assert_eq!(value(&mut session, &["a += 1; a"]), "2");
    assert!(session.eval("i").is_err(), "the variable of the loop is gone");
}

#[test]
fn a_stop_ends_a_loop_and_no_script_catches_it() {
    let interrupt = Interrupt::new();
    let progress = Progress::new(Arc::new(Nobody), interrupt.clone());
    let mut session = Session::new(Host { progress, ..Host::silent() });
    for code in
        ["let n = 1; loop { try { n += 1 } catch { } }", "sleep(60)", "sleep(60.5)", "try { sleep(60) } catch { }"]
    {
        let flag = interrupt.clone();
        let stopper = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(80));
            flag.trigger();
        });
        let begun = Instant::now();
        let fault = session.eval(code).expect_err("it was stopped");
        assert!(fault.interrupted && fault.name == "Interrupted", "{fault}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{code}");
        stopper.join().expect("it does not panic");
    }
    assert_eq!(value(&mut session, &["n > 1"]), "true");
}

struct Nobody;

impl crate::progress::ProgressSink for Nobody {
    fn show(&self, _: &crate::progress::Snapshot) {}
}

#[test]
fn a_script_ends_with_the_code_it_asks_for() {
    let mut session = session();
    assert_eq!(session.eval("let a = 1; exit(3); a = 2").ok(), Some(None));
    assert_eq!(session.take_exit(), Some(3));
    assert_eq!(session.take_exit(), None);
    assert_eq!(value(&mut session, &["a"]), "1");
    assert_eq!(session.eval("fn f() { exit() } f(); 5").ok(), Some(None));
    assert_eq!(session.take_exit(), Some(0));
    assert!(session.eval("exit(300)").is_err());
    assert_eq!(value(&mut session, &["if true { return 4; } 5"]), "4");
}

#[test]
fn arguments_are_an_array() {
    let mut session = session();
    assert_eq!(value(&mut session, &["args"]), "[]");
    session.set_args(&["a b".into(), "c".into()]);
    assert_eq!(value(&mut session, &["args.len", "args[0]"]), "\"a b\"");
    assert_eq!(value(&mut session, &["fn first() { args[0] } first()"]), "\"a b\"");
}

#[test]
fn thrown_text_is_the_message() {
    let fault = fault(&["fn check(ok, what) { if !ok { throw \"failed: \" + what } }", "check(false, \"it adds up\")"]);
    assert_eq!(fault.message, "failed: it adds up");
    assert_eq!(fault.calls, ["check (cell 1), called at line 1: check(false, \"it adds up\")"]);
    assert_eq!(run(&["let r = 0; try { throw \"no\" } catch (e) { r = `${e}` } r"]), "\"no\"");
}

#[test]
fn what_is_caught_has_the_message_and_the_hint() {
    let text = run(&["let r = \"\"; try { config(\"no/such.yaml\") } catch (e) { r = `${e}` } r"]);
    assert!(text.contains("no/such.yaml"), "{text}");
    let text = run(&["let r = 0; try { sleep(-1) } catch (e) { r = e.message } r"]);
    assert_eq!(text, "\"sleep takes seconds from 0 up, not -1\"");
}

#[test]
fn output_goes_to_the_host() {
    let (mut session, printed) = printing();
    value(&mut session, &["print(1); print(#{a: 1}); print(); display([1]); debug(2)"]);
    let printed = printed.lock().expect("no panic holds it").clone();
    assert_eq!(printed[0], "1\n");
    assert_eq!(printed[3], "<[1]>");
    assert_eq!(printed.len(), 5, "{printed:?}");
}

#[test]
fn a_sort_ends_with_its_function_or_with_a_stop() {
    let mut session = session();
    assert_eq!(value(&mut session, &["let a = [3, 1, 2]; a.sort(|x, y| y - x); a"]), "[3, 2, 1]");
    assert_eq!(value(&mut session, &["let a = [0.5, 0.1]; a.sort(|x, y| x - y); a"]), "[0.1, 0.5]");
    assert_eq!(value(&mut session, &["let a = [2, 1]; a.sort_by(|x, y| x < y); a"]), "[1, 2]");
    assert!(fault(&["let a = [3, 1]; a.sort(|x, y| x.nope)"]).message.contains("nope"));
    assert!(fault(&["let a = [3, 1]; a.sort(|x, y| \"\")"]).message.contains("must give a number"));
    let interrupt = session.host().progress.interrupt().clone();
    value(&mut session, &["let long = []; for i in 0..100000 { long.push(i * 7919 % 100003) } 1"]);
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        interrupt.trigger();
        std::time::Instant::now()
    });
    let fault = session.eval("long.sort(|x, y| x - y)").expect_err("it takes seconds");
    let late = stopper.join().expect("it stopped").elapsed();
    assert!(fault.interrupted, "{fault}");
    assert!(late.as_millis() < 200, "{late:?}");
}

#[test]
fn input_asks_the_host() {
    let input: InputHook = Arc::new(|prompt, hidden| Ok(format!("{prompt}yes{}", if hidden { "!" } else { "" })));
    let mut session = Session::new(Host { input, ..Host::silent() });
    assert_eq!(value(&mut session, &["input(\"ok? \")"]), "\"ok? yes\"");
    assert_eq!(value(&mut session, &["input(\"ok? \", #{ password: true })"]), "\"ok? yes!\"");
    assert!(fault(&["input(\"?\", #{ pasword: true })"]).to_string().contains("password"));
    assert!(fault(&["input(\"ok? \")"]).message.contains("nobody"));
}

#[test]
fn variables_are_listed() {
    let text = run(&["let lr = 0.1; let name = \"a\"; vars()"]);
    assert!(text.contains("lr") && text.contains("float") && text.contains("0.1"), "{text}");
    let mut session = session();
    value(&mut session, &["let b = [1, 2]; let a = 1;", "3"]);
    let names: Vec<(String, String)> = session.variables().into_iter().map(|v| (v.name, v.type_name)).collect();
    assert_eq!(names, [("b".into(), "array".into()), ("a".into(), "int".into())]);
}

#[test]
fn a_reset_forgets_all() {
    let mut session = session();
    value(&mut session, &["let a = 1; fn f() { a }", "f()"]);
    session.reset();
    assert!(session.variables().is_empty() && session.cells().is_empty());
    assert!(session.eval("a").is_err() && session.eval("f()").is_err());
    assert_eq!(value(&mut session, &["args"]), "[]");
}

#[test]
fn deep_recursion_is_a_fault_not_a_crash() {
    let depth = |n: u32| {
        on_big_stack(|| run(&["fn down(n) { if n == 0 { 0 } else { 1 + down(n - 1) } }", &format!("down({n})")]))
    };
    assert_eq!(depth(150), "150");
}

#[test]
fn a_script_file_is_named_in_its_faults() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("a.rhai");
    std::fs::write(&path, "#!/usr/bin/env etude\nlet x = 1;\nx.foo()").expect("it can be written");
    let fault = session().run(&path).expect_err("there is no foo");
    assert_eq!(fault.place.as_ref().map(|p| p.0), Some(3));
    assert!(fault.source.is_some_and(|s| s.ends_with("a.rhai")));
    assert!(session().run(&folder.path().join("b.rhai")).is_err());
}
