//! Charts as musicians write them.

use super::*;

fn chart(text: &str) -> Chart {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

/// The bars of a chart as text.
fn bars(text: &str) -> Vec<String> {
    chart(text).bars.iter().map(bar_text).collect()
}

fn refusal(text: &str) -> String {
    text.parse::<Chart>().expect_err("it is wrong").message().to_owned()
}

#[test]
fn chords_of_a_bar_share_it() {
    let chart = chart("Cmaj7 F#m7b5 | B7b9/D# Em6 | % | N.C. Bbmaj7#11 C(b9, #11)");
    let beats: Vec<f64> = chart.onsets(60.0).iter().map(|c| c.beat).collect();
    assert_eq!(beats[..7], [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
    assert_eq!(chart.chords().nth(4).map(Chord::name).as_deref(), Some("B7b9/D#"));
    assert_eq!(chart.onsets(60.0)[7].tick, 4 * 1920 - 1280);
    assert!((chart.onsets(30.0)[1].seconds - 4.0).abs() < 1e-9);
}

#[test]
fn without_bar_lines_every_chord_fills_a_bar() {
    assert_eq!(chart("C % Dm7 G7").bars.len(), 4);
    assert_eq!(chart("C % Dm7 G7").to_string(), "C C Dm7 G7");
    assert_eq!(chart("Dm7, G7").bars.len(), 2);
    assert_eq!(chart("C Dm7\nG7 C").bars.len(), 4);
    assert_eq!(bars("C7 (b9) F"), ["C7 (b9)", "F"]);
    assert_eq!(bars("C / / / F / / /"), ["C", "F"]);
}

#[test]
fn the_end_of_a_line_ends_the_bar() {
    assert_eq!(chart("| C  ||\n F G |").bars.len(), 2);
    assert_eq!(chart("Dm7 | G7 | Cmaj7 | A7\nDm7 | G7 | C6 | C6").bars.len(), 8);
    assert_eq!(chart("Dm7 | G7\r\n\r\nC6 | %\r\n").bars.len(), 4);
    assert_eq!(chart("# the changes\nDm7 | G7 # two five\nC6 | \"rit.\" %").bars.len(), 4);
}

#[test]
fn signs_of_lead_sheets() {
    assert_eq!(bars("|: Dm7 | G7 :|"), ["Dm7", "G7", "Dm7", "G7"]);
    assert_eq!(bars("C / / / | F / G /"), ["C", "F G"]);
    assert_eq!(bars("F / / G | //// | C . - /"), ["F / / G", "G", "C"]);
    assert_eq!(bars("[A] Dm7 | G7"), ["Dm7", "G7"]);
    assert_eq!(bars("C | F |]"), ["C", "F"]);
    assert_eq!(bars("Dm7 | G7 | x"), ["Dm7", "G7", "G7"]);
    assert_eq!(bars("{C|F}"), ["C", "F", "C", "F"]);
    assert_eq!(bars("C ‖ F (G7) | NC"), ["C", "F G7", "N.C."]);
    let ticks: Vec<u32> = chart("F / / G | C").onsets(120.0).iter().map(|c| c.tick).collect();
    assert_eq!(ticks, [0, 1440, 1920]);
}

#[test]
fn repeats_and_endings_are_played_out() {
    let two = bars("|: Dm7 | G7 | [1. Cmaj7 | A7 :| [2. Cmaj7 | % |]");
    assert_eq!(two.join(" "), "Dm7 G7 Cmaj7 A7 Dm7 G7 Cmaj7 Cmaj7");
    assert_eq!(bars("C | |: D :| x3 E").join(" "), "C D D D E");
    assert_eq!(bars("|: C |1,2. D :|3. E ||").join(" "), "C D C D C E");
    assert_eq!(bars("|: C :||: D :| E").join(" "), "C C D D E");
    assert_eq!(bars("C | D :| E").join(" "), "C D C D E");
    assert_eq!(bars("|: C | [1. D :| [2. E | |: F :|").join(" "), "C D C E F F");
}

#[test]
fn jumps_are_played_out() {
    assert_eq!(bars("C | F Fine | G | D.C. al Fine").join(" "), "C F G C F");
    assert_eq!(bars("C | Segno F | G | D.S. al Fine | A Fine").join(" "), "C F G F G A");
    assert_eq!(bars("C | F To Coda | G | D.C. al Coda | Coda A | B").join(" "), "C F G C F A B");
    assert_eq!(bars("|: C | [1. D :| [2. E Fine | F D.C. al Fine").join(" "), "C D C E F C E");
}

#[test]
fn metres_change_the_length_of_bars() {
    let waltz = chart("3/4: Dm7 | G7 | C6 | %");
    assert_eq!((waltz.bars.len(), waltz.meter(3).to_string(), waltz.beats()), (4, "3/4".into(), 12.0));
    let mixed = chart("C | 6/8: F | 4/4 G");
    assert_eq!(mixed.beats(), 11.0);
    let score = mixed.score(100.0);
    assert_eq!(score.bars(), [0, 1920, 3360]);
    let meters: Vec<(u32, u8, u8)> = score.meters.iter().map(|m| (m.tick, m.numerator, m.denominator)).collect();
    assert_eq!(meters, [(0, 4, 4), (1920, 6, 8), (3360, 4, 4)]);
    assert!(refusal("3/5: C").contains("3/5"));
}

#[test]
fn sections_make_a_form() {
    let song = chart("[A] Cmaj7 | Am7 | Dm7 | G7 [B] E7 | A7 | D7 | G7");
    assert_eq!(song.form(), "AB");
    let played = song.with_form("AABA").unwrap_or_default();
    assert_eq!((played.bars.len(), played.form().as_str()), (16, "AABA"));
    assert_eq!(played.bars[8][0].name(), "E7");
    let error = song.with_form("AAC").expect_err("no such section");
    assert!(error.message().contains("'C'") && error.hint().is_some_and(|h| h.contains("A, B")), "{error}");
    let long = chart("Intro: C | D\nVerse: 3/4: F | G");
    assert_eq!(long.form(), "Intro Verse");
    assert_eq!(long.with_form("Verse Intro").map(|c| c.beats()).unwrap_or_default(), 14.0);
}

#[test]
fn charts_add_and_repeat() {
    let (a, b) = (chart("3/4: C | F"), chart("[B] G | C"));
    let whole = a.append(&b);
    assert_eq!((whole.bars.len(), whole.beats(), whole.form().as_str()), (4, 14.0, "B"));
    assert_eq!(a.repeat(3).map(|c| c.to_string()).unwrap_or_default(), "3/4: C F C F C F");
    assert!(a.repeat(0).is_err() && a.repeat(usize::MAX).is_err());
}

#[test]
fn a_chart_reads_back_what_it_prints() {
    for text in [
        "C Am7 | Dm7 G7/B",
        "C Dm7",
        "C | Dm7",
        "C Dm7 |",
        "C",
        "N.C. | C7(b9,#11) C",
        "3/4: C | F / G | [B] 4/4: Am7 / / D7",
        "[A] C F [B] G C",
        "|: C | F :|",
    ] {
        assert_eq!(chart(&chart(text).to_string()), chart(text), "{text}");
    }
}

#[test]
fn a_wrong_sign_is_named_with_its_place() {
    assert_eq!(refusal("Cmaj7 Hm7"), "cannot read the chord 'Hm7' (column 7): no root is called 'H'");
    assert_eq!(refusal("C\nDm7 Gx"), "cannot read the chord 'Gx' (line 2, column 6): 'x' makes no sense there");
    assert_eq!(refusal("C | F\nG | (Q7)"), "cannot read the chord 'Q7' (line 2, column 6): no root is called 'Q'");
    assert!(refusal("% C").contains("'%' (column 1)"));
    assert!(refusal("/ C | F").contains("'/' (column 1)"));
    assert!(refusal(":| C").contains("':|' (column 1)"));
    assert!(refusal("C | [A F").contains("'[' (column 5) is never closed"));
    assert!(refusal(" | ").contains("no chords"));
    assert!(refusal("|: |: :| ").contains("nothing comes before"));
}

#[test]
fn no_text_brings_it_down() {
    let pieces = [
        "|:", ":|", "[1.", "[2.", "C", " ", "\n", "D.C.", "al", "Fine", "Coda", "%", "/", "3/4:", "[A]", "(", "x9", ":",
    ];
    let mut seed = 1u64;
    for _ in 0..3000 {
        let mut text = String::new();
        for _ in 0..14 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text += pieces[(seed >> 33) as usize % pieces.len()];
        }
        if let Ok(chart) = text.parse::<Chart>() {
            assert!(!chart.bars.is_empty() && chart.bars.iter().all(|b| !b.is_empty()), "{text:?}");
            assert_eq!(chart.to_string().parse::<Chart>().ok().as_ref(), Some(&chart), "{text:?}: {chart}");
        }
    }
}

#[test]
fn a_score_of_a_chart_holds_its_chords() {
    let score = chart("Dm7 G7 | C/E N.C.").score(90.0);
    let texts: Vec<&str> = score.markers.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(texts, ["chord:Dm7", "chord:G7", "chord:C/E", "chord:N.C."]);
    let notes = &score.tracks[0].notes;
    let lowest = |tick| notes.iter().filter(|n| n.start == tick).map(|n| n.pitch % 12).next();
    assert_eq!([lowest(0), lowest(960), lowest(1920), lowest(2880)], [Some(2), Some(7), Some(4), None]);
    assert_eq!(score.bars(), [0, 1920]);
}
