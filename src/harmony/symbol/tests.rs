//! Symbols in the spellings of many sheets, and what cannot be read.

use super::intervals;

/// Symbols in the table.
const ROWS: usize = 103;

fn check(table: &[(&str, &[u8])]) {
    for (symbol, expected) in table {
        let chars: Vec<char> = symbol.chars().collect();
        let tones = intervals(&chars).map(|tones| tones.iter().map(|t| t % 12).collect::<Vec<_>>());
        assert_eq!(tones.as_deref(), Ok(*expected), "{symbol}");
    }
}

#[test]
fn lead_sheet_spellings() {
    let major_seven: &[u8] = &[0, 4, 7, 11];
    let half_diminished: &[u8] = &[0, 3, 6, 10];
    check(&[("", &[0, 4, 7]), ("m", &[0, 3, 7]), ("min", &[0, 3, 7]), ("-", &[0, 3, 7]), ("maj", &[0, 4, 7])]);
    for symbol in ["maj7", "M7", "Δ7", "Δ", "△", "j7", "ma7", "Maj7", "^7", "^"] {
        check(&[(symbol, major_seven)]);
    }
    for symbol in ["m7b5", "ø", "ø7", "-7b5", "min7(b5)", "m7-5", "m7♭5", "Ø"] {
        check(&[(symbol, half_diminished)]);
    }
    check(&[("-7", &[0, 3, 7, 10]), ("m7", &[0, 3, 7, 10]), ("min7", &[0, 3, 7, 10]), ("mi7", &[0, 3, 7, 10])]);
    check(&[("dim", &[0, 3, 6]), ("°", &[0, 3, 6]), ("o", &[0, 3, 6])]);
    check(&[("dim7", &[0, 3, 6, 9]), ("°7", &[0, 3, 6, 9]), ("o7", &[0, 3, 6, 9])]);
    check(&[("+", &[0, 4, 8]), ("aug", &[0, 4, 8]), ("+5", &[0, 4, 8])]);
    check(&[("+7", &[0, 4, 8, 10]), ("7#5", &[0, 4, 8, 10]), ("7+", &[0, 4, 8, 10]), ("7+5", &[0, 4, 8, 10])]);
    check(&[("7alt", &[0, 4, 10, 1, 3, 6, 8]), ("alt", &[0, 4, 10, 1, 3, 6, 8])]);
    check(&[("7b9#11", &[0, 4, 7, 10, 1, 6]), ("7(b9,#11)", &[0, 4, 7, 10, 1, 6]), ("7-9+11", &[0, 4, 7, 10, 1, 6])]);
    check(&[("13", &[0, 4, 7, 10, 2, 9]), ("9", &[0, 4, 7, 10, 2]), ("m11", &[0, 3, 7, 10, 2, 5])]);
    check(&[("9sus4", &[0, 5, 7, 10, 2]), ("7sus", &[0, 5, 7, 10]), ("sus2", &[0, 2, 7]), ("sus24", &[0, 2, 5, 7])]);
    check(&[("6", &[0, 4, 7, 9]), ("6/9", &[0, 4, 7, 9, 2]), ("69", &[0, 4, 7, 9, 2]), ("m6", &[0, 3, 7, 9])]);
    check(&[("add9", &[0, 4, 7, 2]), ("madd9", &[0, 3, 7, 2]), ("2", &[0, 4, 7, 2]), ("5", &[0, 7])]);
    check(&[("mMaj7", &[0, 3, 7, 11]), ("-maj7", &[0, 3, 7, 11]), ("m(maj7)", &[0, 3, 7, 11]), ("mΔ", &[0, 3, 7, 11])]);
    check(&[("(b9)", &[0, 4, 7, 10, 1]), ("(#11)", &[0, 4, 7, 6]), ("maj7#11", &[0, 4, 7, 11, 6])]);
    check(&[("maj7#5", &[0, 4, 8, 11]), ("7b5", &[0, 4, 6, 10]), ("7b5#5", &[0, 4, 6, 8, 10]), ("7no5", &[0, 4, 10])]);
}

#[test]
fn weimar_spellings_put_the_accidental_behind() {
    check(&[("79b13", &[0, 4, 7, 10, 1, 9]), ("79b", &[0, 4, 7, 10, 1]), ("79#", &[0, 4, 7, 10, 3])]);
    check(&[("7911#", &[0, 4, 7, 10, 2, 6]), ("7913b", &[0, 4, 7, 10, 2, 8]), ("79b13b", &[0, 4, 7, 10, 1, 8])]);
    check(&[("j7911#", &[0, 4, 7, 11, 2, 6]), ("j79#11#", &[0, 4, 7, 11, 3, 6]), ("6911#", &[0, 4, 7, 9, 2, 6])]);
    check(&[("-j7", &[0, 3, 7, 11]), ("-j7913", &[0, 3, 7, 11, 2, 9]), ("-69", &[0, 3, 7, 9, 2])]);
    check(&[("sus7913", &[0, 5, 7, 10, 2, 9]), ("+79#", &[0, 4, 8, 10, 3]), ("+j7", &[0, 4, 8, 11])]);
}

