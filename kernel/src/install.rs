//! Kernelspecs: the folder that tells Jupyter how to start a kernel.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::error::{Error, Result};

/// What Jupyter shows and starts.
#[derive(Debug, Clone)]
pub struct Kernelspec {
    /// The folder's name, by which front ends ask for it: letters, digits, `.`, `-`, `_`.
    pub name: String,
    /// The name in menus.
    pub display_name: String,
    /// The language's name.
    pub language: String,
    /// The command; `{connection_file}` stands for the file.
    pub argv: Vec<String>,
    /// Files beside it, such as `logo-svg.svg`.
    pub files: Vec<(&'static str, &'static [u8])>,
}

/// Where a kernelspec goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The user's own data folder (`JUPYTER_DATA_DIR`, else the system's usual one).
    User,
    /// `PREFIX/share/jupyter`.
    Prefix(PathBuf),
    /// The environment that is active (`VIRTUAL_ENV`, `CONDA_PREFIX`), else `/usr/local`.
    SysPrefix,
}

impl Place {
    fn folder(&self) -> PathBuf {
        match self {
            Self::User => jupyter_zmq_client::dirs::user_data_dir().unwrap_or_else(|_| PathBuf::from(".jupyter")),
            Self::Prefix(prefix) => prefix.join("share/jupyter"),
            Self::SysPrefix => ["VIRTUAL_ENV", "CONDA_PREFIX"]
                .iter()
                .find_map(std::env::var_os)
                .map_or_else(|| PathBuf::from("/usr/local"), PathBuf::from)
                .join("share/jupyter"),
        }
    }
}

/// Writes a kernelspec and returns its folder. One of the same name is replaced.
///
/// # Errors
/// A name Jupyter would not find; a folder the file system refuses.
pub fn install(spec: &Kernelspec, place: &Place) -> Result<PathBuf> {
    let sound = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if spec.name.is_empty() || !spec.name.chars().all(sound) {
        let name = &spec.name;
        return Err(Error::Unsupported(format!("kernel name '{name}': use letters, digits, '.', '-' and '_'")));
    }
    let folder = place.folder().join("kernels").join(&spec.name);
    fs::create_dir_all(&folder).map_err(|source| Error::Install { path: folder.clone(), source })?;
    let kernel = json!({
        "argv": spec.argv,
        "display_name": spec.display_name,
        "language": spec.language,
        "interrupt_mode": "message",
        "metadata": {},
    });
    write(&folder.join("kernel.json"), format!("{kernel:#}\n").as_bytes())?;
    for (name, content) in &spec.files {
        write(&folder.join(name), content)?;
    }
    Ok(folder)
}

/// Writes a whole file or nothing.
fn write(path: &Path, content: &[u8]) -> Result<()> {
    let refused = |source| Error::Install { path: path.into(), source };
    let part = path.with_extension("part");
    let mut file = fs::File::create(&part).map_err(refused)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(refused)?;
    fs::rename(&part, path).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str) -> Kernelspec {
        Kernelspec {
            name: name.into(),
            display_name: "Echo".into(),
            language: "echo".into(),
            argv: vec!["echo".into(), "{connection_file}".into()],
            files: vec![("logo-svg.svg", b"<svg/>")],
        }
    }

    #[test]
    fn a_spec_is_a_folder_jupyter_can_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = Place::Prefix(dir.path().into());
        let folder = install(&spec("echo"), &place).expect("it is written");
        install(&spec("echo"), &place).expect("it is replaced");
        assert_eq!(folder, dir.path().join("share/jupyter/kernels/echo"));
        let text = fs::read_to_string(folder.join("kernel.json")).expect("it is there");
        let kernel: jupyter_protocol::JupyterKernelspec = serde_json::from_str(&text).expect("it is a kernelspec");
        assert_eq!((kernel.display_name.as_str(), kernel.argv.len()), ("Echo", 2));
        assert_eq!(kernel.interrupt_mode.as_deref(), Some("message"));
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 2, "no half-written file stays");
    }

    #[test]
    fn a_name_jupyter_would_not_find_is_refused() {
        for name in ["", "a b", "../x", "é"] {
            assert!(install(&spec(name), &Place::Prefix("/nowhere".into())).is_err(), "{name:?}");
        }
    }
}
