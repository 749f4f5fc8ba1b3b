//! The kernelspec: how Jupyter finds and starts this binary.

use std::path::PathBuf;

use etude_kernel::{Kernelspec, Place};

use crate::error::{Error, Result};

/// What the user chose at installation.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// A folder to install under, as `PREFIX/share/jupyter`.
    pub prefix: Option<PathBuf>,
    /// Into the active environment (`VIRTUAL_ENV`, `CONDA_PREFIX`).
    pub sys_prefix: bool,
    /// The name front ends ask for; "etude" if none.
    pub name: Option<String>,
    /// The name in menus; "Étude" if none.
    pub display_name: Option<String>,
}

/// Writes the kernelspec, with the path of the running binary, and returns its folder.
///
/// # Errors
/// A name that Jupyter would not find; a folder that cannot be written.
pub fn install(choice: &Choice) -> Result<PathBuf> {
    let binary = std::env::current_exe().map_err(|e| Error::io("cannot find", "the path of this binary", e))?;
    let argv = [&*binary.to_string_lossy(), "kernel", "run", "--connection-file", "{connection_file}"];
    let spec = Kernelspec {
        name: choice.name.clone().unwrap_or_else(|| "etude".into()),
        display_name: choice.display_name.clone().unwrap_or_else(|| "Étude".into()),
        language: "rhai".into(),
        argv: argv.map(str::to_owned).into(),
        files: vec![
            ("logo-svg.svg", include_bytes!("logo/logo-svg.svg")),
            ("logo-32x32.png", include_bytes!("logo/logo-32x32.png")),
            ("logo-64x64.png", include_bytes!("logo/logo-64x64.png")),
        ],
    };
    let place = match (&choice.prefix, choice.sys_prefix) {
        (Some(prefix), _) => Place::Prefix(prefix.clone()),
        (None, true) => Place::SysPrefix,
        (None, false) => Place::User,
    };
    etude_kernel::install(&spec, &place).map_err(|e| Error::mistake(e.to_string()))
}
