//! Pictures on a terminal, as the terminal gets them: each protocol is asked for by name and taken apart again.

use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use resvg::tiny_skia::Pixmap;

/// A figure whose line rises from the lower left to the upper right.
const FIGURE: &str = "plot([1, 2, 3, 4])";

/// What a terminal of 80 columns is sent by a piece of code, line ends as the program wrote them.
fn sent(code: &str, variables: &[(&str, &str)]) -> String {
    let command = format!("stty cols 80 rows 40; exec '{}' -e '{code}'", env!("CARGO_BIN_EXE_etude"));
    let mut script = Command::new("script");
    for name in ["ETUDE_IMAGES", "TMUX", "STY", "TERM_PROGRAM", "LC_TERMINAL", "KITTY_WINDOW_ID", "COLORTERM"] {
        script.env_remove(name);
    }
    script.args(["-qfec", &command, "/dev/null"]).env("TERM", "xterm-256color").envs(variables.iter().copied());
    let ran =
        script.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).output().expect("util-linux's script");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    String::from_utf8(ran.stdout).expect("UTF-8").replace("\r\n", "\n")
}

/// Decodes a PNG and checks that a line was drawn on it: its width, how many of its columns have ink.
fn ink(png: &[u8]) -> (u32, usize) {
    let pixels = Pixmap::decode_png(png).expect("a PNG");
    let inked = |x: u32| (0..pixels.height()).any(|y| pixels.pixel(x, y).is_some_and(|p| p.alpha() > 100));
    (pixels.width(), (0..pixels.width()).filter(|x| inked(*x)).count())
}

#[test]
fn kitty_is_sent_a_png_in_chunks() {
    let text = sent(FIGURE, &[("ETUDE_IMAGES", "kitty")]);
    let commands: Vec<&str> = text.split("\x1b_G").skip(1).collect();
    assert!(commands[0].starts_with("a=T,f=100,"), "{}", &commands[0][..40]);
    let mut png = String::new();
    for (i, command) in commands.iter().enumerate() {
        let (command, after) = command.split_once("\x1b\\").expect("it ends");
        let (keys, data) = command.split_once(';').expect("data");
        let last = i + 1 == commands.len();
        assert!(data.len() <= 4096 && keys.ends_with(if last { "m=0" } else { "m=1" }), "{keys}");
        assert_eq!(after, if last { "\n" } else { "" });
        png += data;
    }
    let (wide, inked) = ink(&STANDARD.decode(png).expect("base64"));
    assert!(wide > 600 && inked > 300, "{inked} columns of {wide} have ink");
}

#[test]
fn iterm_is_sent_a_png_of_the_size_it_says() {
    let text = sent(FIGURE, &[("TERM_PROGRAM", "iTerm.app")]);
    let (head, rest) = text.split_once("\x1b]1337;File=").expect("a file").1.split_once(':').expect("data");
    let png = STANDARD.decode(rest.split_once('\x07').expect("an end").0).expect("base64");
    assert!(head.contains("inline=1") && head.ends_with(&format!("size={}", png.len())), "{head}");
    let (wide, inked) = ink(&png);
    assert!(wide > 600 && inked > 300, "{inked} columns of {wide} have ink");
}

#[test]
fn sixels_fill_the_size_they_announce() {
    let text = sent(FIGURE, &[("TERM", "foot")]);
    let body = text.split_once("\x1bP").expect("a device control string").1.split_once("\x1b\\").expect("an end").0;
    let (size, body) = body.split_once("q\"1;1;").expect("square dots").1.split_once('#').expect("colours");
    let (wide, high) = size.split_once(';').expect("a size");
    let (wide, high): (usize, usize) = (wide.parse().expect("a number"), high.parse().expect("a number"));
    assert!(wide > 300 && high > 100);
    assert_eq!(body.matches('-').count(), high.div_ceil(6), "a band for every six lines");
    let colors = body.split(['#', '$', '-']).filter(|part| part.contains(";2;")).count();
    assert!((2..256).contains(&colors), "{colors}");
    let blue = body.split('#').filter_map(|part| part.split_once(";2;")).any(|(_, rgb)| {
        let parts: Vec<u32> = rgb.split(';').filter_map(|n| n.parse().ok()).collect();
        matches!(parts[..], [r, _, b] if b > r + 20)
    });
    assert!(blue, "the line has a colour");
}

#[test]
fn half_blocks_are_as_wide_as_the_terminal() {
    let text = sent(FIGURE, &[("ETUDE_IMAGES", "blocks")]);
    let lines: Vec<&str> = text.lines().filter(|line| line.contains('▀')).collect();
    assert!(lines.len() > 10, "{} lines", lines.len());
    assert!(lines.iter().all(|line| line.matches('▀').count() == 79 && line.ends_with("\x1b[0m")));
    let colors: std::collections::BTreeSet<&str> = text.split("\x1b[38;2;").skip(1).collect();
    assert!(colors.len() > 10, "{} colours", colors.len());
}

#[test]
fn elsewhere_a_piece_is_drawn_with_half_blocks_of_text() {
    let piece = "midi(\"examples/midi/joplin_solace.mid\").slice(0, 8)";
    for variables in
        [&[][..], &[("TMUX", "x"), ("KITTY_WINDOW_ID", "1")], &[("ETUDE_IMAGES", "none"), ("TERM", "foot")]]
    {
        let text = sent(piece, variables);
        assert!(text.contains("Score: ") && text.matches(['▀', '▄']).count() > 40, "{text}");
        assert!(["\x1b_G", "\x1b]1337", "\x1bP", "38;2;"].iter().all(|start| !text.contains(start)), "{text}");
    }
}

#[test]
fn a_run_is_a_panel_that_is_redrawn_in_place() {
    // As many steps as take a second and a half here: a panel is redrawn some times a second at most.
    let code = "let d = dataset(\"examples/midi\", tokenizer(\"performance\"), #{ max_seq_len: 64, val: 0.2 }); \
                let net = load_model(\"base\").qlora(#{ r: 2 }); \
                let tried = trainer(net, d, #{ max_steps: 3, batch_size: 1 }); tried.step(); \
                let begun = timestamp(); tried.step(); tried.step(); \
                let count = 12 + (3.0 / begun.elapsed).to_int(); print(`count: ${count}`); \
                trainer(net, d, #{ max_steps: count, batch_size: 1 }).fit()";
    let text = sent(code, &[]);
    let (_, count) = text.split_once("count: ").expect("the number of steps");
    let count: String = count.chars().take_while(char::is_ascii_digit).collect();
    let end = format!("{count} of {count} steps");
    let (before, last) = text.rsplit_once(&end).expect("the last state");
    // Up over all lines of the panel, then the new one.
    let redrawn = before.split("\x1b[").skip(1).filter_map(|s| s.split_once('A')).filter_map(|(n, _)| n.parse().ok());
    let heights: Vec<usize> = redrawn.collect();
    assert!(heights.iter().any(|lines| *lines > 6), "{heights:?}");
    let panel = before.rsplit('\n').next().map(|line| format!("{line}{end}{last}")).unwrap_or_default();
    for part in ["trained", "loss ", "tokens/s", "lr "] {
        assert!(panel.contains(part), "no {part:?} in {panel}");
    }
    assert!(panel.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)), "no curve in {panel}");
}
