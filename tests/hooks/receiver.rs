//! A receiver of webhooks that answers as a test wants, well or badly.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::common::{DEADLINE, eventually};

/// What it does with a request.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// A status, and headers, each with its line end.
    Status(u16, &'static str),
    /// Nothing, and the connection stays.
    Hang,
    /// Half of a head, and the end of the connection.
    Half,
    /// The end of the connection.
    Close,
    /// What is not HTTP.
    Noise,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Heard {
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Heard {
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("no {name} in {:?}", self.headers)).1
    }

    /// The run that it tells of.
    pub fn run(&self) -> i64 {
        serde_json::from_slice::<Value>(&self.body).unwrap()["data"]["id"].as_i64().unwrap()
    }
}

#[derive(Default)]
struct State {
    heard: Vec<Heard>,
    answer: Option<Answer>,
    streams: Vec<TcpStream>,
    is_over: bool,
}

/// It listens until it is stopped or dropped.
pub struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Receiver {
    pub fn start(answer: Answer) -> Receiver {
        Receiver::start_at("127.0.0.1:0".parse().unwrap(), answer)
    }

    /// On an address that another one had.
    pub fn start_at(address: SocketAddr, answer: Answer) -> Receiver {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { answer: Some(answer), ..State::default() }));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let mut state = shared.lock().unwrap();
                if state.is_over {
                    return;
                }
                state.streams.extend(stream.try_clone());
                let shared = shared.clone();
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Receiver { address, state }
    }

    /// Its URL, with something that may be a secret.
    pub fn url(&self) -> String {
        format!("http://{}/in?token=hidden", self.address)
    }

    /// From now on it answers so.
    pub fn answer(&self, answer: Answer) {
        self.state.lock().unwrap().answer = Some(answer);
    }

    /// Nobody listens there any more.
    pub fn stop(&self) -> SocketAddr {
        self.state.lock().unwrap().is_over = true;
        // Wakes who accepts.
        let _ = TcpStream::connect(self.address);
        eventually(DEADLINE, "nobody listens", || TcpStream::connect(self.address).is_err());
        self.address
    }

    pub fn count(&self) -> usize {
        self.state.lock().unwrap().heard.len()
    }

    /// What it has heard, once that is so much.
    #[track_caller]
    pub fn wait(&self, count: usize) -> Vec<Heard> {
        eventually(DEADLINE, &format!("{count} requests come"), || self.count() >= count);
        self.state.lock().unwrap().heard.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap();
        state.is_over = true;
        state.streams.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        drop(state);
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers one request after another, as keep-alive has it.
fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let mut headers = Vec::new();
        let mut line = String::new();
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            match line.trim_end().split_once(": ") {
                _ if line.trim_end().is_empty() => break,
                Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
                None => {}
            }
        }
        let length = headers.iter().find(|(name, _)| name == "content-length").map_or("0", |(_, value)| value);
        let mut body = vec![0; length.parse().unwrap()];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let answer = {
            let mut state = state.lock().unwrap();
            state.heard.push(Heard { headers, body });
            state.answer.unwrap()
        };
        let said = match answer {
            Answer::Status(204, more) => format!("HTTP/1.1 204 No Content\r\n{more}\r\n"),
            Answer::Status(status, more) => format!("HTTP/1.1 {status} X\r\n{more}Content-Length: 4\r\n\r\nsaid"),
            Answer::Hang => continue,
            Answer::Half => "HTTP/1.1 200 OK\r\nConte".to_owned(),
            Answer::Close => String::new(),
            Answer::Noise => "SSH-2.0-OpenSSH_10.0\r\n".to_owned(),
        };
        let _ = stream.write_all(said.as_bytes());
        if !matches!(answer, Answer::Status(..)) {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}
