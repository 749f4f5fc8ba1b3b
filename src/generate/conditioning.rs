//! Chords over time: which token is set when.
