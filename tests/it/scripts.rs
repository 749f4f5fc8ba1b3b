//! The language, tried in itself: every `tests/rhai/*.rhai` runs to its end.

use std::path::Path;

use etude::script::{Host, Session, on_big_stack};

/// Scripts in the folder; a file more or less must be meant.
const SCRIPTS: usize = 13;

#[test]
fn every_script_runs_to_its_end() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rhai");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "rhai"))
        .collect();
    files.sort();
    assert_eq!(files.len(), SCRIPTS, "{files:?}");
    let out = tempfile::tempdir().expect("there is room");
    for file in files {
        let folder = out.path().join(file.file_stem().expect("a name"));
        std::fs::create_dir(&folder).expect("made");
        let arguments = [folder.display().to_string()];
        let (result, exit) = on_big_stack(|| {
            let mut session = Session::new(Host::silent());
            session.set_args(&arguments);
            (session.run(&file).map(|_| ()), session.take_exit())
        });
        result.unwrap_or_else(|fault| panic!("{}", fault.render(false)));
        assert_eq!(exit, None, "{}", file.display());
    }
}
