//! Why a process ends before it was told to, and how it says so: one line with a stable code and a remedy, one exit code.

use std::borrow::Cow;
use std::fmt;
use std::process::ExitCode;

use cluster::membership::KeeperError;
use cluster::secret::SecretError;
use cluster::store::StoreError;

use crate::config::EXIT_CONFIGURATION;
use crate::listen::BindError;
use crate::tls::TlsError;

/// What a process ends with. A part's own error becomes one by `From`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable, `snake_case`.
    pub code: &'static str,
    /// What happened.
    pub what: String,
    /// What an operator can do about it, where something can be said.
    pub remedy: Option<Cow<'static, str>>,
    /// The process' exit code: 2 where the configuration has to change, 1 otherwise.
    pub exit: u8,
}

/// The end of a process: 0, or the failure's exit code once it is logged.
pub fn end(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, what, remedy, exit }) => {
            tracing::error!(code, remedy = remedy.as_deref(), "{what}");
            ExitCode::from(exit)
        }
    }
}

// === impl Failure ===

impl Failure {
    /// A failure without a remedy; exits with 1.
    pub fn new(code: &'static str, what: impl fmt::Display) -> Self {
        Self { code, what: what.to_string(), remedy: None, exit: 1 }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<Cow<'static, str>>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The same, of the configuration.
    #[must_use]
    pub fn of_configuration(mut self) -> Self {
        self.exit = EXIT_CONFIGURATION;
        self
    }

    /// The same with `text` before it: which part failed.
    #[must_use]
    pub fn within(mut self, part: impl fmt::Display) -> Self {
        self.what = format!("{part}: {}", self.what);
        self
    }

    /// Of a text that has its remedy behind a semicolon.
    fn parted(code: &'static str, text: &str, otherwise: &'static str) -> Self {
        match text.split_once("; ") {
            Some((what, remedy)) => Self::new(code, what).remedy(remedy.to_owned()),
            None => Self::new(code, text).remedy(otherwise),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new("system_refused", format!("the system refuses: {error}"))
            .remedy("look at the limits that this process runs under")
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        Self::parted(error.code(), &error.to_string(), "give another address")
    }
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        let remedy = "give files that were made together";
        Self::parted(error.code(), &error.to_string(), remedy).of_configuration()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let failure = Self::new(error.code(), &error).remedy(error.remedy());
        match error {
            StoreError::Invalid { .. } | StoreError::Unsupported { .. } => failure.of_configuration(),
            _ => failure,
        }
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Self::new("bad_secret", error).remedy("correct --secret and --previous-secrets").of_configuration()
    }
}

impl From<KeeperError> for Failure {
    fn from(error: KeeperError) -> Self {
        Self::new(error.code(), &error).remedy(error.remedy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::bind;

    #[tokio::test]
    async fn a_remedy_is_told_apart_from_what_happened() {
        let taken = bind("listen", "127.0.0.1:0".parse().unwrap()).unwrap();
        let failure = Failure::from(bind("listen", taken.address()).unwrap_err());
        assert_eq!(failure.code, "bind_failed");
        assert!(failure.what.ends_with("the port is taken by another process"), "{failure:?}");
        assert!(failure.remedy.unwrap().starts_with("stop it or choose another port"));
        assert_eq!(failure.exit, 1);
    }

    #[test]
    fn only_what_the_configuration_says_ends_with_its_exit_code() {
        let unsupported = StoreError::Unsupported { cause: "Redis Cluster".into() };
        let denied = StoreError::Denied { address: "a:1".into(), cause: "WRONGPASS".into() };
        let exits = [unsupported, denied].map(|error| Failure::from(error).exit);
        assert_eq!(exits, [EXIT_CONFIGURATION, 1]);
        assert_eq!(Failure::from(KeeperError::Replaced { id: "n1".into() }).code, "id_replaced");
    }
}
