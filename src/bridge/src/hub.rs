//! The hub: how it is reached, and what its streams and subjects are called.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use tokio::sync::watch;

use crate::args::HubArgs;
use crate::told::{Refusal, say};

/// The stream that holds the events of all boxes.
pub const EVENTS: &str = "RB_EVENTS";
/// What is before `INSTANCE.RUN.KIND` in an event's subject.
pub const EVENTS_PREFIX: &str = "rb.ev";
/// The stream that work waits in.
pub const WORK: &str = "RB_WORK";
/// The bucket in which boxes say that they are there.
pub const BOXES: &str = "RB_BOXES";
/// Header: the event's id at its box.
pub const RB_ID: &str = "Rb-Id";
/// Header: the event's number in its run.
pub const RB_SEQ: &str = "Rb-Seq";
/// Header: up to which id events may be missing that a gap before has told.
pub const RB_GAP: &str = "Rb-Gap";

/// To reach the hub.
const CONNECT: Duration = Duration::from_secs(5);
/// For an answer. A replicated stream that syncs each write on a slow disk takes a second at worst.
pub const ANSWER: Duration = Duration::from_secs(5);
/// A link that is cut without a word while nothing is sent is noticed after two of these.
const PING: Duration = Duration::from_secs(60);

/// A connection, and word of its end. It is never made again by itself: who has lost it does not know what the hub has, and
/// has to look.
pub struct Hub {
    /// The connection.
    pub client: Client,
    lost: watch::Receiver<bool>,
}

impl Hub {
    /// Connects as `name`, with answers to `_INBOX.name` alone, so that the hub can forbid all others.
    ///
    /// # Errors
    /// [`Refusal::Usage`] for files that cannot be used, [`Refusal::Absent`] where nobody answers or lets us in.
    pub async fn connect(args: &HubArgs, name: &str) -> Result<Hub, Refusal> {
        let (tell, lost) = watch::channel(false);
        let options = ConnectOptions::new()
            .name(format!("runabout-bridge {name}"))
            .custom_inbox_prefix(format!("_INBOX.{name}"))
            .connection_timeout(CONNECT)
            .request_timeout(Some(ANSWER))
            .ping_interval(PING)
            .max_reconnects(1)
            .event_callback(move |event| {
                let tell = tell.clone();
                async move {
                    match event {
                        Event::Disconnected | Event::Closed | Event::LameDuckMode => {
                            tell.send_replace(true);
                        }
                        Event::ServerError(error) => say(&format!("the hub says: {error}")),
                        _ => {}
                    }
                }
            });
        let options = identified(options, args).await?;
        let servers: Vec<&str> = args.server.split(',').map(str::trim).collect();
        let absent = |why: &dyn std::fmt::Display| Refusal::Absent(format!("no hub at {}: {why}", args.server));
        match tokio::time::timeout(CONNECT * 2, options.connect(servers)).await {
            Ok(Ok(client)) => Ok(Hub { client, lost }),
            Ok(Err(error)) => Err(absent(&error)),
            Err(_) => Err(absent(&"it does not answer")),
        }
    }

    /// Waits until the connection is gone.
    pub async fn lost(&self) {
        let mut lost = self.lost.clone();
        // The sender lives as long as the connection.
        let _ = lost.wait_for(|lost| *lost).await;
    }
}

async fn identified(mut options: ConnectOptions, args: &HubArgs) -> Result<ConnectOptions, Refusal> {
    if let Some(file) = &args.creds {
        let unusable = |error| Refusal::Usage(format!("--creds {}: {error}", file.display()));
        options = options.credentials_file(file).await.map_err(unusable)?;
    }
    if let Some(file) = &args.password_file {
        let unusable = |error| Refusal::Usage(format!("--password-file {}: {error}", file.display()));
        let text = std::fs::read_to_string(file).map_err(unusable)?;
        options = match text.trim().split_once(':') {
            Some((user, password)) => options.user_and_password(user.to_owned(), password.to_owned()),
            None => options.token(text.trim().to_owned()),
        };
    }
    if let Some(file) = &args.ca {
        options = options.add_root_certificates(file.clone());
    }
    if let (Some(cert), Some(key)) = (&args.cert, &args.key) {
        options = options.add_client_certificate(cert.clone(), key.clone());
    }
    Ok(options)
}
