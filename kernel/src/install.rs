//! Kernelspecs: the folders from which Jupyter starts kernels.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::places::{Place, data_folders};

/// The metadata key for additional installed files.
const BESIDES: &str = "installed_besides";

/// A kernelspec to install.
#[derive(Debug, Clone, Default)]
pub struct Kernelspec {
    /// The folder's name, by which front ends ask for it: letters, digits, `.`, `-`, `_`.
    pub name: String,
    /// The name in menus.
    pub display_name: String,
    /// The language's name.
    pub language: String,
    /// The command; `{connection_file}` is replaced by the path of the file.
    pub argv: Vec<String>,
    /// Environment variables of the kernel's process.
    pub env: BTreeMap<String, String>,
    /// Files beside it, such as `logo-svg.svg`.
    pub files: Vec<(&'static str, &'static [u8])>,
    /// Additional files, such as an extension of JupyterLab, that are removed on uninstallation.
    pub besides: Vec<(PathBuf, Vec<u8>)>,
}

/// A kernelspec that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The name front ends ask for.
    pub name: String,
    /// The name in menus.
    pub display_name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The program it starts.
    pub program: PathBuf,
}

/// Writes a kernelspec and returns its folder. One of the same name is replaced.
///
/// # Errors
/// A name Jupyter would not find; a folder the file system refuses.
pub fn install(spec: &Kernelspec, place: &Place) -> Result<PathBuf> {
    let folder = kernel_folder(&spec.name, place)?;
    fs::create_dir_all(&folder).map_err(|source| Error::Install { path: folder.clone(), source })?;
    for (path, content) in &spec.besides {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|source| Error::Install { path: parent.into(), source })?;
        }
        write(path, content)?;
    }
    let besides: Vec<String> = spec.besides.iter().map(|(path, _)| path.display().to_string()).collect();
    let metadata = if besides.is_empty() { json!({}) } else { json!({ BESIDES: besides }) };
    let kernel = json!({
        "argv": spec.argv,
        "display_name": spec.display_name,
        "language": spec.language,
        "interrupt_mode": "message",
        "env": spec.env,
        "metadata": metadata,
    });
    write(&folder.join("kernel.json"), format!("{kernel:#}\n").as_bytes())?;
    for (name, content) in &spec.files {
        write(&folder.join(name), content)?;
    }
    Ok(folder)
}

/// The installed kernels of a language, in Jupyter's order of search.
pub fn installed(language: &str) -> Vec<Installed> {
    let mut found = Vec::new();
    for folder in data_folders() {
        let entries = fs::read_dir(folder.join("kernels")).into_iter().flatten().flatten();
        let mut here: Vec<Installed> = entries.filter_map(|entry| read(&entry.path(), language)).collect();
        here.sort_by(|a, b| a.name.cmp(&b.name));
        found.extend(here);
    }
    found
}

/// Removes the kernel with a name and a language from a place, or from the first place that has it, with its additional
/// files; returns the removed folder, or `None` if there was none.
///
/// # Errors
/// A file system that refuses.
pub fn uninstall(name: &str, language: &str, place: Option<&Place>) -> Result<Option<PathBuf>> {
    let folder = match place {
        Some(place) => Some(kernel_folder(name, place)?).filter(|folder| read(folder, language).is_some()),
        None => installed(language).into_iter().find(|kernel| kernel.name == name).map(|kernel| kernel.folder),
    };
    let Some(folder) = folder else { return Ok(None) };
    for path in besides(&folder) {
        // A file that is already gone is fine.
        let _ = fs::remove_file(&path);
        for empty in path.ancestors().skip(1).take(2) {
            // A folder with other contents stays.
            let _ = fs::remove_dir(empty);
        }
    }
    fs::remove_dir_all(&folder).map_err(|source| Error::Install { path: folder.clone(), source })?;
    Ok(Some(folder))
}

fn kernel_folder(name: &str, place: &Place) -> Result<PathBuf> {
    let sound = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(sound) {
        return Err(Error::Unsupported(format!("kernel name '{name}': use letters, digits, '.', '-' and '_'")));
    }
    Ok(place.data_folder().join("kernels").join(name))
}

fn spec_of(folder: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(folder.join("kernel.json")).ok()?).ok()
}

fn read(folder: &Path, language: &str) -> Option<Installed> {
    let spec = spec_of(folder).filter(|spec| spec["language"] == language)?;
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(Installed {
        name: folder.file_name()?.to_string_lossy().into_owned(),
        display_name: word(&spec["display_name"]),
        folder: folder.into(),
        program: word(&spec["argv"][0]).into(),
    })
}

fn besides(folder: &Path) -> Vec<PathBuf> {
    let spec = spec_of(folder).unwrap_or_default();
    let listed = spec["metadata"][BESIDES].as_array().cloned().unwrap_or_default();
    listed.iter().filter_map(Value::as_str).map(PathBuf::from).collect()
}

/// Writes a file atomically.
fn write(path: &Path, content: &[u8]) -> Result<()> {
    let refused = |source| Error::Install { path: path.into(), source };
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
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
            ..Kernelspec::default()
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
    fn what_is_uninstalled_takes_along_what_came_with_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = Place::Prefix(dir.path().into());
        let extension = dir.path().join("share/jupyter/labextensions/echo/package.json");
        let mut spec = spec("echo");
        spec.besides = vec![(extension.clone(), b"{}".to_vec())];
        let folder = install(&spec, &place).expect("it is written");
        assert!(extension.is_file());
        assert_eq!(uninstall("echo", "rhai", Some(&place)).expect("no error"), None, "of another language");
        assert_eq!(uninstall("other", "echo", Some(&place)).expect("no error"), None);
        assert_eq!(uninstall("echo", "echo", Some(&place)).expect("it goes"), Some(folder.clone()));
        assert!(!folder.exists() && !extension.exists());
        assert!(!extension.parent().expect("a parent").exists(), "its own folder is empty and goes, too");
        assert!(dir.path().join("share/jupyter/kernels").is_dir(), "other kernels stay");
    }

    #[test]
    fn a_name_jupyter_would_not_find_is_refused() {
        for name in ["", "a b", "../x", "é", "."] {
            assert!(install(&spec(name), &Place::Prefix("/nowhere".into())).is_err(), "{name:?}");
        }
    }
}
