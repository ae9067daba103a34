//! Follows a run over WebSocket and goes on after the last event seen, whatever breaks: what a program of yours may do.
//!
//! `cargo run --example ws_reader -- 42` prints what run 42 printed, and exits 0 when it succeeded, else 1.
//! `RUNABOUT_URL` is `http://HOST:PORT` with a session's token in `RUNABOUT_TOKEN`, or `unix:/path/of/the/socket`.
//!
//! One blocking thread. It must never print an event twice or leave one out without saying so.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use async_tungstenite::tungstenite::client::IntoClientRequest;
use async_tungstenite::tungstenite::http::HeaderValue;
use async_tungstenite::tungstenite::{self, HandshakeError, Message, WebSocket};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The daemon pings every 20 s: after this long without a byte, the connection is dead.
const SILENCE: Duration = Duration::from_secs(60);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let Some(run) = std::env::args().nth(1) else {
        eprintln!("usage: ws_reader RUN");
        return ExitCode::from(2);
    };
    // INSTANCE-SEQ: the last event seen, and of which database. Keep it in a file and this program may restart, too.
    let mut cursor = "0".to_owned();
    loop {
        match follow(&run, &mut cursor) {
            Ok(status) => {
                eprintln!("run {run}: {status}");
                return ExitCode::from(u8::from(status != "succeeded"));
            }
            Err(Broken::ForGood(why)) => {
                eprintln!("run {run}: {why}");
                return ExitCode::from(1);
            }
            Err(Broken::ForNow(why)) => {
                eprintln!("run {run}: {why}; going on after {cursor}");
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// Why a connection gave no end of the run.
enum Broken {
    /// Another one may.
    ForNow(String),
    /// The daemon will say the same again.
    ForGood(String),
}

impl<E: Error> From<E> for Broken {
    fn from(error: E) -> Broken {
        Broken::ForNow(error.to_string())
    }
}

/// One connection, from `cursor` on, which moves with each event that was printed. The run's status at its end.
fn follow(run: &str, cursor: &mut String) -> Result<String, Broken> {
    let mut socket = connect(&format!("/v1/runs/{run}/events?after={cursor}"))?;
    let mut instance = String::new();
    loop {
        let object: Value = match socket.read()? {
            Message::Text(text) => serde_json::from_str(&text)?,
            // 1001 comes at the daemon's shutdown; 4401 and 4410 say that the session or the run is gone.
            Message::Close(Some(frame)) if u16::from(frame.code) > 4_000 => {
                return Err(Broken::ForGood(frame.reason.to_string()));
            }
            Message::Close(_) => return Err(Broken::ForNow("the connection was closed".to_owned())),
            _ => continue,
        };
        match object["type"].as_str().unwrap_or_default() {
            "hello" => instance = object["instance"].as_str().unwrap_or_default().to_owned(),
            "event" => {
                print(&object).map_err(|error| Broken::ForGood(error.to_string()))?;
                *cursor = format!("{instance}-{}", object["seq"]);
            }
            "gap" => {
                eprintln!(
                    "run {run}: the events {} to {} are gone: {}",
                    object["from"], object["to"], object["reason"]
                );
                *cursor = format!("{instance}-{}", object["to"]);
            }
            "end" => return Ok(object["status"].as_str().unwrap_or_default().to_owned()),
            // `caught_up`, `heartbeat`, and what a newer daemon may say.
            _ => {}
        }
    }
}

/// Writes a piece of output to the stream it came from; other events print nothing.
fn print(event: &Value) -> io::Result<()> {
    let data = &event["data"];
    let bytes = match (data["text"].as_str(), data["base64"].as_str()) {
        _ if event["kind"] != "output" => return Ok(()),
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, base64) => {
            STANDARD.decode(base64.unwrap_or_default()).map_err(|error| io::Error::other(error.to_string()))?
        }
    };
    match data["stream"].as_str() {
        Some("stderr") => io::stderr().write_all(&bytes),
        _ => io::stdout().write_all(&bytes).and_then(|()| io::stdout().flush()),
    }
}

/// TCP or Unix.
trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

fn connect(path: &str) -> Result<WebSocket<Box<dyn Stream>>, Broken> {
    let url = std::env::var("RUNABOUT_URL").map_err(|_| Broken::ForGood("RUNABOUT_URL is not set".to_owned()))?;
    let (stream, host): (Box<dyn Stream>, &str) = if let Some(socket) = url.strip_prefix("unix:") {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(SILENCE))?;
        (Box::new(stream), "localhost")
    } else {
        let host =
            url.strip_prefix("http://").ok_or_else(|| Broken::ForGood(format!("{url} is not http:// or unix:")))?;
        let stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(SILENCE))?;
        (Box::new(stream), host)
    };
    let mut request = format!("ws://{host}{path}").into_client_request()?;
    if let Ok(token) = std::env::var("RUNABOUT_TOKEN") {
        request.headers_mut().insert("Authorization", HeaderValue::from_str(&format!("Bearer {token}"))?);
    }
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        // Refused before the upgrade: the body says why. 5xx and 429 pass, the rest does not.
        Err(HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
            let status = answer.status();
            let problem = answer.body().as_deref().and_then(|body| serde_json::from_slice::<Value>(body).ok());
            let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str()).unwrap_or_default();
            let why = format!("{status}: {detail}");
            Err(if status.is_server_error() || status == 429 { Broken::ForNow(why) } else { Broken::ForGood(why) })
        }
        Err(error) => Err(Broken::ForNow(error.to_string())),
    }
}
