//! Tests of display formats: present, well-formed, bounded, deterministic; and of updated displays.

use std::sync::{Arc, Mutex};

use resvg::usvg::roxmltree::Document;

use super::*;

const PNG: &[u8] = b"\x89PNG";

/// A tiny model over a tiny dataset, and a run of it.
const SETUP: [&str; 4] = [
    "let song = midi(\"examples/midi/joplin_solace.mid\");",
    "let tok = tokenizer(\"performance\");",
    "let data = dataset([\"examples/midi/joplin_solace.mid\", \"examples/midi/joplin_bethena.mid\"], tok, #{ max_seq_len: 64, val: 0.5 });",
    "let net = model(#{ model_type: \"llama\", vocab_size: tok.vocab_size, hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 32, max_position_embeddings: 64 });",
];

fn ctx(host: Host) -> Session {
    let mut session = Session::new(host);
    SETUP.iter().for_each(|cell| drop(session.eval(cell).unwrap_or_else(|fault| panic!("{cell}: {fault}"))));
    session
}

fn shown(session: &mut Session, cell: &str) -> Bundle {
    session
        .eval(cell)
        .unwrap_or_else(|fault| panic!("{cell}: {fault}"))
        .unwrap_or_else(|| panic!("{cell} shows nothing"))
}

/// Parses markup as XML: our HTML uses only what XML allows.
fn well_formed(what: &str, markup: &str) {
    if let Err(error) = Document::parse(markup) {
        panic!("{what}: {error}\n{}", markup.chars().take(2000).collect::<String>());
    }
}

#[test]
fn every_object_has_forms_for_notebooks() {
    let mut session = ctx(Host::silent());
    let (svg, png, html) = ("image/svg+xml", "image/png", "text/html");
    let cases: [(&str, &[&str]); 16] = [
        ("song.slice(0, 20)", &[svg, png]),
        ("song.slice(0, 20).audio()", &[html]),
        ("song.slice(0, 20).plot()", &[svg, png]),
        ("chords(\"Cmaj7 Am7 | Dm7 G7b9/F | % | N.C.\")", &[svg, png]),
        ("tok", &[html]),
        ("data", &[html]),
        ("net", &[html]),
        ("net.qlora(#{ r: 2 })", &[html]),
        ("net.weights(\"model.embed_tokens.weight\")", &[html]),
        ("evaluate(net, data.val)", &[html]),
        ("plot([1, 4, 9], #{ title: \"<a & b>\" })", &[svg, png]),
        ("song.notes", &[html]),
        ("#{ a: [1, \"<script>\"], b: #{ c: 2 } }", &[html]),
        ("let run = trainer(net, data, #{ max_steps: 3, batch_size: 2 }); run.fit(); run", &[]),
        ("run.history", &[svg, png]),
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
        let page = bundle.forms.get(html).map_or("", String::as_str);
        assert!(!page.contains("<script"), "{cell} lets markup through");
        // What is not a picture of its own is lost where a notebook is not trusted.
        assert!(!page.contains("<svg") && (page.is_empty() || !bundle.forms.contains_key(svg)), "{cell}");
    }
}

