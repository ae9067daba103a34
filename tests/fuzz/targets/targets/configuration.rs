//! The configuration: a file, and behind a line of `---` variables of the environment, `NAME=VALUE` a line.
//!
//! What is taken can be printed and is then read as the same; what is not is told by key and without control characters.
#![no_main]

use std::ffi::OsString;

use libfuzzer_sys::fuzz_target;
use runabout::config::{Config, ConfigError, ConfigFile, Flags};
use runabout_fuzz::bounded;

fn load(file: &str, env: &[(OsString, OsString)]) -> Result<Config, ConfigError> {
    let file = ConfigFile { path: "/etc/config.toml".into(), text: Ok(file.to_owned()) };
    Config::load(&Flags::default(), env.iter().cloned(), Some(&file))
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (file, variables) = text.split_once("\n---\n").unwrap_or((text, ""));
    let pairs = variables.lines().filter_map(|line| line.split_once('='));
    let env: Vec<(OsString, OsString)> = pairs.map(|(name, value)| (name.into(), value.into())).collect();
    match bounded(data, 1_024 * 1_024, 1_024, || load(file, &env)) {
        Ok(config) => {
            let table: toml::Table = file.parse().expect("what is taken is TOML");
            let again = load(&toml::to_string(&table).expect("what was read is printed"), &env).expect("as before");
            assert_eq!(config, again);
        }
        Err(error) => {
            assert!(!error.0.is_empty());
            let told = error.to_string();
            assert!(!told.chars().any(|char| char.is_control() && char != '\n'), "{told:?}");
        }
    }
});
