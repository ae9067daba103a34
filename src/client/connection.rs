//! One request to the daemon and its answer, over its socket or TCP; and the upgrade to a WebSocket.
//!
//! A connection serves one request. Nothing is repeated here: whether a request may be is for its caller to know
//! (see `patience`). Every wait and every answer has a limit.

use std::future::Future;
use std::io;
#[cfg(unix)]
use std::path::Path;
use std::time::Duration;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use base64::Engine as _;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use smol::net::TcpStream;
#[cfg(unix)]
use smol::net::unix::UnixStream;
use smol_hyper::rt::FuturesIo;

use super::failure::{Failure, Problem};
use super::target::{Address, Target};
use crate::dial::{Duplex, Tls, Unusable, beside, cause};
#[cfg(unix)]
use crate::state_dir::SOCKET_PATH_BYTES_MAX;
use crate::timer::within;

/// To reach a host on the network.
const CONNECT_S: u64 = 10;
/// For an answer that does not wait for something: a slow card may take its time to commit.
pub const ANSWER_S: u64 = 60;
/// What to do where the daemon's certificate is from an authority that is not known.
const ADVICE: &str = "name its certificate (PEM): --ca FILE, or RUNABOUT_CA";
/// A page of runs with the longest scripts fits.
const ANSWER_BYTES_MAX: usize = 128 << 20;
/// An event's 16 KiB of control characters are 98 KiB of JSON.
const MESSAGE_BYTES_MAX: usize = 256 << 10;
/// The library would take 128 KiB at once.
const READ_BUFFER_BYTES: usize = 32 << 10;
const SUBPROTOCOL: &str = "runabout.v1";

/// A WebSocket to the daemon.
pub type Socket = WebSocketStream<Box<dyn Duplex>>;

/// A request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What to do.
    pub method: Method,
    /// With what: a path of the API, with its query.
    pub path: String,
    /// Of the type below.
    pub body: Option<Vec<u8>>,
    /// JSON unless told otherwise.
    pub content_type: &'static str,
    /// `Idempotency-Key`.
    pub key: Option<String>,
    /// On which condition.
    pub only_if: Option<OnlyIf>,
    /// How long the answer may take.
    pub answer_s: u64,
}

/// On which condition something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnlyIf {
    /// It is still of this version: `If-Match`.
    Is(i64),
    /// There is none yet: `If-None-Match: *`.
    IsAbsent,
}

impl Ask {
    /// Without a body.
    pub fn new(method: Method, path: impl Into<String>) -> Ask {
        let (path, content_type) = (path.into(), "application/json");
        Ask { method, path, body: None, content_type, key: None, only_if: None, answer_s: ANSWER_S }
    }

    /// For something to read.
    pub fn get(path: impl Into<String>) -> Ask {
        Ask::new(Method::GET, path)
    }

    /// With bytes as the body.
    pub fn with_bytes(self, bytes: Vec<u8>) -> Ask {
        Ask { body: Some(bytes), content_type: "application/octet-stream", ..self }
    }

    /// With a JSON body.
    pub fn with(self, body: &impl Serialize) -> Ask {
        // What is sent has texts for keys, and numbers that JSON has.
        Ask { body: Some(serde_json::to_vec(body).unwrap_or_default()), ..self }
    }
}

/// The daemon, as seen from here.
#[derive(Clone, Debug)]
pub struct Daemon {
    target: Target,
    /// What a run's command was given, in place of a session's token.
    run_token: Option<String>,
    tls: Tls,
}

impl Daemon {
    /// The daemon at that place; it need not be there.
    pub fn new(target: Target) -> Daemon {
        Daemon { target, run_token: None, tls: Tls::new(ADVICE) }
    }

