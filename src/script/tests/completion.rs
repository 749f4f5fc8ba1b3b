//! Tests of completion, documentation at the cursor, and completeness.

use proptest::prelude::*;

use super::{session, value};
use crate::script::{Completeness, Session};

/// The texts offered at the end of `code`.
fn offered(session: &Session, code: &str) -> Vec<String> {
    session.symbols().complete(code, code.len()).items.into_iter().map(|item| item.text).collect()
}

fn offers(session: &Session, code: &str, text: &str) -> bool {
    offered(session, code).iter().any(|t| t == text)
}

#[test]
fn names_are_completed() {
    let mut session = session();
    value(&mut session, &["let sampling = 1; fn sampled(x) { x }"]);
    assert_eq!(offered(&session, "samp"), ["sampled", "sampler", "sampling"]);
    let found = session.symbols().complete("1 + samp", 8);
    assert_eq!(found.start, 4);
    assert_eq!(found.items[0].kind, "function");
    assert_eq!(found.items[0].doc, "sampled(x)");
    assert!(offers(&session, "let x = dat", "dataset"));
    assert!(offers(&session, "fn g(x) { let inner = 1; inn", "inner"), "what the text itself defines");
    assert!(offers(&session, "wh", "while"));
    assert!(offers(&session, "CHO", "chords"), "when nothing fits, case is ignored");
    assert!(offered(&session, "let sam").is_empty(), "a new name is the user's");
    assert!(offered(&session, "// sam").is_empty() && offered(&session, "/* sam").is_empty());
    assert!(offered(&session, "2e").is_empty());
}

#[test]
fn members_are_those_of_the_value_s_type() {
    let mut session = session();
    value(&mut session, &["let s = sampler(); let list = [s]; let m = #{ inner: #{ deep: s } };"]);
    assert_eq!(offered(&session, "s.temp"), ["temperature"]);
    assert_eq!(offered(&session, "s.top_"), ["top_k", "top_p"]);
    assert!(offers(&session, "list[0].", "temperature"), "through an array");
    assert!(offers(&session, "list.", "push") && offers(&session, "list.le", "len"), "arrays have methods");
    assert!(!offers(&session, "list.", "temperature"));
    assert_eq!(offered(&session, "m.inn"), ["inner"], "keys of a map");
    assert!(offers(&session, "m.inner.deep.", "seed"), "and what they hold");
    assert!(offers(&session, "\"a\".", "split") && offers(&session, "`a`.", "split"), "texts");
    assert!(offers(&session, "1.5.", "round"));
    assert!(offered(&session, "nothing.").is_empty());
}

#[test]
fn chains_are_followed_by_what_members_give() {
    let mut session = session();
    value(&mut session, &["let tok = tokenizer(\"performance\");"]);
    assert!(offers(&session, "tok.decode([1, 2]).", "transpose"), "a method's result");
    assert!(offers(&session, "tok.decode(f(\"a)\", [1])).chords()[0].", "quality"), "and on");
    assert!(offers(&session, "chords(\"C\").score().", "duration"), "a function's result");
    assert!(offers(&session, "(chords(\"C\")).", "bars"), "in parentheses");
    assert!(offers(&session, "let d = dataset(\"x\", tok); d.train.", "batches"), "a variable of the same text");
    assert!(offers(&session, "let d = dataset(\"x\"); for b in d.train.batches(4) { b.", "labels"), "of a loop");
    assert!(offers(&session, "for c in chords(\"C\") { print(c.", "root"));
    assert!(offered(&session, "let x = x; x.").is_empty(), "no end of looking");
}

#[test]
fn keys_of_options_are_completed() {
    let session = session();
    assert_eq!(offered(&session, "sampler(#{ te"), ["temperature"]);
    assert!(offers(&session, "sampler(#{ temperature: 1, top", "top_k"));
    assert!(!offers(&session, "sampler(#{ temperature: 1, te", "temperature"), "once is enough");
    assert!(offers(&session, "dataset(\"a\", tok, #{ ", "max_seq_len"));
    assert!(offers(&session, "dataset(\"a\", tok, #{ augment: #{ tr", "transpose"));
    assert!(offers(&session, "load_model(\"base\").qlora(#{ lora_a", "lora_alpha"));
    assert!(offers(&session, "net.generate(s, #{ ch", "chords"));
    assert!(!offers(&session, "sampler(#{ seed: te", "temperature"), "a value is not a key");
    assert!(offers(&session, "sampler(#{ seed: ch", "chords"), "but any expression");
}