#[test]
fn pictures_of_pages_and_players_are_outputs_of_their_own() {
    let (mut session, outputs) = displaying();
    let (svg, png, pdf, html) = ("image/svg+xml", "image/png", "application/pdf", "text/html");
    for (cell, kinds) in [
        ("song.slice(0, 20)", &[html][..]),
        ("net.weights(\"model.embed_tokens.weight\")", &[pdf, png, svg, pdf, png, svg]),
        ("data", &[pdf, png, svg, pdf, png, svg]),
        ("display(data)", &[pdf, png, svg, pdf, png, svg, html, "text/plain"]),
        ("song.plot()", &[]),
        ("song;", &[]),
    ] {
        outputs.lock().expect("no panic holds it").clear();
        session.eval(cell).unwrap_or_else(|fault| panic!("{cell}: {fault}"));
        let outputs = outputs.lock().expect("no panic holds it");
        let shown = outputs.iter().flat_map(|output| match output {
            Output::Display { bundle, .. } => bundle.forms.keys().copied().collect::<Vec<_>>(),
            other => panic!("{cell}: {other:?}"),
        });
        let shown: Vec<&str> = shown.filter(|kind| *kind != "text/plain" || kinds.contains(kind)).collect();
        assert_eq!(shown, kinds, "{cell}");
    }
    let player = || {
        let (mut session, outputs) = displaying();
        session.eval("song.slice(0, 20)").expect("it is shown");
        let outputs = outputs.lock().expect("no panic holds it");
        let Some(Output::Display { bundle, id: None }) = outputs.first() else { panic!("{outputs:?}") };
        bundle.forms[html].clone()
    };
    let page = player();
    well_formed("the player", &page);
    assert_eq!(page.matches("data:audio/mpeg;base64,").count(), 1);
    assert_eq!(page, player(), "the same each time");
}

#[test]
fn content_is_shown_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut session = ctx(Host::silent());
    assert_eq!(shown(&mut session, "html(\"<b>x</b>\")").forms["text/html"], "<b>x</b>");
    assert_eq!(shown(&mut session, "markdown(\"**x**\")").forms["text/markdown"], "**x**");
    assert_eq!(shown(&mut session, "html(`<b>${escape(\"<i>\")}</b>`)").forms["text/html"], "<b>&lt;i&gt;</b>");
    session
        .eval(&format!("plot([1, 2]).save({:?}); plot([1, 2]).save({:?})", path("a.png"), path("a.svg")))
        .expect("saved");
    let png = shown(&mut session, &format!("image({:?})", path("a.png")));
    assert!(png.forms["image/png"].starts_with("iVBOR") && png.plain().contains("a.png"));
    assert!(shown(&mut session, &format!("image({:?})", path("a.svg"))).forms["image/svg+xml"].starts_with("<svg"));
    for bad in ["a.mid", "nope.png", "a.png/"] {
        assert!(session.eval(&format!("image({:?})", path(bad))).is_err(), "{bad}");
    }
    assert!(session.eval(&format!("image({:?})", folder.path())).is_err(), "a folder");
}

#[test]
fn progress_hands_out_what_it_counts() {
    let mut session = ctx(Host::silent());
    for (items, sum) in [("[1, 2, 3]", "6"), ("4", "6"), ("2..5", "9"), ("2..=4", "9"), ("0", "0"), ("5..1", "0")] {
        let cell = format!("let sum = 0; for x in progress({items}) {{ sum += x }} sum");
        assert_eq!(shown(&mut session, &cell).plain(), sum, "{items}");
    }
    let cell =
        "let n = 0; for b in progress(data.train.batches(2), \"batches\") { n += b.rows; if n >= 4 { break } } n";
    assert_eq!(shown(&mut session, cell).plain(), "4");
    let fault = session.eval("for x in progress(\"abc\") { }").expect_err("no text");
    assert!(fault.to_string().contains("not a string"), "{fault}");
}

#[test]
fn forms_are_the_same_each_time() {
    for cell in ["song.slice(0, 15)", "song.plot()", "tok", "data", "chords(\"C G\")"] {
        let of = || shown(&mut ctx(Host::silent()), cell);
        assert_eq!(of(), of(), "{cell}");
    }
}

#[test]
fn a_long_piece_stays_small_and_says_what_is_missing() {
    let (mut session, outputs) = displaying();
    let bundle = shown(&mut session, "let long = song; while long.duration < 800 { long += song; } long");
    assert!(bundle.forms.values().map(String::len).sum::<usize>() < 2_000_000);
    let outputs = outputs.lock().expect("no panic holds it").clone();
    let Some(Output::Display { bundle: player, .. }) = outputs.first() else { panic!("{outputs:?}") };
    let page = &player.forms["text/html"];
    assert!(page.contains("the player ends at 3:00") && page.contains("save("), "{}", &page[page.len() - 400..]);
    assert!(page.len() < 2_000_000);
    let audio = shown(&mut session, "long.audio()");
    assert!(audio.forms.values().map(String::len).sum::<usize>() < 2_000_000);
}