    /// The same, asked by the command of a run.
    pub fn with_run_token(self, token: String) -> Daemon {
        Daemon { run_token: Some(token), ..self }
    }

    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        self.target.is_local()
    }

    /// Its address as a browser takes it, where it is asked over a network.
    pub fn url(&self) -> Option<String> {
        matches!(self.target, Target::Network(_)).then(|| self.target.to_string())
    }

    /// Asks and gives the body of a 2xx.
    ///
    /// # Errors
    /// [`Failure::Refused`] for any other answer; what keeps an answer from coming, as it is.
    pub async fn ask(&self, ask: &Ask) -> Result<Bytes, Failure> {
        let stream = self.connect().await?;
        let exchange = self.exchange(stream, ask);
        self.within(ask.answer_s, exchange).await
    }

    /// Opens a WebSocket.
    ///
    /// # Errors
    /// As [`Daemon::ask`]; also [`Failure::Refused`] for what the daemon says before the upgrade.
    pub async fn upgrade(&self, path: &str) -> Result<Socket, Failure> {
        let stream = self.connect().await?;
        self.within(ANSWER_S, self.exchange_upgrade(stream, path)).await
    }

    async fn exchange(&self, stream: Box<dyn Duplex>, ask: &Ask) -> Result<Bytes, Failure> {
        let request = self.request(ask)?;
        let (mut sender, connection) =
            http1::handshake(FuturesIo::new(stream)).await.map_err(|error| self.lost(&error))?;
        let answered = async {
            let response = sender.send_request(request).await.map_err(|error| self.lost(&error))?;
            self.read(response).await
        };
        beside(connection, answered).await
    }

    async fn exchange_upgrade(&self, stream: Box<dyn Duplex>, path: &str) -> Result<Socket, Failure> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|error| Failure::Own(format!("no random numbers: {error}")))?;
        let key = base64::engine::general_purpose::STANDARD.encode(nonce);
        let mut request = self.request(&Ask::get(path))?;
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        headers.insert(header::SEC_WEBSOCKET_KEY, header_value(&key, "key")?);

        let (mut sender, connection) =
            http1::handshake(FuturesIo::new(stream)).await.map_err(|error| self.lost(&error))?;
        let upgraded = async {
            let response = sender.send_request(request).await.map_err(|error| self.lost(&error))?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                return match self.read(response).await {
                    Ok(_) => Err(self.stranger("it did not upgrade to a WebSocket")),
                    Err(failure) => Err(failure),
                };
            }
            let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
            if accepted != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
                return Err(self.stranger("its WebSocket is none"));
            }
            hyper::upgrade::on(response).await.map_err(|error| self.lost(&error))
        };
        let upgraded = beside(connection.with_upgrades(), upgraded).await?;
        let parts = upgraded
            .downcast::<FuturesIo<Box<dyn Duplex>>>()
            .map_err(|_| Failure::Own("the WebSocket's stream is not the one that was made".to_owned()))?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let (stream, early) = (parts.io.into_inner(), parts.read_buf.to_vec());
        Ok(WebSocketStream::from_partially_read(stream, early, Role::Client, Some(config)).await)
    }

    pub(super) fn request(&self, ask: &Ask) -> Result<Request<Full<Bytes>>, Failure> {
        let (prefix, authority, token) = match &self.target {
            Target::Socket { .. } => ("", "localhost", None),
            Target::Network(address) => (&*address.prefix, &*address.authority, address.token.as_deref()),
        };
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(format!("{prefix}{}", ask.path))
            .header(header::HOST, header_value(authority, "host")?)
            .header(header::USER_AGENT, concat!("runabout/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "application/json");
        if let Some(token) = self.run_token.as_deref().or(token) {
            request = request.header(header::AUTHORIZATION, header_value(&format!("Bearer {token}"), "token")?);
        }
        if let Some(key) = &ask.key {
            request = request.header("idempotency-key", header_value(key, "--key")?);
        }
        match ask.only_if {
            Some(OnlyIf::Is(version)) => request = request.header(header::IF_MATCH, format!("\"{version}\"")),
            Some(OnlyIf::IsAbsent) => request = request.header(header::IF_NONE_MATCH, "*"),
            None => {}
        }
        if ask.body.is_some() {
            request = request.header(header::CONTENT_TYPE, ask.content_type);
        }
        let body = Full::new(Bytes::from(ask.body.clone().unwrap_or_default()));
        request.body(body).map_err(|error| Failure::Own(format!("cannot make a request for {}: {error}", ask.path)))
    }

    pub(super) async fn read(&self, response: Response<Incoming>) -> Result<Bytes, Failure> {
        let status = response.status();
        let body = match Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                let text = format!("the answer is larger than {} MiB; ask for less", ANSWER_BYTES_MAX >> 20);
                return Err(Failure::Own(text));
            }
            Err(error) => return Err(self.lost(&*error)),
        };
        if status.is_success() {
            return Ok(body);
        }
        match Problem::read(status.as_u16(), &body) {
            Some(problem) => Err(Failure::Refused(Box::new(self.in_our_words(problem)))),
            None if status == StatusCode::BAD_REQUEST && body.is_empty() && self.target.is_plain() => {
                Err(self.stranger("it answered 400 Bad Request without a word; does it speak https:// ?"))
            }
            None => Err(self.stranger(&format!("it answered {status}"))),
        }
    }

    /// To those without a session the daemon tells how curl gets one; who uses this program logs in. It does not know as
    /// whom else they could come.
    fn in_our_words(&self, problem: Problem) -> Problem {
        let address = match (&self.target, &*problem.code) {
            (Target::Network(address), "unauthorized") => address,
            (target, "forbidden") if self.run_token.is_none() => {
                let instead = match target {
                    Target::Socket { .. } => {
                        "root and the daemon's own user are admin here: sudo runabout …".to_owned()
                    }
                    Target::Network(_) => format!(
                        "that is of your session at {target}; --url or --state-dir names another daemon, and `runabout \
                         logout` goes back to this machine's"
                    ),
                };
                return Problem { detail: format!("{}; {instead}", problem.detail).into(), ..problem };
            }
            _ => return problem,
        };
        let token = if address.token.is_some() { "unknown there, expired or revoked" } else { "missing" };
        let detail = format!(
            "the session's token for {0} is {token}; log in: on its machine, `runabout enroll` (the machine's service: \
             `sudo runabout enroll`) prints a token for `runabout login {0}`",
            self.target
        );
        Problem { detail: detail.into(), ..problem }
    }

    pub(super) async fn connect(&self) -> Result<Box<dyn Duplex>, Failure> {
        match &self.target {
            #[cfg(not(unix))]
            Target::Socket { path, .. } => {
                let why = "this system has no Unix sockets: `runabout login URL`, or --url";
                Err(Failure::Usage(format!("{}: {why}", path.display())))
            }
            #[cfg(unix)]
            Target::Socket { path, start } => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(no_socket(path, start, &error)),
            },
            Target::Network(address) => {
                let timed_out = || Err(self.no_network(&io::Error::from(io::ErrorKind::TimedOut)));
                let connected = within(Duration::from_secs(CONNECT_S), self.connect_network(address)).await;
                connected.unwrap_or_else(timed_out)
            }
        }
    }

    async fn connect_network(&self, address: &Address) -> Result<Box<dyn Duplex>, Failure> {
        let stream = connect_tcp(address).await.map_err(|error| self.no_network(&error))?;
        if !address.https {
            return Ok(Box::new(stream));
        }
        match self
            .tls
            .secure(stream, &address.host, address.ca.as_deref())
            .await
            .map_err(|Unusable(why)| Failure::Usage(why))?
        {
            Ok(secured) => Ok(Box::new(secured)),
            Err(why) => Err(Failure::NoDaemon(format!("what answers at {} is not believed: {why}", self.target))),
        }
    }

    fn no_network(&self, error: &io::Error) -> Failure {
        let start = "is it running there (`runabout serve --listen ADDR:PORT`), and are --url and RUNABOUT_URL right?";
        Failure::NoDaemon(format!("no daemon at {}: {}\n{start}", self.target, cause(error)))
    }

    /// Something answers there and it speaks otherwise than a daemon.
    fn stranger(&self, why: &str) -> Failure {
        Failure::NoDaemon(format!("what answers at {} is no Runabout daemon: {why}", self.target))
    }

    pub(super) fn lost(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        Failure::Lost(format!("lost the daemon at {}: {}", self.target, cause(error)))
    }

    pub(super) async fn within<T>(
        &self,
        seconds: u64,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let lost = || Failure::Lost(format!("the daemon at {} did not answer within {seconds} s", self.target));
        within(Duration::from_secs(seconds), work).await.unwrap_or_else(|| Err(lost()))
    }
}

