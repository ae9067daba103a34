//! Combines flags, environment and file, and reports all errors in them at once.
//!
//! A value that is wrong is never replaced by the default.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;

use toml::{Table, Value};

use super::keys::{KEYS, Key, Kind};
use super::{Config, ConfigFile, Listen};
use crate::text::printable;
use crate::tls::NO_TLS;

/// The keys that the command line sets.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--listen`
    pub listen: Option<String>,
    /// `--log`
    pub log: Option<String>,
}

/// One error in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, the variable or the flag that is wrong.
    pub source: String,
    /// The key; empty for an error in the file as a whole.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

/// All errors in the configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Fault>);

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, Fault { source, key, message }) in self.0.iter().enumerate() {
            let newline = if nth == 0 { "" } else { "\n" };
            let colon = if key.is_empty() { "" } else { ": " };
            // A file's keys and path may hold control characters.
            let [source, key, message] = [source, key, message].map(|text| printable(text));
            write!(out, "{newline}{source}: {key}{colon}{message}")?;
        }
        Ok(())
    }
}

impl Error for ConfigError {}

impl Config {
    /// Combines flags, environment and file; the rest are defaults.
    ///
    /// `file` is that of `--config`, else the one that [`ConfigFile::in_dir`] finds in the state directory.
    ///
    /// # Errors
    /// With all that is wrong: each with its file, variable or flag, its key and what is allowed.
    pub fn load(
        flags: &Flags,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        file: Option<&ConfigFile>,
    ) -> Result<Config, ConfigError> {
        let mut loading = Loading {
            config: Config::default(),
            faults: Vec::new(),
            in_file: Vec::new(),
            listen_said_by: "default".to_owned(),
            tls_said_by: String::new(),
        };
        let env: Vec<(OsString, OsString)> = env.into_iter().collect();
        loading.take_default(&env);
        if let Some(file) = file {
            loading.take_file(file);
        }
        loading.take_env(env);
        for (flag, name, value) in [("--listen", "listen", &flags.listen), ("--log", "log", &flags.log)] {
            let key = KEYS.iter().find(|key| key.table.is_empty() && key.name == name);
            if let (Some(key), Some(value)) = (key, value) {
                loading.set(flag, key, &Value::String(value.clone()));
            }
        }
        loading.check_tls();
        loading.check_plaintext();
        if loading.faults.is_empty() { Ok(loading.config) } else { Err(ConfigError(loading.faults)) }
    }
}

struct Loading {
    config: Config,
    faults: Vec<Fault>,
    /// The keys that the file sets.
    in_file: Vec<String>,
    /// The source whose `listen` counts, for an error about it.
    listen_said_by: String,
    /// The last source that set a key of `[tls]`.
    tls_said_by: String,
}

/// Where to listen unless something else says so: for a unit, whose word the file is to beat.
const DEFAULT_LISTEN: &str = "RUNABOUT_DEFAULT_LISTEN";

impl Loading {
    fn take_default(&mut self, env: &[(OsString, OsString)]) {
        let found = env.iter().find(|(name, _)| name == DEFAULT_LISTEN).and_then(|(_, value)| value.to_str());
        let key = KEYS.iter().find(|key| key.table.is_empty() && key.name == "listen");
        if let (Some(value), Some(key)) = (found, key) {
            self.set(&format!("environment, {DEFAULT_LISTEN}"), key, &Value::String(value.to_owned()));
        }
    }

    fn take_file(&mut self, file: &ConfigFile) {
        let source = file.path.display().to_string();
        let text = match &file.text {
            Ok(text) => text,
            Err(why) => return self.fault(&source, "", format!("cannot be read: {why}")),
        };
        let table = match text.parse::<Table>() {
            Ok(table) => table,
            Err(error) => {
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                return self.fault(&source, "", format!("line {line}: not TOML: {}", error.message()));
            }
        };
        self.take_table(&source, "", &table);
    }

