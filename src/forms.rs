//! Serde helpers: a text where a list of texts is meant, paths that are not UTF-8.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A list of texts, or one text as a list of one; for `#[serde(deserialize_with = …)]`.
///
/// # Errors
/// Anything else.
pub fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_any(OneOrMany)
}

/// [`one_or_many`] for words without commas: a text may hold several separated by commas.
///
/// # Errors
/// Anything else.
pub fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let all = deserializer.deserialize_any(OneOrMany)?;
    let words = all.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|word| !word.is_empty());
    Ok(words.map(String::from).collect())
}

struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or an array of texts")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(vec![text.to_owned()])
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(all)
    }
}

/// A path in JSON: its text, or `{"bytes": [..]}` where it is not UTF-8; for `#[serde(with = …)]`.
#[derive(Serialize)]
#[serde(untagged)]
enum StoredPath {
    Text(String),
    Bytes { bytes: Vec<u8> },
}

impl<'de> Deserialize<'de> for StoredPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = StoredPath;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<StoredPath, E> {
                Ok(StoredPath::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StoredPath, A::Error> {
                match map.next_entry::<String, Vec<u8>>()? {
                    Some((key, bytes)) if key == "bytes" => Ok(StoredPath::Bytes { bytes }),
                    _ => Err(A::Error::custom("a path that is not a text has its bytes")),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl StoredPath {
    fn of(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes { bytes: path.as_os_str().as_encoded_bytes().to_vec() },
        }
    }

    fn path(self) -> Result<PathBuf, &'static str> {
        match self {
            Self::Text(text) => Ok(text.into()),
            #[cfg(unix)]
            Self::Bytes { bytes } => {
                use std::os::unix::ffi::OsStringExt;
                Ok(std::ffi::OsString::from_vec(bytes).into())
            }
            #[cfg(not(unix))]
            Self::Bytes { .. } => Err("a path that only the system it was written on can name"),
        }
    }
}

/// A path that may be absent.
pub mod path {
    use super::*;

    /// Writes the path.
    ///
    /// # Errors
    /// Those of the format.
    pub fn serialize<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_deref().map(StoredPath::of).serialize(serializer)
    }

    /// Reads the path.
    ///
    /// # Errors
    /// Neither a text nor bytes.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
        let stored = Option::<StoredPath>::deserialize(deserializer)?;
        stored.map(StoredPath::path).transpose().map_err(D::Error::custom)
    }
}

/// Paths.
pub mod paths {
    use super::*;

    /// Writes the paths.
    ///
    /// # Errors
    /// Those of the format.
    pub fn serialize<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(paths.iter().map(|path| StoredPath::of(path)))
    }

    /// Reads the paths.
    ///
    /// # Errors
    /// Neither a text nor bytes.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
        let stored = Vec::<StoredPath>::deserialize(deserializer)?;
        stored.into_iter().map(|path| path.path().map_err(D::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Held {
        #[serde(with = "super::path")]
        one: Option<PathBuf>,
        #[serde(with = "super::paths")]
        many: Vec<PathBuf>,
        #[serde(deserialize_with = "one_or_many")]
        names: Vec<String>,
    }

    #[cfg(unix)]
    #[test]
    fn paths_of_any_bytes_come_back() {
        use std::os::unix::ffi::OsStrExt;
        let odd = PathBuf::from(std::ffi::OsStr::from_bytes(b"caf\xe9/\xff.mid"));
        let held = Held { one: Some(odd.clone()), many: vec!["a.mid".into(), odd], names: vec!["a".into()] };
        let text = serde_json::to_string(&held).expect("it can be written");
        assert!(text.contains("\"a.mid\""), "a path that is UTF-8 is a text: {text}");
        assert_eq!(serde_json::from_str::<Held>(&text).expect("its own"), held);
    }

    #[test]
    fn a_text_serves_for_a_list_of_one() {
        let names = |json: &str| {
            serde_json::from_str::<Held>(&format!(r#"{{"one": null, "many": [], "names": {json}}}"#)).map(|h| h.names)
        };
        assert_eq!(names(r#""all-linear""#).expect("one"), ["all-linear"]);
        assert_eq!(names(r#"["a", "b"]"#).expect("two"), ["a", "b"]);
        assert_eq!(names("null").expect("none"), [""; 0]);
        assert!(names("3").is_err() && names("[3]").is_err());
    }
}