#[test]
fn openewld_spellings() {
    check(&[("sus4(add7)", &[0, 5, 7, 10]), ("sus4(add7)(9)", &[0, 5, 7, 10, 2]), ("(add4)", &[0, 4, 7, 5])]);
    check(&[
        ("9#5", &[0, 4, 8, 10, 2]),
        ("13b9", &[0, 4, 7, 10, 1, 9]),
        ("m#5", &[0, 3, 8]),
        ("m9b5", &[0, 3, 6, 10, 2]),
    ]);
}

#[test]
fn every_symbol_of_the_table_has_its_tones() {
    let mut rows = 0;
    for row in include_str!("table.tsv").lines().skip(1) {
        let mut cells = row.split('\t');
        let symbol = cells.next().unwrap_or_default();
        let chars: Vec<char> = symbol.chars().skip(1).collect();
        let mut tones: Vec<u8> =
            intervals(&chars).unwrap_or_else(|at| panic!("{symbol}: {at}")).iter().map(|t| t % 12).collect();
        tones.sort_unstable();
        let tones = format!("{tones:?}");
        assert!(cells.any(|allowed| allowed == tones), "{symbol}: {tones}");
        rows += 1;
    }
    assert_eq!(rows, ROWS);
}

#[test]
fn look_alikes_and_signs_behind_numbers() {
    for symbol in ["m7(5-)", "m7/5-", "m75-", "ø⁷", "⌀7", "h", "h7", "MIN7♭5", "min7flat5", "mi7 (b5)", "—7(♭5)"]
    {
        check(&[(symbol, &[0, 3, 6, 10])]);
    }
    for symbol in ["7(9+)", "7/9+", "7＃9", "7♯9", "7(#9)", "7(♯9)", "7+9", "7sharp9"] {
        check(&[(symbol, &[0, 4, 7, 10, 3])]);
    }
    for symbol in ["7M(11+)", "▲7(♯11)", "⊿7/11+", "ma7(add11+)", "Maj7#11"] {
        check(&[(symbol, &[0, 4, 7, 11, 6])]);
    }
    check(&[("7(9-/13-)", &[0, 4, 7, 10, 1, 8]), ("7(9-,13-)", &[0, 4, 7, 10, 1, 8]), ("13-", &[0, 4, 7, 10, 8])]);
    // A plus behind the first number is an augmented fifth.
    check(&[("9+", &[0, 4, 8, 10, 2]), ("7+", &[0, 4, 8, 10]), ("5+", &[0, 4, 8]), ("m5+", &[0, 3, 8])]);
    check(&[
        ("7aug", &[0, 4, 8, 10]),
        ("9aug", &[0, 4, 8, 10, 2]),
        ("7dim", &[0, 3, 6, 9]),
        ("maj7aug", &[0, 4, 8, 11]),
    ]);
    check(&[("7dim5", &[0, 4, 6, 10]), ("7aug5", &[0, 4, 8, 10]), ("(add 9)", &[0, 4, 7, 2]), ("º7", &[0, 3, 6, 9])]);
}

#[test]
fn suspensions() {
    check(&[
        ("sus#4", &[0, 6, 7]),
        ("maj7sus#4", &[0, 6, 7, 11]),
        ("susb2", &[0, 1, 7]),
        ("7susb9", &[0, 5, 7, 10, 1]),
    ]);
    check(&[("sus2/4", &[0, 2, 5, 7]), ("7sus4/9", &[0, 5, 7, 10, 2]), ("7(4)", &[0, 5, 7, 10]), ("SUS4", &[0, 5, 7])]);
    check(&[("7susadd3", &[0, 5, 4, 7, 10]), ("6sus4", &[0, 5, 7, 9])]);
}

#[test]
fn nonsense_is_placed() {
    for (symbol, at) in [
        ("m7x", 2),
        ("8", 0),
        ("maj7b", 4),
        ("7b11", 1),
        ("sus7m", 4),
        ("add", 3),
        ("no7", 2),
        ("/", 0),
        ("7(b9", 4),
        ("7)", 1),
        ("add9x", 4),
        ("maj7-", 4),
        ("add", 3),
        (".", 0),
    ] {
        let chars: Vec<char> = symbol.chars().collect();
        assert_eq!(intervals(&chars), Err(at), "{symbol}");
    }
}