#[test]
fn an_empty_score_is_shown_and_heard() {
    let mut session = ctx(Host::silent());
    assert!(!shown(&mut session, "tok.decode([])").forms.contains_key("image/svg+xml"));
    assert!(shown(&mut session, "tok.decode([]).audio()").forms.contains_key("text/html"));
    assert!(session.eval("tok.decode([]).plot().save(\"x.png\")").is_err());
}

#[test]
fn a_terminal_is_given_no_pages() {
    let mut session = ctx(Host::silent());
    session.set_rich(false);
    for cell in ["song", "song.audio()", "data", "[1, 2]"] {
        let forms = shown(&mut session, cell).forms;
        assert!(forms.keys().all(|kind| ["text/plain", "image/svg+xml"].contains(kind)), "{cell}: {:?}", forms.keys());
    }
}

#[test]
fn pictures_and_sound_are_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = ctx(Host::silent());
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

/// A session that records its displays.
fn displaying() -> (Session, Arc<Mutex<Vec<Output>>>) {
    let outputs = Arc::new(Mutex::new(Vec::new()));
    let sink = outputs.clone();
    let output: OutputHook = Arc::new(move |output| sink.lock().expect("no panic holds it").push(output));
    (ctx(Host { output, ..Host::silent() }), outputs)
}

#[test]
fn a_run_is_one_panel_that_ends_with_its_last_state() {
    let (mut session, outputs) = displaying();
    session
        .eval(
            "let run = trainer(net, data, #{ max_steps: 5, batch_size: 2, eval_every: 5, eval_batches: 1 }); run.fit()",
        )
        .expect("it trains");
    let outputs = outputs.lock().expect("no panic holds it");
    let Some(Output::Display { id: Some(id), .. }) = outputs.first() else { panic!("no panel: {outputs:?}") };
    // For front ends without updates the result is also printed as text.
    let Some(Output::Text(outcome)) = outputs.last() else { panic!("{outputs:?}") };
    assert!(outcome.starts_with("trained: 5 of 5 steps, loss "), "{outcome}");
    let updates: Vec<&Bundle> = outputs[1..outputs.len() - 1]
        .iter()
        .map(|output| match output {
            Output::Update { bundle, id: other } if other == id => bundle,
            other => panic!("not the panel: {other:?}"),
        })
        .collect();
    let last = updates.last().expect("an update");
    assert!(last.plain().contains("trained") && last.plain().contains("5 of 5 steps"), "{}", last.plain());
    assert!(last.plain().contains("held out"));
    assert!(last.forms["image/svg+xml"].contains("learning rate") && last.forms.contains_key("image/png"));
    well_formed("the panel", &last.forms["image/svg+xml"]);
    assert!(updates.iter().rev().skip(1).all(|live| !live.forms.contains_key("image/png")), "it takes time");
}

#[test]
fn without_live_displays_there_is_no_panel() {
    let (mut session, outputs) = displaying();
    session.set_live(false);
    session.eval("trainer(net, data, #{ max_steps: 2, batch_size: 2 }).fit()").expect("it trains");
    assert!(outputs.lock().expect("no panic holds it").is_empty());
}

#[test]
fn a_display_is_updated_and_output_cleared() {
    let (mut session, outputs) = displaying();
    let last = session.eval("let d = display(1); d.update([2]); clear_output(true); clear_output(); display(3)");
    assert_eq!(last.expect("it runs"), None, "the handle is not a result");
    let outputs = outputs.lock().expect("no panic holds it");
    let [
        Output::Display { bundle: first, id: Some(id) },
        Output::Update { bundle: second, id: same },
        Output::Clear { wait: true },
        Output::Clear { wait: false },
        Output::Display { id: Some(other), .. },
    ] = &outputs[..]
    else {
        panic!("{outputs:?}")
    };
    assert_eq!((first.plain(), second.plain()), ("1", "[2]"));
    assert!(id == same && id != other);
}
