//! A small HTTP client on the standard library: what is sent is what is written here, byte for byte.

use std::io::{self, Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Address, DEADLINE, Socket, wire_json};

/// Where requests go, and who sends them.
#[derive(Clone)]
pub struct Client {
    address: Address,
    token: Option<String>,
    /// Runs that were submitted: their events are shown when the test fails.
    pub(super) submitted: Arc<Mutex<Vec<i64>>>,
}

impl Client {
    /// A client without a token.
    pub fn new(address: Address) -> Client {
        Client { address, token: None, submitted: Arc::default() }
    }

    /// The same client with a bearer token.
    pub fn with_token(&self, token: &str) -> Client {
        Client { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same client at another address.
    pub(super) fn at(&self, address: Address) -> Client {
        Client { address, ..self.clone() }
    }

    /// Where it connects to.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A fresh connection, on which nothing was sent.
    pub fn connect(&self) -> Socket {
        Socket::connect(&self.address).unwrap_or_else(|error| panic!("connect to {:?}: {error}", self.address))
    }

    /// A request to be filled in and sent. `path` is sent as it stands.
    pub fn call(&self, method: &str, path: &str) -> Call {
        let host = match &self.address {
            Address::Unix(_) => "localhost".to_owned(),
            Address::Tcp(address) | Address::Tls(address, _) => address.to_string(),
        };
        let mut call = Call {
            client: self.clone(),
            method: method.to_owned(),
            path: path.to_owned(),
            headers: vec![("Host".into(), host)],
            body: None,
            within: DEADLINE,
        };
        if let Some(token) = &self.token {
            call = call.header("Authorization", &format!("Bearer {token}"));
        }
        call
    }

    /// `GET`
    pub fn get(&self, path: &str) -> Response {
        self.call("GET", path).send()
    }

    /// `DELETE`
    pub fn delete(&self, path: &str) -> Response {
        self.call("DELETE", path).send()
    }

    /// `POST` of JSON
    pub fn post(&self, path: &str, body: &Value) -> Response {
        self.call("POST", path).json(body).send()
    }

    /// `PUT` of JSON
    pub fn put(&self, path: &str, body: &Value) -> Response {
        self.call("PUT", path).json(body).send()
    }

    /// `PATCH` of JSON
    pub fn patch(&self, path: &str, body: &Value) -> Response {
        self.call("PATCH", path).json(body).send()
    }

    /// Sends bytes as they are and answers all that comes until the daemon closes, or says nothing for `quiet`.
    pub fn raw(&self, bytes: &[u8], quiet: Duration) -> Vec<u8> {
        let mut socket = self.connect();
        // The daemon may have refused and closed before it has read all of it.
        let _ = socket.write_all(bytes);
        socket.read_within(quiet);
        let mut answer = Vec::new();
        let mut chunk = [0; 16 * 1024];
        while let Ok(count @ 1..) = socket.read(&mut chunk) {
            answer.extend_from_slice(&chunk[..count]);
        }
        answer
    }
}

/// A request on its way.
pub struct Call {
    client: Client,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    within: Duration,
}

impl Call {
    /// Adds a header; a second `Host` or `Authorization` replaces the first.
    pub fn header(mut self, name: &str, value: &str) -> Call {
        if matches!(name.to_ascii_lowercase().as_str(), "host" | "authorization") {
            self.headers.retain(|(old, _)| !old.eq_ignore_ascii_case(name));
        }
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a header out.
    pub fn without(mut self, name: &str) -> Call {
        self.headers.retain(|(old, _)| !old.eq_ignore_ascii_case(name));
        self
    }

    /// A JSON body with its type.
    pub fn json(self, body: &Value) -> Call {
        self.body("application/json", body.to_string().as_bytes())
    }

    /// A body with its type; an empty type sends none.
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Call {
        if !content_type.is_empty() {
            self = self.header("Content-Type", content_type);
        }
        self.body = Some(body.to_vec());
        self
    }

    /// How long the whole answer may take.
    pub fn within(mut self, limit: Duration) -> Call {
        self.within = limit;
        self
    }

    /// The head, as it is sent, with the length of the body.
    pub fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        head
    }

    /// Who sends it.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// All of it, as it is sent.
    pub(super) fn bytes(&self) -> Vec<u8> {
        [self.head().as_bytes(), self.body.as_deref().unwrap_or_default()].concat()
    }

    /// Sends it on a connection of its own; fails the test where no whole answer comes in time.
    pub fn send(self) -> Response {
        let what = format!("{} {}", self.method, self.path);
        self.try_send().unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Sends it on a connection of its own.
    pub fn try_send(self) -> io::Result<Response> {
        let no_body = self.method == "HEAD";
        let within = self.within;
        let call = self.header("Connection", "close");
        let (mut socket, mut read) = (Socket::connect(&call.client.address)?, Vec::new());
        socket.write_all(call.head().as_bytes())?;
        // A refusal may come before all of a large body was taken; what counts is the answer.
        let _ = socket.write_all(call.body.as_deref().unwrap_or_default());
        let head = read_head(&mut socket, &mut read, within)?;
        Response::read(head, read, &mut socket, within, no_body)
    }

    /// Sends it on a connection of its own and answers the head that comes, with its body only where it says how long
    /// that is, what was read behind it, and the connection.
    pub fn stream(self) -> io::Result<(Response, Vec<u8>, Socket)> {
        let mut socket = Socket::connect(&self.client.address)?;
        socket.write_all(self.head().as_bytes())?;
        socket.write_all(self.body.as_deref().unwrap_or_default())?;
        let mut read = Vec::new();
        let head = read_head(&mut socket, &mut read, self.within)?;
        if head.header("content-length").is_none() && head.status != 204 {
            return Ok((head, read, socket));
        }
        let whole = Response::read(head, read, &mut socket, self.within, self.method == "HEAD")?;
        Ok((whole, Vec::new(), socket))
    }

    /// Sends the head alone on a connection of its own and answers the head that comes, what was read behind it, and
    /// the connection.
    pub fn open(self) -> io::Result<(Response, Vec<u8>, Socket)> {
        let mut socket = Socket::connect(&self.client.address)?;
        socket.write_all(self.head().as_bytes())?;
        let mut read = Vec::new();
        let head = read_head(&mut socket, &mut read, self.within)?;
        if head.status == 101 || head.header("content-length").is_none() {
            return Ok((head, read, socket));
        }
        let whole = Response::read(head, read, &mut socket, self.within, self.method == "HEAD")?;
        Ok((whole, Vec::new(), socket))
    }
}

/// A connection that is kept for one request after another.
pub struct Connection {
    socket: Socket,
    /// What came behind the last answer.
    read: Vec<u8>,
}

impl Connection {
    /// One on which nothing was sent.
    pub fn open(client: &Client) -> Connection {
        Connection { socket: client.connect(), read: Vec::new() }
    }

    /// Sends a request and answers what comes; the daemon must say how long that is.
    pub fn send(&mut self, call: &Call) -> io::Result<Response> {
        let mut request = call.head().into_bytes();
        request.extend_from_slice(call.body.as_deref().unwrap_or_default());
        self.socket.write_all(&request)?;
        let head = read_head(&mut self.socket, &mut self.read, call.within)?;
        let length = head.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let whole = Response::read(head, std::mem::take(&mut self.read), &mut self.socket, call.within, false)?;
        assert_eq!(whole.body.len(), length, "something came behind the answer: {}", whole.text());
        Ok(whole)
    }
}

/// What the daemon answered.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without its transfer coding.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        wire_json(&self.text())
    }

    /// Fails unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Response {
        assert_eq!(self.status, status, "{:?}: {}", self.headers, self.text());
        self
    }

