//! Tests of the adapter without sockets: output, values and errors of cells.

use etude_kernel::{Completeness, Interpreter, Outbox, Output, Recorder, Stdin};

use super::Notebook;
use crate::interrupt::Interrupt;

fn notebook() -> (Notebook, Recorder) {
    let (outbox, seen) = Outbox::recorder();
    (Notebook::new(outbox, Stdin::closed(), Interrupt::new()), seen)
}

#[test]
fn code_and_commands_share_a_cell() {
    let (mut notebook, seen) = notebook();
    let value = notebook.execute("let a = 6;\n:vars\n?midi\nprint(a);\na * 7").expect("it runs").expect("a value");
    assert_eq!(value.plain(), "42");
    let seen = seen.take();
    assert!(matches!(&seen[0], Output::Stdout(text) if text.starts_with("name") && text.ends_with("6\n")), "{seen:?}");
    let Output::Page(page) = &seen[1] else { panic!("{seen:?}") };
    assert!(page.plain().starts_with("midi(path: string) -> Score"));
    assert!(page.forms().contains_key("text/markdown"));
    assert_eq!(seen[2], Output::Stdout("6\n".into()));
}

#[test]
fn a_fault_shows_its_line_and_caret() {
    let (mut notebook, _) = notebook();
    let fault = notebook.execute(":pwd\nlet a = 1;\nlet b = aa + 1;").expect_err("there is no aa");
    assert!(fault.message.contains("aa"), "{fault:?}");
    let text = fault.traceback.join("\n");
    assert!(text.contains("line 3") && text.contains("let b = aa + 1;") && text.contains('^'), "{text}");
    assert!(text.contains("\u{1b}["), "colours");
    assert_eq!(notebook.execute("a").expect("it stayed").expect("a value").plain(), "1");
}

#[test]
fn an_expression_is_evaluated_without_a_trace() {
    let (mut notebook, _) = notebook();
    notebook.execute("let a = 2; a").expect("it runs");
    assert_eq!(notebook.evaluate("a + 1;").expect("a value").plain(), "3");
    assert!(notebook.evaluate("nope").is_err());
    assert_eq!(notebook.execute("_").expect("it runs").expect("a value").plain(), "2", "_ is the last cell's value");
}

#[test]
fn leaving_is_asked_of_the_front_end() {
    let (mut notebook, seen) = notebook();
    for cell in [":quit\nprint(1)", "exit(3); print(1)", "exit();\n:vars"] {
        notebook.execute(cell).expect("no fault");
        assert_eq!(seen.take(), [Output::Leave], "{cell}");
    }
}

#[test]
fn input_without_anybody_to_ask_is_a_fault_with_a_hint() {
    let (mut notebook, _) = notebook();
    let fault = notebook.execute("input(\"name? \")").expect_err("nobody answers");
    assert!(fault.message.contains("takes no input") && fault.message.contains("hint"), "{fault:?}");
}

#[test]
fn an_assistant_knows_the_cell_that_runs() {
    let (mut notebook, _) = notebook();
    notebook.execute("let s = sampler();").expect("it runs");
    let assistant = notebook.assistant();
    let offered = |code: &str| -> Vec<String> {
        assistant.complete(code, code.len()).items.into_iter().map(|item| item.text).collect()
    };
    assert_eq!(offered("s.temp"), ["temperature"]);
    assert_eq!(offered("let x = 1;\n:var"), ["vars"]);
    assert!(offered("t.").is_empty());
    notebook.running.set("let t = sampler(); t.seed = 1; loop { }");
    assert_eq!(offered("t.temp"), ["temperature"]);
    assert!(assistant.inspect("t.temperature", 6).is_some_and(|page| page.plain().contains("divided")));
    assert_eq!(assistant.completeness("if x {"), Completeness::Incomplete { indent: "    ".into() });
    assert_eq!(assistant.completeness("x;\n:vars"), Completeness::Complete);
}
