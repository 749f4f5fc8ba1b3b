//! Runs a script and writes the forms of its value as a notebook gets them:
//! `cargo run --example forms -- 'midi("examples/midi/blues.mid")' OUT_FOLDER`.

use std::path::Path;

use etude::Error;
use etude::script::{Host, Session, on_big_stack};

fn main() -> etude::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, code, folder] = &args[..] else {
        return Err(Error::mistake("say what to run and where to write: forms CODE FOLDER"));
    };
    let shown = on_big_stack(|| Session::new(Host::silent()).eval(code));
    let bundle = shown.map_err(|fault| Error::mistake(fault.render(false)))?.unwrap_or_default();
    for (kind, content) in &bundle.forms {
        let ending = match *kind {
            "text/plain" => "txt",
            "text/html" => "html",
            "image/svg+xml" => "svg",
            _ => "base64",
        };
        etude::atomic::write(&Path::new(folder).join(format!("value.{ending}")), content.as_bytes())?;
    }
    Ok(())
}
