//! Finds files by a pattern: `midi/*.mid`, `**/*.mid`, `solo-?.mid`, `[a-f]*.csv`.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;

/// The files and folders that match a pattern, sorted. `*` and `?` match characters of one name, `[a-f]` one of these,
/// `**` folders of any depth. Names with a leading dot match only a pattern with it.
///
/// # Errors
/// `interrupted`, when the user cancels.
pub(crate) fn glob(pattern: &str, interrupt: &Interrupt) -> Result<Vec<String>> {
    let mut found = vec![PathBuf::from(if pattern.starts_with('/') { "/" } else { "" })];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for folder in &found {
            interrupt.check()?;
            match part {
                "**" => {
                    next.push(folder.clone());
                    deep(folder, &mut next, interrupt)?;
                }
                _ if !part.contains(['*', '?', '[']) => next.push(folder.join(part)),
                _ => next
                    .extend(entries(folder).into_iter().filter(|name| fits(part, name)).map(|name| folder.join(name))),
            }
        }
        found = next;
    }
    let mut names: Vec<String> = found
        .into_iter()
        .filter(|path| !path.as_os_str().is_empty() && path.symlink_metadata().is_ok())
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// The names in a folder, sorted; empty if it cannot be read.
pub(crate) fn entries(folder: &Path) -> Vec<String> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(read) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = read.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The names in a folder, sorted.
///
/// # Errors
/// A folder that cannot be read.
pub(crate) fn list(folder: &Path) -> Result<Vec<String>> {
    std::fs::read_dir(folder).map_err(|error| Error::io("cannot read the folder", folder, error))?;
    Ok(entries(folder))
}

/// All folders below one; links to folders are not followed.
fn deep(folder: &Path, found: &mut Vec<PathBuf>, interrupt: &Interrupt) -> Result<()> {
    interrupt.check()?;
    for name in entries(folder).into_iter().filter(|name| !name.starts_with('.')) {
        let path = folder.join(name);
        if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            found.push(path.clone());
            deep(&path, found, interrupt)?;
        }
    }
    Ok(())
}

/// Whether a name matches a pattern without slashes.
fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // The position of the last `*`, and the number of characters it has matched.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let taken = match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some('?') => Some(p + 1),
            Some('[') => class(&pattern[p..], name[n]).and_then(|(fits, len)| fits.then_some(p + len)),
            Some(c) if *c == name[n] => Some(p + 1),
            _ => None,
        };
        match (taken, star) {
            (Some(next), _) => (p, n) = (next, n + 1),
            (None, Some((at, from))) => {
                star = Some((at, from + 1));
                (p, n) = (at + 1, from + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Whether a character matches the class `[a-f]` or `[!a-f]`, and the length of the class; an unclosed `[` matches
/// itself.
fn class(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let Some(close) = pattern.iter().skip(2).position(|p| *p == ']').map(|at| at + 2) else {
        return Some((c == '[', 1));
    };
    let not = matches!(pattern[1], '!' | '^');
    let inside = &pattern[1 + usize::from(not)..close];
    let mut within = false;
    let mut i = 0;
    while i < inside.len() {
        match inside.get(i + 1..i + 3) {
            Some(['-', to]) => {
                within |= (inside[i]..=*to).contains(&c);
                i += 3;
            }
            _ => {
                within |= inside[i] == c;
                i += 1;
            }
        }
    }
    Some((within != not, close + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_names() {
        for (pattern, name) in [
            ("*.mid", "a.mid"),
            ("a*b*c", "aXbYbZc"),
            ("?.x", "é.x"),
            ("[a-c]1", "b1"),
            ("[!a]", "b"),
            (".*", ".a"),
            ("[", "["),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*.mid", "a.midi"), ("*", ".hidden"), ("[a-c]1", "d1"), ("a?", "a"), ("", "a")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn folders_are_searched() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.mid", "a.mid", "c.txt", "sub/d.mid", "sub/deeper/e.mid"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, "").expect("written");
        }
        let found = |pattern: &str| -> Vec<String> {
            let all = glob(&format!("{}/{pattern}", folder.path().display()), &Interrupt::new()).expect("read");
            all.iter().map(|path| path[folder.path().display().to_string().len() + 1..].to_string()).collect()
        };
        assert_eq!(found("*.mid"), ["a.mid", "b.mid"]);
        assert_eq!(found("**/*.mid"), ["a.mid", "b.mid", "sub/d.mid", "sub/deeper/e.mid"]);
        assert_eq!(found("sub/*"), ["sub/d.mid", "sub/deeper"]);
        assert_eq!(found("no/such"), [""; 0]);
    }
}
