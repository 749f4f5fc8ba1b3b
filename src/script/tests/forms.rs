//! The forms in which objects are shown: there, well-formed, bounded, the same each time; and displays that move.

use std::sync::{Arc, Mutex};

use resvg::usvg::roxmltree::Document;

use super::*;

const PNG: &[u8] = b"\x89PNG";

/// A tiny model over a tiny dataset, and a run of it.
const STUDIO: [&str; 4] = [
    "let song = midi(\"examples/midi/joplin_solace.mid\");",
    "let tok = tokenizer(\"performance\");",
    "let data = dataset([\"examples/midi/joplin_solace.mid\", \"examples/midi/joplin_bethena.mid\"], tok, #{ max_seq_len: 64, val: 0.5 });",
    "let net = model(#{ model_type: \"llama\", vocab_size: tok.vocab_size, hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 32, max_position_embeddings: 64 });",
];

fn studio(host: Host) -> Session {
    let mut session = Session::new(host);
    STUDIO.iter().for_each(|cell| drop(session.eval(cell).unwrap_or_else(|fault| panic!("{cell}: {fault}"))));
    session
}

fn shown(session: &mut Session, cell: &str) -> Bundle {
    session
        .eval(cell)
        .unwrap_or_else(|fault| panic!("{cell}: {fault}"))
        .unwrap_or_else(|| panic!("{cell} shows nothing"))
}

/// Parses markup; what is HTML and no XML is no part of ours.
fn well_formed(what: &str, markup: &str) {
    if let Err(error) = Document::parse(markup) {
        panic!("{what}: {error}\n{}", markup.chars().take(2000).collect::<String>());
    }
}

#[test]
fn every_object_has_forms_for_notebooks() {
    let mut session = studio(Host::silent());
    let (svg, html) = ("image/svg+xml", "text/html");
    let cases: [(&str, &[&str]); 16] = [
        ("song.slice(0, 20)", &[svg, html]),
        ("song.slice(0, 20).audio()", &["audio/mpeg", html]),
        ("song.slice(0, 20).plot()", &[svg, html]),
        ("chords(\"Cmaj7 Am7 | Dm7 G7b9/F | % | N.C.\")", &[svg, html]),
        ("tok", &[html]),
        ("data", &[html]),
        ("net", &[html]),
        ("net.qlora(#{ r: 2 })", &[html]),
        ("net.weights(\"model.embed_tokens.weight\")", &[svg, html]),
        ("evaluate(net, data.val)", &[html]),
        ("plot([1, 4, 9], #{ title: \"<a & b>\" })", &[svg, html]),
        ("song.notes", &[html]),
        ("#{ a: [1, \"<script>\"], b: #{ c: 2 } }", &[html]),
        ("let run = trainer(net, data, #{ max_steps: 3, batch_size: 2 }); run.fit(); run", &[]),
        ("run.history", &[svg, html]),
        ("[song, song]", &[html]),
    ];
    for (cell, kinds) in cases {
        let bundle = shown(&mut session, cell);
        for kind in kinds.iter().chain(&["text/plain"]) {
            assert!(bundle.forms.get(kind).is_some_and(|form| !form.is_empty()), "{cell} has no {kind}");
        }
        assert!(bundle.forms.values().map(String::len).sum::<usize>() < 2_000_000, "{cell} is too large");
        for kind in [svg, html] {
            bundle.forms.get(kind).into_iter().for_each(|form| well_formed(cell, form));
        }
        assert!(!bundle.forms.get(html).is_some_and(|page| page.contains("<script")), "{cell} lets markup through");
    }
}

#[test]
fn forms_are_the_same_each_time() {
    for cell in ["song.slice(0, 15)", "song.plot()", "tok", "data", "chords(\"C G\")"] {
        let of = || shown(&mut studio(Host::silent()), cell);
        assert_eq!(of(), of(), "{cell}");
    }
}

#[test]
fn a_long_piece_stays_small_and_says_what_is_missing() {
    let mut session = studio(Host::silent());
    let bundle = shown(&mut session, "let long = song; while long.duration < 800 { long += song; } long");
    let page = &bundle.forms["text/html"];
    assert!(bundle.forms.values().map(String::len).sum::<usize>() < 2_000_000);
    assert!(page.contains("the player ends at 3:00") && page.contains("save("), "{}", &page[page.len() - 400..]);
    let audio = shown(&mut session, "long.audio()");
    assert!(audio.forms.values().map(String::len).sum::<usize>() < 2_000_000);
}