    fn take_table(&mut self, source: &str, table: &str, values: &Table) {
        for (name, value) in values {
            let is_table = table.is_empty() && KEYS.iter().any(|key| !key.table.is_empty() && key.table == name);
            match (KEYS.iter().find(|key| key.table == table && key.name == name), value) {
                (Some(key), value) => {
                    self.in_file.push(key.shown());
                    self.set(source, key, value);
                }
                (None, Value::Table(inner)) if is_table => self.take_table(source, name, inner),
                (None, _) if is_table => self.fault(source, name, format!("allowed: a table, [{name}]")),
                (None, _) => self.unknown(source, table, name),
            }
        }
    }

    fn unknown(&mut self, source: &str, table: &str, name: &str) {
        let mut known: Vec<String> =
            KEYS.iter().filter(|key| key.table == table).map(|key| key.name.to_owned()).collect();
        let key = if table.is_empty() {
            let mut tables: Vec<&str> = KEYS.iter().map(|key| key.table).filter(|table| !table.is_empty()).collect();
            tables.dedup();
            known.extend(tables.into_iter().map(|table| format!("[{table}]")));
            name.to_owned()
        } else {
            format!("{table}.{name}")
        };
        let is_at_top = !table.is_empty() && KEYS.iter().any(|key| key.table.is_empty() && key.name == name);
        let place = if is_at_top { format!("; `{name}` stands above the first [table]") } else { String::new() };
        self.fault(source, &key, format!("unknown key; allowed: {}{place}", known.join(", ")));
    }

    fn take_env(&mut self, env: impl IntoIterator<Item = (OsString, OsString)>) {
        for (variable, value) in env {
            let Some(key) = variable.to_str().and_then(|name| KEYS.iter().find(|key| key.variable() == name)) else {
                continue;
            };
            let source = format!("environment, {}", key.variable());
            let before = self.config.clone();
            match value.to_str() {
                Some(text) => self.set(&source, key, &from_text(key, text)),
                None => self.fault(&source, &key.shown(), format!("not UTF-8; allowed: {}", key.allowed())),
            }
            let shown = key.shown();
            if self.config != before && self.in_file.contains(&shown) {
                let (name, value) = (key.variable(), value.to_string_lossy());
                self.config.overridden.push(format!(
                    "the configuration's {shown} has no effect: {name}={value} in the environment comes first (a unit's Environment=?)"
                ));
            }
        }
    }

    /// Sets one key, or records why not.
    fn set(&mut self, source: &str, key: &Key, value: &Value) {
        let config = &mut self.config;
        let refused = match (&key.kind, value) {
            (Kind::Number(min, max, set), Value::Integer(n)) => match u64::try_from(*n) {
                Ok(n) if (*min..=*max).contains(&n) => {
                    set(config, n);
                    None
                }
                _ => Some(n.to_string()),
            },
            (Kind::Switch(set), Value::Boolean(on)) => {
                set(config, *on);
                None
            }
            (Kind::Text(set, _), Value::String(text)) => (!set(config, text)).then(|| format!("{text:?}")),
            (Kind::List(set, _), Value::Array(items)) => {
                let texts: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
                match texts {
                    Some(texts) => set(config, &texts).err().map(|text| format!("{text:?}")),
                    None => Some("an item that is not a text".to_owned()),
                }
            }
            (_, other) => Some(shown(other)),
        };
        match refused {
            Some(what) => {
                self.fault(source, &key.shown(), format!("{what} is not allowed; allowed: {}", key.allowed()))
            }
            None if key.name == "listen" => source.clone_into(&mut self.listen_said_by),
            None if key.table == "tls" => source.clone_into(&mut self.tls_said_by),
            None => {}
        }
    }

    /// Refuses a certificate without its key: to serve plaintext instead would be worse than not to start.
    fn check_tls(&mut self) {
        let missing = match (&self.config.tls.cert, &self.config.tls.key) {
            (None, None) => return,
            (Some(_), Some(_)) if cfg!(feature = "tls") => return,
            (Some(_), Some(_)) => None,
            (Some(_), None) => Some("tls.key"),
            (None, Some(_)) => Some("tls.cert"),
        };
        let source = self.tls_said_by.clone();
        match missing {
            _ if !cfg!(feature = "tls") => self.fault(&source, "tls", NO_TLS.to_owned()),
            Some(key) => self.fault(&source, key, "missing; allowed: both tls.cert and tls.key, or neither".to_owned()),
            None => {}
        }
    }

