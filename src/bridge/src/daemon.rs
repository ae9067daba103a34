//! The daemon, as the bridge asks it: by its public client alone.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use runabout::client::{Client, Events, Failure, Filter};
use runabout::event::Kind;
use serde_json::{Value, json};

use crate::args::DaemonArgs;
use crate::told::Refusal;
use crate::work::fleet_tag;

/// The name of our durable cursor: events after it are kept for us.
const CURSOR: &str = "nats";
/// This machine's daemon, where nothing says otherwise.
const SOCKETS: &[&str] = &["/run/runabout/runabout.sock", "/var/lib/runabout/runabout.sock"];

/// One daemon.
#[derive(Clone)]
pub struct Daemon {
    /// How it is reached.
    pub client: Client,
    /// Which database it had when it was last asked: an id is one of that.
    instance: Arc<Mutex<String>>,
}

/// What a daemon says of itself.
pub struct System {
    /// Of which database.
    pub instance: String,
    /// Its version.
    pub version: String,
}

/// Our cursor at the daemon.
pub struct Cursor {
    /// The last event that the hub has.
    pub id: i64,
    /// When it was last put, RFC 3339.
    pub moved_at: String,
}

impl Daemon {
    /// The daemon that the options name; it need not be there.
    ///
    /// # Errors
    /// [`Refusal::Usage`] for a URL or a token's file that cannot be used.
    pub fn named(args: &DaemonArgs) -> Result<Daemon, Refusal> {
        let url = args.url.clone().unwrap_or_else(local_url);
        let mut client = Client::new(&url).map_err(|failure| Refusal::Usage(failure.to_string()))?;
        if let Some(token) = token(args)? {
            client = client.with_token(token);
        }
        if let Some(ca) = &args.daemon_ca {
            client = client.with_authority(ca);
        }
        Ok(Daemon { client, instance: Arc::default() })
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// As the client has them.
    pub async fn system(&self) -> Result<System, Failure> {
        let told = self.client.request("GET", "/v1/system", None, None).await?;
        let system = System { instance: text(&told, "instance"), version: text(&told, "version") };
        system.instance.clone_into(&mut self.instance.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(system)
    }

    /// All events after `id` of this database, as they come; what commands print only where it is asked for.
    ///
    /// # Errors
    /// As the client has them.
    pub async fn events(&self, instance: &str, id: i64, output: bool) -> Result<Events, Failure> {
        let kinds = if output { self.kinds().await? } else { Vec::new() };
        Ok(self.client.follow_all(&Filter { kinds, ..Filter::default() }, &format!("{instance}-{id}")))
    }

    /// The kinds of events that it knows. Output has to be asked for by name, and then all others, too; an older daemon refuses
    /// a name that it does not know.
    async fn kinds(&self) -> Result<Vec<Kind>, Failure> {
        let mut known = Vec::new();
        for kind in Kind::ALL {
            let path = format!("/v1/events?after=latest&limit=1&kinds={}", kind.as_str());
            match self.client.request("GET", &path, None, None).await {
                Ok(_) => known.push(*kind),
                Err(Failure::Refused(problem)) if problem.status == 422 => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(known)
    }

    /// How many runs of a queue it could start now.
    ///
    /// # Errors
    /// As the client has them.
    pub async fn free_slots(&self, queue: &str) -> Result<usize, Failure> {
        let told = self.client.request("GET", &format!("/v1/queues/{queue}"), None, None).await?;
        let number = |name: &str| told[name].as_u64().unwrap_or_default();
        let free = number("slots").saturating_sub(number("queued") + number("running"));
        Ok(if told["paused"].as_bool() == Some(true) { 0 } else { usize::try_from(free).unwrap_or(0) })
    }

    /// How many runs it has of each status.
    ///
    /// # Errors
    /// As the client has them.
    pub async fn counts(&self) -> Result<Value, Failure> {
        Ok(self.client.request("GET", "/v1/system", None, None).await?["runs"].take())
    }

    /// Submits a body as it is, under a key.
    ///
    /// # Errors
    /// As the client has them.
    pub async fn submit(&self, body: &Value, key: &str) -> Result<(), Failure> {
        self.client.request("POST", "/v1/runs", Some(body), Some(key)).await.map(drop)
    }

    /// Cancels the run of that fleet id, and gives it; `None` where there is none.
    ///
    /// # Errors
    /// As the client has them.
    pub async fn cancel(&self, fleet_id: &str) -> Result<Option<Value>, Failure> {
        let path = format!("/v1/runs?limit=1&tag={}", fleet_tag(fleet_id).replace(':', "%3A"));
        let listed = self.client.request("GET", &path, None, None).await?;
        let Some(run) = listed["runs"][0]["id"].as_i64() else { return Ok(None) };
        self.client.request("POST", &format!("/v1/runs/{run}/cancel"), None, None).await.map(Some)
    }

    fn instance(&self) -> String {
        self.instance.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Our durable cursor in this database; `None` where there is none, or the daemon has no such thing. One that a restored
    /// copy has was put for another database, of which the hub may have all.
    ///
    /// # Errors
    /// As the client has them.
    pub async fn cursor(&self) -> Result<Option<Cursor>, Failure> {
        match self.client.request("GET", &format!("/v1/cursors/{CURSOR}"), None, None).await {
            Ok(told) => {
                let cursor = Cursor { id: told["id"].as_i64().unwrap_or_default(), moved_at: text(&told, "moved_at") };
                Ok(Some(cursor).filter(|_| text(&told, "instance") == self.instance()))
            }
            Err(Failure::Refused(problem)) if problem.status == 404 => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Moves it, or says that it is where it was. False where the daemon has no such thing, or not for us.
    ///
    /// # Errors
    /// As the client has them.
    pub async fn move_cursor(&self, id: i64) -> Result<bool, Failure> {
        let body = json!({ "id": id, "instance": self.instance() });
        match self.client.request("PUT", &format!("/v1/cursors/{CURSOR}"), Some(&body), None).await {
            Ok(_) => Ok(true),
            Err(Failure::Refused(problem)) if matches!(problem.status, 403..=405) => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

fn text(of: &Value, name: &str) -> String {
    of[name].as_str().unwrap_or_default().to_owned()
}

fn token(args: &DaemonArgs) -> Result<Option<String>, Refusal> {
    match &args.token_file {
        None => Ok(std::env::var("RUNABOUT_TOKEN").ok()),
        Some(file) => match std::fs::read_to_string(file) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) => Err(Refusal::Usage(format!("--token-file {}: {error}", file.display()))),
        },
    }
}

fn local_url() -> String {
    if let Some(dir) = std::env::var_os("RUNABOUT_STATE_DIR") {
        return format!("unix:{}", PathBuf::from(dir).join("runabout.sock").display());
    }
    let there = SOCKETS.iter().find(|path| std::path::Path::new(path).exists());
    format!("unix:{}", there.unwrap_or(&SOCKETS[0]))
}
