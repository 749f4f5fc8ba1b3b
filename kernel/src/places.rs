//! The folders in which Jupyter looks for kernels.

use std::path::{Path, PathBuf};

/// Where to install a kernelspec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The user's own data folder (`JUPYTER_DATA_DIR`, else the system's usual one).
    User,
    /// `PREFIX/share/jupyter`.
    Prefix(PathBuf),
    /// The active environment (`VIRTUAL_ENV`, `CONDA_PREFIX`), else `/usr/local`.
    SysPrefix,
}

impl Place {
    /// The data folder of Jupyter in this place, with kernels in `kernels` and extensions of JupyterLab in
    /// `labextensions`.
    pub fn data_folder(&self) -> PathBuf {
        match self {
            Self::User => user_data(),
            Self::Prefix(prefix) => prefix.join("share/jupyter"),
            Self::SysPrefix => environment().join("share/jupyter"),
        }
    }

    /// The site-packages folders in this place, one for each Python.
    pub fn site_packages(&self) -> Vec<PathBuf> {
        let root = match self {
            Self::User => std::env::home_dir().unwrap_or_default().join(".local"),
            Self::Prefix(prefix) => prefix.clone(),
            Self::SysPrefix => environment(),
        };
        let mut found: Vec<PathBuf> = std::fs::read_dir(root.join("lib"))
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("python3."))
            .map(|entry| entry.path().join("site-packages"))
            .chain([root.join("Lib/site-packages")])
            .filter(|folder| folder.is_dir())
            .collect();
        found.sort();
        found
    }
}

/// All data folders of Jupyter, in the order of search.
pub(crate) fn data_folders() -> Vec<PathBuf> {
    let listed = std::env::var_os("JUPYTER_PATH");
    let mut folders: Vec<PathBuf> = listed.iter().flat_map(std::env::split_paths).collect();
    folders.push(user_data());
    folders.push(environment().join("share/jupyter"));
    folders.extend(["/usr/local/share/jupyter", "/usr/share/jupyter"].map(PathBuf::from));
    let mut seen = std::collections::HashSet::new();
    folders.retain(|folder| !folder.as_os_str().is_empty() && seen.insert(folder.clone()));
    folders
}

fn user_data() -> PathBuf {
    let named = std::env::var_os("JUPYTER_DATA_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    named.or_else(|| jupyter_zmq_client::dirs::user_data_dir().ok()).unwrap_or_else(|| PathBuf::from(".jupyter"))
}

fn environment() -> PathBuf {
    ["VIRTUAL_ENV", "CONDA_PREFIX"]
        .iter()
        .find_map(std::env::var_os)
        .map_or_else(|| Path::new("/usr/local").into(), PathBuf::from)
}