    /// Refuses plaintext beyond loopback unless the configuration allows it.
    fn check_plaintext(&mut self) {
        let Listen::At(address) = self.config.listen else { return };
        if let Err(why) = self.config.may_listen_at(address) {
            let source = self.listen_said_by.clone();
            self.fault(&source, "listen", why);
        }
    }

    fn fault(&mut self, source: &str, key: &str, message: String) {
        self.faults.push(Fault { source: source.to_owned(), key: key.to_owned(), message });
    }
}

/// Reads a variable's text as the kind of the key. A text that does not fit stays a text, and is refused as such.
fn from_text(key: &Key, text: &str) -> Value {
    let as_text = || Value::String(text.to_owned());
    match key.kind {
        Kind::Number(..) => text.replace('_', "").parse().map_or_else(|_| as_text(), Value::Integer),
        Kind::Switch(_) => text.parse().map_or_else(|_| as_text(), Value::Boolean),
        Kind::Text(..) => as_text(),
        Kind::List(..) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(on) => on.to_string(),
        Value::Datetime(time) => time.to_string(),
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn load(
        flags: &Flags,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        path: Option<&Path>,
    ) -> Result<Config, ConfigError> {
        Config::load(flags, env, path.map(ConfigFile::named).as_ref())
    }

    fn file(name: &str, text: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("runabout-config-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).expect("a file");
        path
    }

    fn env(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn the_contracts_file_is_the_default() {
        let text = r#"
            listen = "127.0.0.1:7867"
            log = "info"
            [access]
            socket = ""
            socket_group = ""
            socket_role = "operator"
            allowed_hosts = []
            allowed_origins = []
            trusted_proxies = []
            allow_plaintext = false
            [tls]
            cert = ""
            key = ""
            [limits]
            head_bytes = 65_536
            headers = 100
            body_bytes = 1_048_576
            head_s = 10
            body_s = 30
            connections = 512
            connections_per_client = 256
            queued_runs = 100_000
            stream_buffer_events = 256
            stream_buffer_bytes = 262_144
            stream_total_bytes = 8_388_608
            stream_stall_s = 120
            output_bytes_per_run = 67_108_864
            artifact_bytes_per_run = 268_435_456
            disk_free_bytes = 8_388_608
            [output]
            flush_ms = 50
            flush_unwatched_ms = 1000
            [runs]
            kill_grace_s = 10
            shutdown_grace_s = 10
            memory_bytes_max = 0
            cpu_percent_max = 0
            tasks_max = 0
            user = ""
            [retention]
            runs_days = 30
            runs_count = 10_000
            cursor_days = 30
            db_bytes = 0
            artifact_bytes = 0
            interval_s = 600
            [sessions]
            ttl_s = 2_592_000
            enrollment_ttl_s = 900
        "#;
        let missing = |key: &&Key| !text.contains(&format!("\n            {} = ", key.name));
        assert_eq!(KEYS.iter().find(missing).map(Key::shown), None, "it has every key");
        assert_eq!(load(&Flags::default(), env(&[]), Some(&file("default", text))), Ok(Config::default()));
    }

    #[test]
    fn flags_beat_environment_beats_file() {
        let path = file(
            "order",
            "listen = \"127.0.0.1:1\"\nlog = \"warn\"\n[runs]\nkill_grace_s = 1\n[access]\nallowed_hosts = [\"a\"]",
        );
        let flags = Flags { listen: Some("none".to_owned()), log: None };
        let vars = env(&[
            ("RUNABOUT_LISTEN", "127.0.0.1:2"),
            ("RUNABOUT_RUNS_KILL_GRACE_S", "2"),
            ("RUNABOUT_ACCESS_ALLOWED_HOSTS", "B.example, c"),
            ("RUNABOUT_STATE_DIR", "/nowhere"),
            ("RUNABOUT_LIMITS_NO_SUCH", "1"),
        ]);
        let config = load(&flags, vars, Some(&path)).expect("valid");
        let overruled = |key: &str| config.overridden.iter().any(|line| line.contains(key));
        assert!(overruled("listen has no effect: RUNABOUT_LISTEN=127.0.0.1:2") && overruled("runs.kill_grace_s"));
        assert!(!overruled("log") && config.overridden.len() == 3, "{:?}", config.overridden);
        assert_eq!((config.listen, config.log, config.runs.kill_grace_s), (Listen::Nowhere, log::LevelFilter::Warn, 2));
        assert_eq!(config.access.allowed_hosts, ["b.example", "c"]);
        // What a unit says is beaten by the file, too.
        let unit = env(&[("RUNABOUT_DEFAULT_LISTEN", "none")]);
        assert_eq!(load(&Flags::default(), unit.clone(), None).map(|config| config.listen), Ok(Listen::Nowhere));
        let config = load(&Flags::default(), unit, Some(&path)).expect("valid");
        assert!(matches!(config.listen, Listen::At(address) if address.port() == 1) && config.overridden.is_empty());
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let path = file(
            "wrong",
            "listn = 1\n[limits]\nhead_s = -1\nbody_bytes = \"1\"\ndisk_free_bytes = -1\n[tls]\ncert = \"server.pem\"\n[access]\nallowed_origins = [\"null\"]\nlisten = \"none\"",
        );
        let error =
            load(&Flags { listen: Some("7867".to_owned()), log: None }, env(&[("RUNABOUT_LOG", "loud")]), Some(&path))
                .expect_err("wrong");
        let keys: Vec<&str> = error.0.iter().map(|fault| fault.key.as_str()).collect();
        for key in [
            "listn",
            "limits.head_s",
            "limits.body_bytes",
            "limits.disk_free_bytes",
            "tls.cert",
            "access.allowed_origins",
            "listen",
            "log",
        ] {
            assert!(keys.contains(&key), "{key} in {error}");
        }
        let text = error.to_string();
        assert!(
            text.contains(&path.display().to_string()) && text.contains("RUNABOUT_LOG") && text.contains("--listen"),
            "{text}"
        );
        assert!(text.contains("a whole number from 1 to 3600"), "{text}");
        assert!(text.contains("access.listen: unknown key") && text.contains("above the first [table]"), "{text}");
    }

    #[test]
    fn what_cannot_be_read_names_the_file() {
        let error = load(&Flags::default(), env(&[]), Some(Path::new("/no/such.toml"))).expect_err("unreadable");
        assert!(error.to_string().starts_with("/no/such.toml: cannot be read"), "{error}");
        let path = file("syntax", "listen = \"none\"\n[limits\n");
        let error = load(&Flags::default(), env(&[]), Some(&path)).expect_err("not TOML").to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn beyond_loopback_plaintext_must_be_allowed() {
        let open = Flags { listen: Some("0.0.0.0:0".to_owned()), log: None };
        let error = load(&open, env(&[]), None).expect_err("refused").to_string();
        assert!(error.contains("--listen: listen") && error.contains("allow_plaintext = true"), "{error}");
        assert!(load(&open, env(&[("RUNABOUT_ACCESS_ALLOW_PLAINTEXT", "true")]), None).is_ok());
        let mapped = Flags { listen: Some("[::ffff:127.0.0.1]:0".to_owned()), log: None };
        assert!(load(&mapped, env(&[]), None).is_ok());
    }

    #[test]
    fn a_certificate_and_its_key_come_together() {
        let open = Flags { listen: Some("0.0.0.0:0".to_owned()), log: None };
        let path = file("tls", "[tls]\ncert = \"/c.pem\"");
        let error = load(&open, env(&[]), Some(&path)).expect_err("refused").to_string();
        let loaded = load(&open, env(&[("RUNABOUT_TLS_KEY", "/k.pem")]), Some(&path));
        if cfg!(feature = "tls") {
            assert!(error.contains("tls.key: missing") && error.contains(&path.display().to_string()), "{error}");
            let tls = loaded.expect("plaintext need not be allowed").tls;
            assert_eq!((tls.cert, tls.key), (Some("/c.pem".into()), Some("/k.pem".into())));
        } else {
            let error = loaded.expect_err("refused").to_string();
            assert!(error.contains("no TLS"), "{error}");
        }
    }
}
