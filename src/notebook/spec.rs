//! The kernelspec with which Jupyter starts this binary, and extensions for Jupyter's tools that support the language.

use std::path::PathBuf;

use etude_kernel::{Installed, Kernelspec, Place};

use crate::error::{Error, Result};

/// The default name of the kernel.
const NAME: &str = "etude";
const LANGUAGE: &str = "rhai";
/// Environment variables of the kernel that are set where Pygments and CodeMirror support Rhai.
pub(super) const PYGMENTS: &str = "ETUDE_PYGMENTS";
pub(super) const CODEMIRROR: &str = "ETUDE_CODEMIRROR";
/// The Python package, and the extension of JupyterLab.
const PACKAGE: &str = "etude_jupyter";
const EXTENSION: &str = "etude-rhai";

/// The options of an installation.
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

/// The result of an installation.
#[derive(Debug, Clone)]
pub struct Support {
    /// The folder of the kernelspec.
    pub folder: PathBuf,
    /// The Python packages folders that hold the translator of papermill, the lexer and the exporter.
    pub packages: Vec<PathBuf>,
}

impl Choice {
    fn place(&self) -> Place {
        match (&self.prefix, self.sys_prefix) {
            (Some(prefix), _) => Place::Prefix(prefix.clone()),
            (None, true) => Place::SysPrefix,
            (None, false) => Place::User,
        }
    }
}

/// Writes the kernelspec, with the path of the running binary, and beside it an extension that highlights Rhai in
/// JupyterLab; where there are Python packages, one that teaches papermill, Pygments and nbconvert about Rhai.
///
/// # Errors
/// A name that Jupyter would not find; a folder that cannot be written.
pub fn install(choice: &Choice) -> Result<Support> {
    let binary = std::env::current_exe().map_err(|e| Error::io("cannot find", "the path of this binary", e))?;
    let argv = [&*binary.to_string_lossy(), "kernel", "run", "--connection-file", "{connection_file}"];
    let place = choice.place();
    let packages = place.site_packages();
    let extension = place.data_folder().join("labextensions").join(EXTENSION);
    let mut besides: Vec<(PathBuf, Vec<u8>)> = vec![
        (extension.join("package.json"), include_bytes!("support/package.json").to_vec()),
        (extension.join("static/remoteEntry.js"), include_bytes!("support/remoteEntry.js").to_vec()),
    ];
    packages.iter().for_each(|folder| besides.extend(package(folder)));
    let mut env = std::collections::BTreeMap::from([(CODEMIRROR.to_owned(), LANGUAGE.to_owned())]);
    if !packages.is_empty() {
        env.insert(PYGMENTS.to_owned(), LANGUAGE.to_owned());
    }
    let spec = Kernelspec {
        name: choice.name.clone().unwrap_or_else(|| NAME.into()),
        display_name: choice.display_name.clone().unwrap_or_else(|| "Étude".into()),
        language: LANGUAGE.into(),
        argv: argv.map(str::to_owned).into(),
        env,
        files: vec![
            ("logo-svg.svg", include_bytes!("logo/logo-svg.svg")),
            ("logo-32x32.png", include_bytes!("logo/logo-32x32.png")),
            ("logo-64x64.png", include_bytes!("logo/logo-64x64.png")),
        ],
        besides,
    };
    let folder = etude_kernel::install(&spec, &place).map_err(|e| Error::mistake(e.to_string()))?;
    Ok(Support { folder, packages })
}

/// The files of the Python package, as pip would have written them.
fn package(folder: &std::path::Path) -> Vec<(PathBuf, Vec<u8>)> {
    let version = env!("CARGO_PKG_VERSION");
    let info = format!("{PACKAGE}-{version}.dist-info");
    let metadata = format!(
        "Metadata-Version: 2.1\nName: etude-jupyter\nVersion: {version}\n\
         Summary: Rhai for papermill, Pygments and nbconvert; installed by `etude kernel install`\n"
    );
    let record =
        format!("{PACKAGE}.py,,\n{info}/METADATA,,\n{info}/entry_points.txt,,\n{info}/INSTALLER,,\n{info}/RECORD,,\n");
    vec![
        (folder.join(format!("{PACKAGE}.py")), include_bytes!("support/etude_jupyter.py").to_vec()),
        (folder.join(&info).join("METADATA"), metadata.into_bytes()),
        (folder.join(&info).join("entry_points.txt"), include_bytes!("support/entry_points.txt").to_vec()),
        (folder.join(&info).join("INSTALLER"), b"etude\n".to_vec()),
        (folder.join(&info).join("RECORD"), record.into_bytes()),
    ]
}

/// The kernels of this language that Jupyter finds, in the order in which it looks.
pub fn list() -> Vec<Installed> {
    etude_kernel::installed(LANGUAGE)
}

/// Removes a kernel that was installed, with what came with it: from the place that was chosen, else from the first that
/// has one. Returns its folder.
///
/// # Errors
/// No such kernel; a folder that cannot be removed.
pub fn uninstall(choice: &Choice) -> Result<PathBuf> {
    let name = choice.name.as_deref().unwrap_or(NAME);
    let place = (choice.prefix.is_some() || choice.sys_prefix).then(|| choice.place());
    let removed = etude_kernel::uninstall(name, LANGUAGE, place.as_ref()).map_err(|e| Error::mistake(e.to_string()))?;
    removed.ok_or_else(|| {
        let there: Vec<String> = list().into_iter().map(|kernel| kernel.name).collect();
        let hint = if there.is_empty() {
            "no kernel of Étude is installed".into()
        } else {
            format!("installed are: {}", there.join(", "))
        };
        Error::mistake(format!("there is no kernel named {name}")).with_hint(hint)
    })
}

/// The name of a highlighter: Rhai's where it was installed, else Rust's, whose syntax is similar.
pub(super) fn highlighter(variable: &str) -> String {
    std::env::var(variable).ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "rust".into())
}

/// The file of the kernel's history, beside that of the prompt; `ETUDE_HISTORY` set to nothing keeps none.
pub(super) fn history() -> Option<PathBuf> {
    if std::env::var_os("ETUDE_HISTORY").is_some_and(|value| value.is_empty()) {
        return None;
    }
    state_file("notebook_history.jsonl")
}

/// The file of the kernel's log, beside its history: `~/.local/state/etude/kernel.log`, or under `XDG_STATE_HOME`.
pub fn log_file() -> Option<PathBuf> {
    state_file("kernel.log")
}

fn state_file(name: &str) -> Option<PathBuf> {
    let set = std::env::var_os("XDG_STATE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set.or_else(|| Some(std::env::home_dir()?.join(".local/state")))?;
    Some(state.join("etude").join(name))
}
