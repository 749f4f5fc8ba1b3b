//! Access to an MLflow server: address, credentials and TLS certificates, from MLflow's own environment variables
//! (mlflow.org/docs/latest/ml/tracking/server/#environment-variables).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::error::{Error, Result};

/// Looks up an environment variable.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The address of a server and how to authenticate.
#[derive(Clone)]
pub(super) struct Access {
    /// Without user and password, and without a slash at the end.
    pub(super) address: String,
    /// The value of the header `Authorization`.
    pub(super) authorization: Option<String>,
    tls: Option<TlsConfig>,
}

impl fmt::Debug for Access {
    /// Does not print secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.authorization.as_ref().map(|_| "…");
        f.debug_struct("Access").field("address", &self.address).field("authorization", &secret).finish()
    }
}

impl Access {
    /// Reads an address and what the environment says beside it: `MLFLOW_TRACKING_USERNAME` and
    /// `MLFLOW_TRACKING_PASSWORD`, or a user and a password in the address, else `MLFLOW_TRACKING_TOKEN`;
    /// `MLFLOW_TRACKING_SERVER_CERT_PATH`, `MLFLOW_TRACKING_INSECURE_TLS`.
    ///
    /// # Errors
    /// An address of another kind is refused for what it is; certificates that cannot be read are named.
    pub(super) fn of(given: &str, variable: Lookup<'_>) -> Result<Self> {
        let given = given.trim();
        let Some((scheme, rest)) = given.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme))
        else {
            return Err(other_kind(given));
        };
        let (user, host) = match rest.split_once('/').unwrap_or((rest, "")).0.rsplit_once('@') {
            Some((user, _)) => (Some(user), &rest[user.len() + 1..]),
            None => (None, rest),
        };
        let address = format!("{scheme}://{}", host.trim_end_matches('/'));
        if host.trim_matches('/').is_empty() {
            return Err(Error::mistake(format!("the address of the MLflow server, {address}, names no machine")));
        }
        let in_address = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            (decoded(name), decoded(password))
        });
        let variables = variable("MLFLOW_TRACKING_USERNAME").zip(variable("MLFLOW_TRACKING_PASSWORD"));
        let basic = in_address
            .or(variables)
            .map(|(name, password)| format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))));
        let authorization = basic.or_else(|| variable("MLFLOW_TRACKING_TOKEN").map(|token| format!("Bearer {token}")));
        let tls = if scheme == "https" { tls(variable)? } else { None };
        Ok(Self { address, authorization, tls })
    }

    /// An HTTP client for the server.
    pub(super) fn agent(&self, patience: std::time::Duration) -> ureq::Agent {
        let config = ureq::Agent::config_builder().timeout_global(Some(patience)).http_status_as_error(false);
        match &self.tls {
            Some(tls) => config.tls_config(tls.clone()).build().into(),
            None => config.build().into(),
        }
    }
}

/// The TLS settings of the environment, if any.
fn tls(variable: Lookup<'_>) -> Result<Option<TlsConfig>> {
    if let Some(path) = variable("MLFLOW_TRACKING_SERVER_CERT_PATH") {
        let pem = crate::files::read_text(&crate::files::locate(&path)?)?;
        let certificates = ureq::tls::parse_pem(pem.as_bytes()).filter_map(|item| match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        let certificates: Vec<Certificate<'static>> = certificates.collect();
        if certificates.is_empty() {
            return Err(Error::broken(format!("{path} holds no certificate"))
                .with_hint("MLFLOW_TRACKING_SERVER_CERT_PATH names a file in PEM, -----BEGIN CERTIFICATE-----"));
        }
        return Ok(Some(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certificates)).build()));
    }
    let yes = |word: String| ["1", "true"].contains(&word.to_lowercase().as_str());
    let careless = variable("MLFLOW_TRACKING_INSECURE_TLS").is_some_and(yes);
    Ok(careless.then(|| TlsConfig::builder().disable_verification(true).build()))
}

