//! The user's files: history and startup script, in the places of the XDG base directory specification.

use std::env;
use std::path::PathBuf;

/// The history file; `ETUDE_HISTORY` overrides it, an empty value disables it.
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

/// Our folder in a base directory; the specification ignores relative ones.
fn base(variable: &str, usual: &str) -> Option<PathBuf> {
    let named = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    Some(named.or_else(|| Some(env::home_dir()?.join(usual)))?.join("etude"))
}
