//! Events over WebSocket.

use std::io;
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::protocol::Role;
use async_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::reader::{Said, wire_object};
use super::{Client, Response, Socket};

/// How a WebSocket is asked for.
pub struct Opening<'a> {
    client: &'a Client,
    path: String,
    headers: Vec<(String, String)>,
}

impl<'a> Opening<'a> {
    /// A path, with its query.
    pub fn new(client: &'a Client, path: String) -> Opening<'a> {
        let headers = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Opening { client, path, headers }
    }

    /// Adds a header or replaces the one of that name.
    pub fn header(mut self, name: &str, value: &str) -> Opening<'a> {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a header out.
    pub fn without(mut self, name: &str) -> Opening<'a> {
        self.headers.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        self
    }

    /// Asks: the answer's head (with its body, where it is no upgrade), what was read behind it, the connection.
    pub fn ask(self) -> io::Result<(Response, Vec<u8>, Socket)> {
        let call = self.client.call("GET", &self.path);
        self.headers.iter().fold(call, |call, (name, value)| call.header(name, value)).open()
    }

    /// Asks, where an upgrade must not be the answer.
    #[track_caller]
    pub fn refused(self) -> Response {
        let (response, _, _) = self.ask().unwrap();
        assert_ne!(response.status, 101, "upgraded");
        response
    }
}

/// One open WebSocket.
pub struct WebSocketWire {
    socket: WebSocket<Socket>,
    /// Pings that came.
    pub pings: usize,
    /// Answers to the pings that were sent.
    pub pongs: Vec<Vec<u8>>,
}

impl WebSocketWire {
    /// Asks for a path; anything but an upgrade fails the test.
    #[track_caller]
    pub fn open(client: &Client, path: String) -> io::Result<(Response, WebSocketWire)> {
        let (response, read, socket) = Opening::new(client, path).ask()?;
        let response = response.expect(101);
        let socket = WebSocket::from_partially_read(socket, read, Role::Client, None);
        Ok((response, WebSocketWire { socket, pings: 0, pongs: Vec::new() }))
    }

    /// Sends a message to the daemon.
    pub fn say(&mut self, message: Message) {
        self.socket.send(message).unwrap();
    }

    /// The next text, as JSON; what WebSocket itself says is answered and passed over.
    pub(super) fn object(&mut self, limit: Duration) -> Said {
        let until = Instant::now() + limit;
        let mut code = None;
        loop {
            self.socket.get_ref().read_within(until.saturating_duration_since(Instant::now()));
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    return Said::Object(wire_object(&text));
                }
                Ok(Message::Close(frame)) => code = Some(frame.map_or(1005, |frame| u16::from(frame.code))),
                Ok(Message::Ping(_)) => self.pings += 1,
                Ok(Message::Pong(payload)) => self.pongs.push(payload.to_vec()),
                Ok(other) => panic!("not a text: {other:?}"),
                Err(Error::Io(error)) if Socket::is_timeout(&error) && code.is_none() => {
                    if Instant::now() >= until {
                        return Said::Nothing;
                    }
                }
                Err(Error::Capacity(error)) => panic!("{error}"),
                Err(_) => return code.map_or(Said::Lost, Said::Closed),
            }
        }
    }
}