#[test]
fn keys_of_what_members_give_are_known() {
    let mut session = session();
    value(&mut session, &["let song = chords(\"C G\").score(); let t = tokenizer(\"remi\");"]);
    assert_eq!(offered(&session, "song.notes[0].pi"), ["pitch"]);
    assert!(offers(&session, "for n in song.notes { print(n.", "velocity"));
    assert!(offers(&session, "t.decode([]).tracks[0].", "program"));
    // The keys are those that the values have.
    for (code, path) in [("song.notes[0].keys()", "song.notes[0]."), ("song.tracks[0].keys()", "song.tracks[0].")] {
        let keys = value(&mut session, &[code]);
        for key in keys.trim_matches(['[', ']']).split(", ").map(|key| key.trim_matches('"')) {
            assert!(offers(&session, path, key), "{path}{key}");
        }
    }
}

#[test]
fn nothing_is_offered_that_does_not_exist() {
    let mut session = session();
    let names: Vec<_> =
        session.symbols().complete("", 0).items.into_iter().filter(|item| item.kind == "function").collect();
    assert!(names.len() > 80, "{}", names.len());
    for item in names {
        let known = session.symbols().help(&item.text).is_some();
        assert!(known, "{} has no help", item.text);
        let fault = session.eval(&format!("{}(#{{}}, #{{}}, #{{}}, #{{}}, #{{}}, #{{}}, #{{}})", item.text));
        let message = fault.map_or_else(|fault| fault.message, |_| String::new());
        assert!(!message.contains("there is no variable"), "{}: {message}", item.text);
    }
}

#[test]
fn help_offers_types_members_and_words() {
    let session = session();
    let asked = |line: &str| -> Vec<String> {
        crate::script::command::complete(&session.symbols(), line, line.len())
            .map_or_else(Vec::new, |found| found.items.into_iter().map(|item| item.text).collect())
    };
    assert!(asked("?Sco").contains(&"Score".to_string()), "{:?}", asked("?Sco"));
    assert_eq!(asked("?Score.trans"), ["Score.transpose"]);
    assert!(asked("?arr").contains(&"array".to_string()) && asked(":help pyth").contains(&"python".to_string()));
    assert_eq!(asked("!ls src/scri"), ["script/"]);
    assert_eq!(asked("!cat Cargo.to"), ["Cargo.toml"]);
}

#[test]
fn the_language_has_help() {
    let session = session();
    let help = |name: &str| session.symbols().help(name).map(|b| b.plain().to_string()).unwrap_or_default();
    for (name, part) in [
        ("array", "sorted"),
        ("string", "to_upper"),
        ("map", "get(key"),
        ("for", "enumerate"),
        ("let", "(a, b)"),
        ("python", "1 / 3.0"),
        ("switch", "=>"),
        ("array.sum", "sum of its numbers"),
        ("array.push", "push"),
    ] {
        assert!(help(name).contains(part), "{name}: {}", help(name));
    }
}

#[test]
fn strings_offer_names_and_files() {
    let folder = tempfile::tempdir().expect("there is room");
    std::fs::write(folder.path().join("a b.mid"), "").expect("it can be written");
    std::fs::create_dir(folder.path().join("sub")).expect("it can be made");
    let session = session();
    let code = format!("midi(\"{}/", folder.path().display());
    assert_eq!(offered(&session, &code), ["a b.mid", "sub/"]);
    assert_eq!(session.symbols().complete(&code, code.len()).start, code.len());
    assert_eq!(offered(&session, &format!("{code}a")), ["a b.mid"]);
    assert_eq!(offered(&session, "tokenizer(\"rem"), ["remi"]);
    assert_eq!(offered(&session, "schedule(\"co"), ["constant", "cosine", "cosine_with_restarts"]);
    assert_eq!(offered(&session, "help(\"Score.tem"), ["Score.tempo"]);
    assert!(offered(&session, "midi(\"no/such/folder/").is_empty());
}