/// The error for an address that is not a server's.
fn other_kind(given: &str) -> Error {
    let served = |store: &str| {
        format!(
            "let MLflow serve it: mlflow server --backend-store-uri {store}; then \
             MLFLOW_TRACKING_URI=http://127.0.0.1:5000"
        )
    };
    let scheme = given.split(':').next().unwrap_or_default().to_lowercase();
    let kind = scheme.split('+').next().unwrap_or_default();
    match kind {
        "sqlite" | "postgresql" | "postgres" | "mysql" | "mssql" => {
            // The address of a database may contain its password.
            let shown = if kind == "sqlite" { given.to_string() } else { format!("{kind}://…") };
            Error::mistake(format!("{shown} is a database, whose tables MLflow alone writes")).with_hint(served(&shown))
        }
        "databricks" | "databricks-uc" | "uc" => {
            Error::mistake(format!("{given} signs in with a profile of Databricks, which is not read here"))
                .with_hint("give the workspace's https:// address, and MLFLOW_TRACKING_TOKEN")
        }
        "file" => {
            Error::mistake(format!("{given} is a folder, whose files MLflow alone writes")).with_hint(served(given))
        }
        _ if given.contains("://") => Error::mistake(format!(
            "{scheme}:// is not an address of an MLflow server: they begin with http:// or https://"
        )),
        _ if given.contains(':') && !given.starts_with(['/', '.']) => {
            Error::mistake(format!("the address of an MLflow server begins with http:// or https://, not '{given}'"))
                .with_hint(format!("http://{given}"))
        }
        _ => Error::mistake(format!("{given} is a folder, whose files MLflow alone writes")).with_hint(served(given)),
    }
}

/// Decodes percent-encoding.
fn decoded(part: &str) -> String {
    let bytes = part.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let code = (byte == b'%').then(|| part.get(at + 1..at + 3)).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) => {
                out.push(code);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(given: &str, variables: &[(&str, &str)]) -> Result<Access> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
        Access::of(given, &find)
    }

    fn asks(given: &str, variables: &[(&str, &str)]) -> (String, Option<String>) {
        let access = access(given, variables).expect("a server");
        (access.address, access.authorization)
    }

    #[test]
    fn credentials_are_those_of_the_address_or_of_the_variables() {
        let login = [("MLFLOW_TRACKING_USERNAME", "Aladdin"), ("MLFLOW_TRACKING_PASSWORD", "open sesame")];
        let token = [("MLFLOW_TRACKING_TOKEN", "t0ken")];
        // The example of RFC 7617, section 2.
        let aladdin = Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_string());
        assert_eq!(asks("http://a:5000/", &[]), ("http://a:5000".into(), None));
        assert_eq!(asks("https://a/ml/", &login), ("https://a/ml".into(), aladdin.clone()));
        assert_eq!(asks("https://a", &token), ("https://a".into(), Some("Bearer t0ken".into())));
        assert_eq!(asks("https://a", &[&login[..], &token].concat()).1, aladdin, "as MLflow has it");
        assert_eq!(asks("http://Aladdin:open%20sesame@a:5/x", &token), ("http://a:5/x".into(), aladdin));
        let half = [("MLFLOW_TRACKING_USERNAME", "Aladdin"), token[0]];
        assert_eq!(asks("https://a", &half).1, Some("Bearer t0ken".into()), "a user without a password");
        let shown = format!("{:?}", access("https://u:secret@a", &[]).expect("a server"));
        assert!(!shown.contains("secret") && !shown.contains("dTpz"), "{shown}");
    }

    #[test]
    fn what_is_no_server_is_refused_for_what_it_is() {
        for (given, why) in [
            ("sqlite:///mlflow.db", "database"),
            ("postgresql+psycopg2://me:secret@db/mlflow", "database"),
            ("file:///tmp/mlruns", "folder"),
            ("./mlruns", "folder"),
            ("/data/mlruns", "folder"),
            ("databricks", "folder"),
            ("databricks://prod", "Databricks"),
            ("ftp://a", "ftp://"),
            ("127.0.0.1:5000", "begins with http:// or https://"),
            ("http://", "no machine"),
        ] {
            let error = access(given, &[]).expect_err(given).to_string();
            let why = if given == "databricks" { "Databricks" } else { why };
            assert!(error.contains(why) && !error.contains("secret"), "{given}: {error}");
        }
        assert!(
            access("sqlite:///mlflow.db", &[]).is_err_and(|e| e.hint().is_some_and(|h| h.contains("mlflow server")))
        );
    }

    #[test]
    fn certificates_are_read_from_the_file_that_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, "nothing of the kind").expect("written");
        let named = path.display().to_string();
        let variables = [("MLFLOW_TRACKING_SERVER_CERT_PATH", named.as_str())];
        assert!(access("https://a", &variables).is_err_and(|e| e.message().contains("no certificate")));
        assert!(access("http://a", &variables).is_ok(), "nothing is signed");
        assert!(access("https://a", &[("MLFLOW_TRACKING_INSECURE_TLS", "true")]).is_ok());
    }
}