    /// Fails unless it is a problem of this status and code; answers the problem.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Value {
        let response = self.expect(status);
        assert_eq!(response.header("content-type"), Some("application/problem+json"), "{}", response.text());
        let problem = response.json();
        assert_eq!((&problem["status"], &problem["code"]), (&status.into(), &code.into()), "{problem}");
        problem
    }

    /// Reads the body behind a head.
    fn read(
        mut head: Response,
        mut read: Vec<u8>,
        socket: &mut Socket,
        within: Duration,
        no_body: bool,
    ) -> io::Result<Response> {
        let until = Instant::now() + within;
        let length = head.header("content-length").and_then(|length| length.parse::<usize>().ok());
        let chunked = head.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        if no_body || matches!(head.status, 101 | 204 | 304) {
            return Ok(head);
        }
        if chunked {
            loop {
                if let Some(body) = dechunked(&read) {
                    head.body = body;
                    return Ok(head);
                }
                if more(socket, &mut read, until)? == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the last chunk is missing"));
                }
            }
        }
        while length.is_none_or(|length| read.len() < length) {
            match more(socket, &mut read, until)? {
                0 if length.is_some() => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body is cut short"));
                }
                0 => break,
                _ => {}
            }
        }
        head.body = read;
        Ok(head)
    }
}

/// Reads up to the end of a head; what came behind it stays in `read`.
fn read_head(socket: &mut Socket, read: &mut Vec<u8>, within: Duration) -> io::Result<Response> {
    let until = Instant::now() + within;
    let end = loop {
        if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if more(socket, read, until)? == 0 {
            let got = String::from_utf8_lossy(read).into_owned();
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("closed before an answer: {got:?}")));
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    read.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no HTTP: {head:?}")))?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    Ok(Response { status, headers: lines.map(header).collect(), body: Vec::new() })
}

fn more(socket: &mut Socket, read: &mut Vec<u8>, until: Instant) -> io::Result<usize> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    socket.read_within(left);
    let mut chunk = [0; 64 * 1024];
    let count = socket.read(&mut chunk)?;
    read.extend_from_slice(&chunk[..count]);
    Ok(count)
}

/// The body of a chunked message, if the last chunk is there.
fn dechunked(mut coded: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = coded.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&coded[..line]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        coded = &coded[line + 2..];
        if size == 0 {
            return coded.windows(2).any(|window| window == b"\r\n").then_some(body);
        }
        body.extend_from_slice(coded.get(..size)?);
        coded = coded.get(size + 2..)?;
    }
}