#[test]
fn what_stands_at_the_cursor_is_explained() {
    let mut session = session();
    value(&mut session, &["let s = sampler(#{ seed: 4 });", "/// Adds one.\nfn more(x) { x + 1 }"]);
    let explained =
        |code: &str, at: usize| session.symbols().inspect(code, at).map(|b| b.plain().to_string()).unwrap_or_default();
    assert!(explained("midi(\"a\")", 2).starts_with("midi(path: string) -> Score"));
    assert!(explained("s.temperature = 1", 6).contains("Logits are divided by it"));
    assert!(explained("s", 1).contains("Sampler: temperature 1"));
    assert!(explained("sampler(#{ seed: 1 }, ", 22).contains("repetition_penalty"), "inside the parentheses");
    assert!(explained("sampler(#{ temperature: 1 })", 14).starts_with("temperature\n    "), "an option key");
    assert!(
        explained("net.generate(s, #{ chords: 1 })", 19).starts_with("chords\n"),
        "an option, not the function of that name"
    );
    assert!(explained("more(1)", 1).contains("Adds one."));
    assert!(explained("[1].push(2)", 6).contains("push"));
    assert_eq!(explained("nothing_such", 3), "");
    assert!(session.symbols().help("Score.transpose").is_some_and(|h| h.plain().contains("semitones")));
    assert!(session.symbols().help("Score").is_some_and(|h| h.plain().contains("piece of music")));
    assert!(session.symbols().help("s.top_k").is_some() && session.symbols().help("s").is_some());
    assert!(session.symbols().help("print").is_some() && session.symbols().help("sqrt").is_some());
    assert_eq!(session.symbols().help("no_such_name"), None);
    assert_eq!(session.symbols().signature("midi").as_deref(), Some("midi(path: string) -> Score"));
    assert_eq!(session.symbols().signature("more").as_deref(), Some("more(x)"));
    assert_eq!(session.symbols().signature("nothing"), None);
}

#[test]
fn a_text_is_whole_when_it_can_be_run() {
    let session = session();
    for code in ["1 + 1", "let x = 1;", "fn f() { 1 }", "", "// note", "switch _ { 1 => 2, _ => 3 }", "let _ = 1; _"] {
        assert_eq!(session.symbols().completeness(code), Completeness::Complete, "{code}");
    }
    for (code, indent) in [
        ("fn f() {", 4),
        ("f(1,", 4),
        ("let x = [1,\n  2", 4),
        ("let x = ", 0),
        ("/* open", 0),
        ("`open", 0),
        ("for i in 0..3 {\n  if i > 1 {", 8),
        ("sampler(#{\n", 8),
        ("if x", 0),
        ("1 +", 0),
        ("`a ${", 4),
    ] {
        assert_eq!(session.symbols().completeness(code), Completeness::Incomplete(indent), "{code}");
    }
    for code in ["let 5 = x", "1 + )", "fn 3() {}", "let s = \"open\nx", "}", "print(\"hi", "let s = 'open"] {
        assert_eq!(session.symbols().completeness(code), Completeness::Invalid, "{code}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_and_any_cursor_are_survived(
        code in "(let |for |in |s\\.|list\\[|#\\{|\\(|\\)|\\]|\\}|\"|`|\\$\\{|//|/\\*|\\*/|\n|, |: |sampler|help|[a-zé𝄞_0-9 .]){0,24}",
        cursor in 0usize..80,
    ) {
        thread_local!(static SESSION: Session = {
            let mut session = session();
            value(&mut session, &["let s = sampler(); let list = [s];"]);
            session
        });
        SESSION.with(|session| {
            let found = session.symbols().complete(&code, cursor);
            prop_assert!(found.start <= code.len() && code.is_char_boundary(found.start));
            prop_assert!(found.start <= cursor.max(1));
            let _ = session.symbols().inspect(&code, cursor);
            let _ = session.symbols().completeness(&code);
            let _ = session.symbols().help(&code);
            Ok(())
        })?;
    }
}