#[test]
fn an_empty_score_is_shown_and_heard() {
    let mut session = studio(Host::silent());
    assert!(!shown(&mut session, "tok.decode([])").forms.contains_key("image/svg+xml"));
    assert!(shown(&mut session, "tok.decode([]).audio()").forms.contains_key("text/html"));
    assert!(session.eval("tok.decode([]).plot().save(\"x.png\")").is_err());
}

#[test]
fn a_terminal_is_given_no_pages() {
    let mut session = studio(Host::silent());
    session.set_rich(false);
    for cell in ["song", "song.audio()", "data", "[1, 2]"] {
        let forms = shown(&mut session, cell).forms;
        assert!(forms.keys().all(|kind| ["text/plain", "image/svg+xml"].contains(kind)), "{cell}: {:?}", forms.keys());
    }
}

#[test]
fn pictures_and_sound_are_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = studio(Host::silent());
    let path = |name: &str| folder.path().join(name);
    for (code, name) in [
        ("song.plot()", "roll.png"),
        ("plot([1, 2])", "line.png"),
        ("song.slice(0, 5).audio()", "x.wav"),
        ("song.slice(0, 5).audio()", "x.mp3"),
    ] {
        session.eval(&format!("{code}.save({:?})", path(name))).unwrap_or_else(|fault| panic!("{code}: {fault}"));
    }
    let bytes = |name: &str| std::fs::read(path(name)).expect("written");
    assert!(bytes("roll.png").starts_with(PNG) && bytes("line.png").starts_with(PNG));
    assert!(bytes("x.wav").starts_with(b"RIFF") && bytes("x.wav").len() > 5 * 44_100 * 4);
    assert!(bytes("x.mp3").len() < bytes("x.wav").len() / 5);
    let fault = session.eval("song.audio().save(\"x.ogg\")").expect_err("no ogg");
    assert_eq!(fault.hint.as_deref(), Some("save(\"x.mp3\")"));
    assert!(session.eval("song.audio(#{ soundfont: \"absent.sf2\" })").is_err());
    assert!(session.eval("song.audio(#{ seconds: -1 })").is_err());
}

/// A session that keeps what it displays.
fn displaying() -> (Session, Arc<Mutex<Vec<Output>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let sink = said.clone();
    let output: OutputHook = Arc::new(move |output| sink.lock().expect("no panic holds it").push(output));
    (studio(Host { output, ..Host::silent() }), said)
}

#[test]
fn a_run_is_one_panel_that_ends_with_its_last_state() {
    let (mut session, said) = displaying();
    session
        .eval(
            "let run = trainer(net, data, #{ max_steps: 5, batch_size: 2, eval_every: 5, eval_batches: 1 }); run.fit()",
        )
        .expect("it trains");
    let said = said.lock().expect("no panic holds it");
    let Some(Output::Display { id: Some(id), .. }) = said.first() else { panic!("no panel: {said:?}") };
    let updates: Vec<&Bundle> = said[1..]
        .iter()
        .map(|output| match output {
            Output::Update { bundle, id: other } if other == id => bundle,
            other => panic!("not the panel: {other:?}"),
        })
        .collect();
    let last = updates.last().expect("an update");
    assert!(last.plain().contains("trained") && last.plain().contains("5 of 5 steps"), "{}", last.plain());
    assert!(last.plain().contains("held out"));
    assert!(last.forms["text/html"].contains("learning rate"));
    well_formed("the panel", &last.forms["text/html"]);
}

#[test]
fn without_live_displays_there_is_no_panel() {
    let (mut session, said) = displaying();
    session.set_live(false);
    session.eval("trainer(net, data, #{ max_steps: 2, batch_size: 2 }).fit()").expect("it trains");
    assert!(said.lock().expect("no panic holds it").is_empty());
}

#[test]
fn a_display_is_updated_and_output_cleared() {
    let (mut session, said) = displaying();
    let last = session.eval("let d = display(1); d.update([2]); clear_output(true); clear_output(); display(3)");
    assert_eq!(last.expect("it runs"), None, "the handle is no result");
    let said = said.lock().expect("no panic holds it");
    let [
        Output::Display { bundle: first, id: Some(id) },
        Output::Update { bundle: second, id: same },
        Output::Clear { wait: true },
        Output::Clear { wait: false },
        Output::Display { id: Some(other), .. },
    ] = &said[..]
    else {
        panic!("{said:?}")
    };
    assert_eq!((first.plain(), second.plain()), ("1", "[2]"));
    assert!(id == same && id != other);
}
