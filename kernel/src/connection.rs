//! The connection file: where the front end listens and how messages are signed.

use std::path::Path;

use jupyter_protocol::ConnectionInfo;
use serde_json::Value;

use crate::error::{Error, Result};

/// Reads a connection file.
///
/// # Errors
/// Names the file; refuses a signature scheme other than `hmac-sha256`, and CurveZMQ keys, which this host does not
/// speak.
pub fn read_connection(path: &Path) -> Result<ConnectionInfo> {
    let broken = |source: Box<dyn std::error::Error + Send + Sync>| Error::ConnectionFile { path: path.into(), source };
    let text = std::fs::read_to_string(path).map_err(|e| broken(Box::new(e)))?;
    parse_connection(&text).map_err(|e| match e {
        Error::Unsupported(why) => Error::Unsupported(format!("{}: {why}", path.display())),
        other => broken(Box::new(other)),
    })
}

/// Reads the text of a connection file; see [`read_connection`].
///
/// # Errors
/// See [`read_connection`].
///
/// ```
/// let file = r#"{"transport": "tcp", "ip": "127.0.0.1", "shell_port": 1, "iopub_port": 2, "stdin_port": 3,
///     "control_port": 4, "hb_port": 5, "key": "secret", "signature_scheme": "hmac-sha256"}"#;
/// assert_eq!(etude_kernel::parse_connection(file).expect("a connection file").hb_port, 5);
/// assert!(etude_kernel::parse_connection("{").is_err());
/// ```
pub fn parse_connection(text: &str) -> Result<ConnectionInfo> {
    let value: Value = serde_json::from_str(text).map_err(|e| Error::Unsupported(format!("no JSON: {e}")))?;
    if value.as_object().is_some_and(|keys| keys.keys().any(|key| key.starts_with("curve_"))) {
        return Err(Error::Unsupported("CurveZMQ encryption is not spoken; start the kernel without it".into()));
    }
    let mut info: ConnectionInfo =
        serde_json::from_value(value).map_err(|e| Error::Unsupported(format!("not a connection file: {e}")))?;
    if !info.key.is_empty() && info.signature_scheme != "hmac-sha256" {
        let scheme = &info.signature_scheme;
        return Err(Error::Unsupported(format!("signature scheme '{scheme}' is not spoken, only hmac-sha256")));
    }
    if info.ip == "*" {
        // The ZeroMQ library takes the star for a host name.
        info.ip = "0.0.0.0".into();
    }
    Ok(info)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(extra: &str) -> String {
        format!(
            r#"{{"transport":"tcp","ip":"*","shell_port":1,"iopub_port":2,"stdin_port":3,"control_port":4,
                "hb_port":5,"key":"k"{extra}}}"#
        )
    }

    #[test]
    fn a_plain_file_is_read_and_the_star_means_all_addresses() {
        let info = parse_connection(&file(r#","signature_scheme":"hmac-sha256""#)).expect("it is sound");
        assert_eq!((info.ip.as_str(), info.hb_port), ("0.0.0.0", 5));
    }

    #[test]
    fn what_is_not_spoken_is_refused_by_name() {
        let md5 = parse_connection(&file(r#","signature_scheme":"hmac-md5""#)).expect_err("not spoken");
        assert!(md5.to_string().contains("hmac-md5"), "{md5}");
        let curve = file(r#","signature_scheme":"hmac-sha256","curve_publickey":"x""#);
        assert!(parse_connection(&curve).expect_err("not spoken").to_string().contains("CurveZMQ"));
        assert!(parse_connection("{").is_err());
    }
}
