//! The user's files: history and startup script, where the XDG base directory specification puts them.

use std::env;
use std::path::PathBuf;

/// The file of lines typed before; `ETUDE_HISTORY` names another, an empty one none.
pub(super) fn history() -> Option<PathBuf> {
    match env::var_os("ETUDE_HISTORY") {
        Some(path) if path.is_empty() => None,
        Some(path) => Some(path.into()),
        None => Some(base("XDG_STATE_HOME", ".local/state")?.join("history")),
    }
}

/// The script that runs before the first prompt.
pub(super) fn startup() -> Option<PathBuf> {
    Some(base("XDG_CONFIG_HOME", ".config")?.join("init.rhai")).filter(|path| path.exists())
}

/// Our folder under a base directory; the specification says that a relative one does not count.
fn base(variable: &str, usual: &str) -> Option<PathBuf> {
    let named = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    Some(named.or_else(|| Some(env::home_dir()?.join(usual)))?.join("etude"))
}