async fn connect_tcp(address: &Address) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(unix)]
fn no_socket(path: &Path, start: &str, error: &io::Error) -> Failure {
    let shown = path.display();
    let length = path.as_os_str().len();
    if length > SOCKET_PATH_BYTES_MAX {
        let text = format!("{shown}: a socket's path has at most {SOCKET_PATH_BYTES_MAX} bytes, this one has {length}");
        return Failure::Usage(text);
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::NotAllowed(format!(
            "not allowed to use the daemon's socket {shown}: be the user it runs as, or in the group that \
             [access] socket_group names, or use --url with a token"
        )),
        _ => Failure::NoDaemon(format!("no daemon at {shown}: {}\nstart one with: {start}", cause(error))),
    }
}

fn header_value(text: &str, what: &str) -> Result<HeaderValue, Failure> {
    let visible = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    match HeaderValue::from_str(text) {
        Ok(value) if visible => Ok(value),
        _ => Err(Failure::Usage(format!("{what}: only visible ASCII characters are allowed"))),
    }
}

/// `text` as a value in a query.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b',' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_for_a_query() {
        assert_eq!(encoded("a b&c=ü,d"), "a%20b%26c%3D%C3%BC,d");
    }

    #[test]
    fn who_has_no_session_is_told_to_log_in() {
        let daemon = |url, token: Option<&str>| {
            let target = super::super::target::parse(url, "--url").expect("a URL");
            Daemon::new(token.map_or(target.clone(), |token| target.with_token(token.to_owned())))
        };
        let told = |url, token, code: &str| {
            let problem =
                Problem { status: 401, code: code.to_owned().into(), detail: "theirs".into(), ..Problem::default() };
            daemon(url, token).in_our_words(problem).detail
        };
        let missing = told("http://pi:7867", None, "unauthorized");
        assert!(missing.contains("is missing") && missing.contains("`runabout login http://pi:7867`"), "{missing}");
        assert!(told("http://pi:7867", Some("rbs_x"), "unauthorized").contains("expired or revoked"));
        assert_eq!(told("http://pi:7867", None, "enrollment_invalid"), "theirs");
        assert_eq!(told("unix:/s", None, "unauthorized"), "theirs");
    }

    #[test]
    fn a_missing_daemon_is_told_from_a_forbidden_one() {
        let failure = |kind| no_socket(Path::new("/s/runabout.sock"), "runabout serve", &io::Error::from(kind));
        assert_eq!(failure(io::ErrorKind::NotFound).exit_code(), 3);
        assert_eq!(failure(io::ErrorKind::PermissionDenied).exit_code(), 1);
        let long = Path::new("/s").join("x".repeat(110));
        assert_eq!(no_socket(&long, "", &io::Error::from(io::ErrorKind::InvalidInput)).exit_code(), 2);
    }
}
