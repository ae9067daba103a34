//! A command as it is to be started: plain data, which can be sent to another process.
//!
//! It holds the run's token and whatever else the command's environment has: it is never logged.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::accounts::Account;
use crate::run::TerminalSize;

/// All that is needed to start a command.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The program's name, which is looked for as the shell does, and its arguments.
    pub words: Vec<String>,
    /// All variables; of two with the same name the last one counts.
    #[serde(with = "variables")]
    pub environment: Vec<(OsString, OsString)>,
    /// Where it starts.
    pub directory: Directory,
    /// The user that it becomes, if that is not the caller's own.
    #[serde(default)]
    pub account: Option<Account>,
    /// Whether it is given a standard input; else it has /dev/null.
    #[serde(default)]
    pub has_stdin: bool,
    /// The terminal that it is given in place of pipes.
    #[serde(default)]
    pub terminal: Option<TerminalSize>,
}

/// Where a command starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Directory {
    /// There or nowhere.
    Asked(#[serde(with = "path")] PathBuf),
    /// In the first of these that can be entered.
    FirstOf(#[serde(with = "paths")] Vec<PathBuf>),
}

impl Directory {
    /// All that may be tried, in this order.
    pub fn candidates(&self) -> &[PathBuf] {
        match self {
            Directory::Asked(asked) => std::slice::from_ref(asked),
            Directory::FirstOf(all) => all,
        }
    }
}

/// Bytes as JSON has them: a text where they are one.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Other { base64: String },
}

impl Bytes {
    fn new(text: &OsStr) -> Bytes {
        match text.to_str() {
            Some(text) => Bytes::Text(text.to_owned()),
            None => Bytes::Other { base64: STANDARD.encode(text.as_bytes()) },
        }
    }

    fn text(self) -> Result<OsString, base64::DecodeError> {
        match self {
            Bytes::Text(text) => Ok(text.into()),
            Bytes::Other { base64 } => STANDARD.decode(base64).map(OsString::from_vec),
        }
    }
}

mod variables {
    use super::{Bytes, Deserialize as _, Deserializer, OsString, Serializer};

    pub fn serialize<S: Serializer>(all: &[(OsString, OsString)], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(all.iter().map(|(key, value)| (Bytes::new(key), Bytes::new(value))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(OsString, OsString)>, D::Error> {
        let all = Vec::<(Bytes, Bytes)>::deserialize(from)?;
        let texts = all.into_iter().map(|(key, value)| Ok((key.text()?, value.text()?)));
        texts.collect::<Result<_, base64::DecodeError>>().map_err(serde::de::Error::custom)
    }
}

mod path {
    use super::{Bytes, Deserialize as _, Deserializer, Path, PathBuf, Serialize as _, Serializer};

    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        Bytes::new(path.as_os_str()).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        let bytes = Bytes::deserialize(from)?;
        bytes.text().map(PathBuf::from).map_err(serde::de::Error::custom)
    }
}

mod paths {
    use super::{Bytes, Deserialize as _, Deserializer, PathBuf, Serializer};

    pub fn serialize<S: Serializer>(paths: &[PathBuf], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(paths.iter().map(|path| Bytes::new(path.as_os_str())))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
        let all = Vec::<Bytes>::deserialize(from)?;
        let texts = all.into_iter().map(|bytes| bytes.text().map(PathBuf::from));
        texts.collect::<Result<_, _>>().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_sent_too() {
        let odd = OsString::from_vec(vec![b'a', 0xff]);
        let description = Description {
            words: vec!["true".to_owned()],
            environment: vec![("K".into(), odd.clone()), (odd.clone(), "v".into())],
            directory: Directory::FirstOf(vec![PathBuf::from(&odd), "/".into()]),
            account: None,
            has_stdin: true,
            terminal: Some(TerminalSize::default()),
        };
        let sent = serde_json::to_string(&description).expect("JSON");
        assert!(serde_json::from_str::<Description>(&sent).expect("read") == description, "{sent}");
    }
}
