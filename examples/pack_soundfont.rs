//! Packs a SoundFont without loss, as the ones in `src/audio/soundfont` are:
//! `cargo run --example pack_soundfont -- piano.sf2 piano.etsf`.

use std::path::Path;

use etude::Error;

fn main() -> etude::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, from, to] = &args[..] else {
        return Err(Error::mistake("say what to pack and where to: pack_soundfont IN.sf2 OUT.etsf"));
    };
    let font = std::fs::read(from).map_err(|e| Error::io("cannot read", from, e))?;
    etude::atomic::write(Path::new(to), &etude::audio::pack(&font)?)
}
