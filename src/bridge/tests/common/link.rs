//! A link between bridge and hub that can be cut with a word, without one, on one side, in the middle of a message, or be slow;
//! and healed.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const OPEN: u8 = 0;
const REFUSING: u8 = 1;
const SILENT: u8 = 2;

#[derive(Default)]
struct State {
    link: AtomicU8,
    /// Each piece waits for this.
    delay_ms: AtomicU64,
    /// So many bytes go through, and then the connection ends, wherever a message is; 0: all.
    left: AtomicU64,
}

struct Connection {
    here: TcpStream,
    there: TcpStream,
    /// What was on its way arrives after this.
    late_ms: Arc<AtomicU64>,
}

pub struct Link {
    pub port: u16,
    state: Arc<State>,
    open: Arc<Mutex<Vec<Connection>>>,
}

impl Link {
    pub fn to(port: u16) -> Link {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = Link { port: listener.local_addr().unwrap().port(), state: Arc::default(), open: Arc::default() };
        let (state, open) = (link.state.clone(), link.open.clone());
        std::thread::spawn(move || {
            for here in listener.incoming() {
                let here = here.unwrap();
                if state.link.load(Ordering::Relaxed) == REFUSING {
                    continue;
                }
                let Ok(there) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let copy = |stream: &TcpStream| stream.try_clone().unwrap();
                let late_ms = Arc::new(AtomicU64::new(0));
                let connection = Connection { here: copy(&here), there: copy(&there), late_ms: late_ms.clone() };
                open.lock().unwrap().push(connection);
                for (from, to) in [(copy(&here), copy(&there)), (there, here)] {
                    let (state, late_ms) = (state.clone(), late_ms.clone());
                    std::thread::spawn(move || carry(&state, &late_ms, from, to));
                }
            }
        });
        link
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Ends all connections and takes none.
    pub fn cut(&self) {
        self.state.link.store(REFUSING, Ordering::Relaxed);
        for connection in self.open.lock().unwrap().drain(..) {
            let _ = (connection.here.shutdown(Shutdown::Both), connection.there.shutdown(Shutdown::Both));
        }
    }

    /// Nothing comes through any more, and nobody is told.
    pub fn silence(&self) {
        self.state.link.store(SILENT, Ordering::Relaxed);
    }

    /// The bridge loses its connection and may make another; the hub keeps the old one, and gets from it what was on its way
    /// when the new one has been in use for a while.
    pub fn double(&self, late_ms: u64) {
        for connection in self.open.lock().unwrap().drain(..) {
            connection.late_ms.store(late_ms, Ordering::Relaxed);
            let _ = connection.here.shutdown(Shutdown::Both);
        }
    }

    /// Connections end after so many bytes.
    pub fn drop_after(&self, bytes: u64) {
        self.state.left.store(bytes, Ordering::Relaxed);
    }

    pub fn delay(&self, ms: u64) {
        self.state.delay_ms.store(ms, Ordering::Relaxed);
    }

    pub fn heal(&self) {
        self.state.left.store(0, Ordering::Relaxed);
        self.state.delay_ms.store(0, Ordering::Relaxed);
        self.state.link.store(OPEN, Ordering::Relaxed);
    }
}

fn carry(state: &State, late_ms: &AtomicU64, mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        let delay_ms = state.delay_ms.load(Ordering::Relaxed) + late_ms.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(delay_ms));
        // What was read while the link is silent is lost: this connection can never go on.
        let was_silent = state.link.load(Ordering::Relaxed) == SILENT;
        while state.link.load(Ordering::Relaxed) == SILENT {
            std::thread::sleep(Duration::from_millis(10));
        }
        let left = state.left.load(Ordering::Relaxed);
        let whole = left == 0 || left > read as u64;
        let read = if whole { read } else { usize::try_from(left).unwrap() };
        if left > 0 {
            state.left.store(if whole { left - read as u64 } else { 1 }, Ordering::Relaxed);
        }
        if was_silent || to.write_all(&bytes[..read]).is_err() || !whole {
            break;
        }
    }
    std::thread::sleep(Duration::from_millis(late_ms.load(Ordering::Relaxed)));
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
