//! Parameters: what whoever starts a job may say, checked, and how a command learns of it.
//!
//! A value reaches the command as an environment variable and in no other way: it is never part of a command line or script.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::numbers;

/// Characters of a text, unless a parameter says otherwise.
const TEXT_CHARS: i64 = 1_000;
/// Characters that a parameter may allow a text, at most.
pub const TEXT_CHARS_MAX: i64 = 16_384;
/// Texts that a parameter may offer to choose from, at most.
pub const CHOICES_MAX: usize = 200;

/// One parameter: its type, what is allowed, and what counts where nothing is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Param {
    /// One of some texts.
    Choice {
        /// The texts.
        of: Vec<String>,
        /// Where nothing is said; without it something must be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default: Option<String>,
    },
    /// A whole number.
    Integer {
        /// The least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<i64>,
        /// The greatest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<i64>,
        /// Where nothing is said; without it something must be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default: Option<i64>,
    },
    /// Any text.
    Text {
        /// Its characters, at most; 1,000 unless this says otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<i64>,
        /// Where nothing is said; empty unless this says otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default: Option<String>,
    },
    /// Yes or no: `true` or `false` in the environment.
    Boolean {
        /// Where nothing is said; false unless this says otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default: Option<bool>,
    },
}

/// What is wrong with the value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamError {
    /// Its name.
    pub name: String,
    /// `required`, `unknown`, `type`, `value` or `range`.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl fmt::Display for ParamError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.name, self.message)
    }
}

type Wrong = (&'static str, String);

impl Param {
    /// What is wrong with the parameter itself, if anything is.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Param::Choice { of, .. } if of.is_empty() || of.len() > CHOICES_MAX => {
                return Err(format!("of must have 1 to {CHOICES_MAX} texts"));
            }
            Param::Choice { of, .. } if of.iter().any(|text| text.contains('\0') || text.len() > 1_000) => {
                return Err("of must have texts of at most 1000 bytes, without NUL".into());
            }
            Param::Integer { min: Some(min), max: Some(max), .. } if min > max => {
                return Err("min must not be more than max".into());
            }
            Param::Text { max: Some(max), .. } if !(1..=TEXT_CHARS_MAX).contains(max) => {
                return Err(format!("max must be between 1 and {TEXT_CHARS_MAX}"));
            }
            _ => {}
        }
        let default = match self {
            Param::Choice { default, .. } | Param::Text { default, .. } => default.clone().map(Value::from),
            Param::Integer { default, .. } => default.map(Value::from),
            Param::Boolean { default } => default.map(Value::from),
        };
        default.map_or(Ok(()), |value| self.read(&value).map(|_| ()).map_err(|(_, why)| format!("default {why}")))
    }

    /// What counts where nothing is said; `None`: something must be.
    pub fn default_value(&self) -> Option<String> {
        match self {
            Param::Choice { default, .. } => default.clone(),
            Param::Integer { default, .. } => default.map(|number| number.to_string()),
            Param::Text { default, .. } => Some(default.clone().unwrap_or_default()),
            Param::Boolean { default } => Some(default.unwrap_or(false).to_string()),
        }
    }

    /// The text that the command gets for a value.
    fn read(&self, value: &Value) -> Result<String, Wrong> {
        match self {
            Param::Choice { of, .. } => {
                let found = value.as_str().filter(|text| of.iter().any(|one| one == text));
                found.map(str::to_owned).ok_or_else(|| ("value", format!("must be one of {}", of.join(", "))))
            }
            Param::Integer { min, max, .. } => {
                let number = numbers::whole(value).ok_or(("type", "must be a whole number".to_owned()))?;
                if min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
                    let allowed = match (min, max) {
                        (Some(min), Some(max)) => format!("between {min} and {max}"),
                        (Some(min), None) => format!("at least {min}"),
                        (None, max) => format!("at most {}", max.unwrap_or(i64::MAX)),
                    };
                    return Err(("range", format!("must be {allowed}")));
                }
                Ok(number.to_string())
            }
            Param::Text { max, .. } => {
                let max = max.unwrap_or(TEXT_CHARS);
                let text = value.as_str().ok_or(("type", "must be a string".to_owned()))?;
                if text.contains('\0') {
                    return Err(("value", "must not hold a NUL".into()));
                }
                if text.chars().count() as i64 > max {
                    return Err(("range", format!("must be at most {max} characters")));
                }
                Ok(text.to_owned())
            }
            Param::Boolean { .. } => {
                value.as_bool().map(|yes| yes.to_string()).ok_or(("type", "must be true or false".to_owned()))
            }
        }
    }
}

/// The environment that some values make: `PARAM_` and the name in capitals.
///
/// # Errors
/// All that is wrong at once, unknown names included.
pub fn check_values(
    params: &BTreeMap<String, Param>,
    mut values: Map<String, Value>,
) -> Result<Vec<(String, String)>, Vec<ParamError>> {
    let (mut env, mut wrong) = (Vec::new(), Vec::new());
    for (name, param) in params {
        let read = match values.remove(name).filter(|value| !value.is_null()) {
            Some(value) => param.read(&value),
            None => param.default_value().ok_or(("required", "is needed; it has no default".to_owned())),
        };
        match read {
            Ok(text) => env.push((format!("PARAM_{}", name.to_ascii_uppercase()), text)),
            Err((reason, message)) => wrong.push(ParamError { name: name.clone(), reason, message }),
        }
    }
    let unknown = |(name, _)| ParamError { name, reason: "unknown", message: "is no parameter of this job".into() };
    wrong.extend(values.into_iter().map(unknown));
    if wrong.is_empty() { Ok(env) } else { Err(wrong) }
}
