//! Tests of the errors of missing map keys.

use super::{fault, run};
use crate::script::missing_key::OURS;
use crate::script::on_big_stack;

#[test]
fn the_entry_that_was_meant_is_offered() {
    let hint = |code: &str| on_big_stack(|| fault(&[code])).hint.unwrap_or_default();
    let hint_text = hint("let m = #{ pitch: 60, name: \"x\" }; m.pitc");
    assert!(hint_text.starts_with("did you mean 'pitch'? the map has name, pitch; "), "{hint_text}");
    assert!(hint_text.ends_with("write m.get(\"pitc\", 0), or m[\"pitc\"] ?? 0"), "{hint_text}");
    assert!(hint("let m = #{ inner: #{ rate: 1 } }; m.inner[\"rat\"]").contains("'rate'"));
    assert!(hint("#{ lr: 1 }.ltr").contains("'lr'"));
    let far = hint("let m = #{ a: 1 }; m.velocities");
    assert!(far.contains("\"velocities\" in m asks") && !far.contains("did you mean"), "{far}");
}

#[test]
fn inside_a_function_only_our_own_maps_are_known() {
    let hint = |code: &str| on_big_stack(|| fault(&[code])).hint.unwrap_or_default();
    let inside = hint("chords(\"C\").score().notes.map(|n| n.pitc)");
    assert!(inside.contains("'pitch'? a note has pitch, velocity"), "{inside}");
    // The map of a function is not the session's of the same name.
    let other = hint("let m = #{ apple: 1 }; fn f(m) { m.appl } f(#{ other: 2 })");
    assert!(!other.contains("did you mean"), "{other}");
}

#[test]
fn our_maps_have_the_entries_that_are_told() {
    let entry = |name: &str| OURS.iter().find(|(owner, _)| *owner == name).expect("it is told").1;
    for (owner, code) in [
        ("a note has", "chords(\"C\").score().notes[0]"),
        ("a track has", "chords(\"C\").score().tracks[0]"),
        ("an onset has", "chords(\"C\").onsets[0]"),
    ] {
        let keys = on_big_stack(|| run(&[&format!("{code}.keys()")]));
        assert!(entry(owner).iter().all(|key| keys.contains(&format!("\"{key}\""))), "{owner}: {keys}");
    }
}
