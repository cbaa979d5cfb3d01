//! Secrets: read when they are needed, from where the configuration says, so that one that was replaced is at work with the
//! next try. A secret never has a form in which it could be printed.

use std::{env, fmt, fs, io};

use crate::{
    config::SecretSource,
    sink::{Failure, Reason},
};

/// Longest secret that is read.
const LONGEST: u64 = 64 << 10;

/// The text of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Reads it.
    ///
    /// # Errors
    /// Where it is not there, is empty, or is no text of one line; the message has its place and not its text.
    pub fn read(source: &SecretSource) -> Result<Self, Failure> {
        let (place, text) = match source {
            SecretSource::File(path) => {
                let place = path.display().to_string();
                let size = fs::metadata(path).map(|file| file.len());
                let text = match size {
                    Ok(size) if size > LONGEST => Err(io::Error::other("larger than 64 KiB")),
                    Ok(_) => fs::read_to_string(path),
                    Err(error) => Err(error),
                };
                (place, text.map_err(|error| error.to_string()))
            }
            SecretSource::Env(name) => {
                (format!("${name}"), env::var(name).map_err(|error| error.to_string()))
            }
        };
        let local = |why: &str| Failure::new(Reason::Local, format!("cannot read the secret {place}: {why}"));
        let text = text.map_err(|error| local(&error))?;
        let text = text.trim();
        match text {
            "" => Err(local("it is empty")),
            _ if text.chars().any(char::is_control) => Err(local("it is more than one line")),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// The text, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_anew_and_never_printed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = SecretSource::File(file.path().to_owned());
        assert!(Secret::read(&source).unwrap_err().message.contains("it is empty"));
        for text in ["first", "second\n"] {
            fs::write(file.path(), text).unwrap();
            let secret = Secret::read(&source).unwrap();
            assert_eq!(secret.expose(), text.trim());
            assert_eq!(format!("{secret:?}"), "Secret(…)");
        }
        fs::write(file.path(), "two\nlines").unwrap();
        let error = Secret::read(&source).unwrap_err();
        assert!(error.message.contains("more than one line") && !error.message.contains("two"), "{error:?}");
        let missing = SecretSource::Env("VEDETTE_NO_SUCH_SECRET".to_owned());
        assert_eq!(Secret::read(&missing).unwrap_err().reason, Reason::Local);
    }
}
