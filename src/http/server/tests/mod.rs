//! The server under attack, by raw sockets: what a client may send that no library would.

mod gate;
#[cfg(feature = "tls")]
mod secured;
mod wire;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use async_io::Timer;
use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use hyper::body::Bytes;
use hyper::upgrade::OnUpgrade;
use smol::Executor;

use super::bridge::{RouteLabel, Site};
use super::listen::{Listeners, bind_tcp, bind_unix};
use super::reply::Streamed;
use super::rope::Rope;
use super::serve::serve;
use super::tls::Tls;
use super::transport::raw_stream;
use crate::access::{How, Identity, Role, Token, TokenKind};
use crate::config::{Access, Limits};
use crate::http::body::Body;
use crate::http::error::Problem;
use crate::http::head::Head;
use crate::http::middleware::{Gate, Lookup, SocketPolicy};
use crate::http::middleware::{Grant, Peer, Sessions};
use crate::http::routes::is_open;
use crate::run_tokens::RunTokens;
use crate::wake::{Bell, Phase, Stop};

const TOKEN: &str = "rbs_0123456789012345678901234567890123456789";
const RENEWED: &str = "rbs_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// More than the system's socket buffers hold.
const BIG_BYTES: usize = 32 << 20;

struct OneSession;

impl Sessions for OneSession {
    fn by_token(&self, sha256: [u8; 32]) -> Lookup<'_> {
        let is = |token: Token| [token.sha256(), token.cookie_sha256()].contains(&sha256);
        let known = |text| Token::parse(TokenKind::Session, text).is_some_and(is);
        let renewed_s = known(RENEWED).then_some(60);
        let identity = Identity {
            role: Role::Operator,
            name: "session:x".to_owned(),
            scope: None,
            jobs: None,
            session: Some(1),
            how: How::Local,
            renewed_s,
        };
        let found = (known(TOKEN) || known(RENEWED)).then_some((identity, Grant::Peer));
        Box::pin(async move { Ok(found) })
    }
}

/// Handlers that were dropped before their end.
static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Dropped;

impl Drop for Dropped {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

fn app(executor: Arc<Executor<'static>>) -> tide::Server<Arc<Executor<'static>>> {
    let mut app = tide::with_state(executor);
    app.at("/ok").get(|_| async { Ok("ok") });
    app.at("/ok").all(|_| async { Ok(tide::Response::from(Problem::wrong_method("GET, HEAD"))) });
    app.at("/healthz").get(|_| async { Ok("ok") });
    app.at("/v1/enroll").post(|request: tide::Request<_>| async move {
        let peer = request.ext::<Peer>().cloned().ok_or_else(|| tide::Error::from_str(500, "no peer"))?;
        Ok(tide::Response::from(peer.refuse_token("no", Problem::enrollment_invalid("no"))))
    });
    app.at("/who").get(|request: tide::Request<_>| async move {
        let mut response = tide::Response::new(200);
        response.insert_ext(RouteLabel("/who"));
        let peer = request.ext::<Peer>().map(|peer| format!("{:?} {}", peer.address, peer.https));
        response.set_body(format!("{:?} {peer:?}", request.ext::<Identity>()));
        Ok(response)
    });
    app.at("/key").get(|request: tide::Request<_>| async move {
        let key = request.ext::<Head>().map(Head::idempotency_key);
        Ok(match key {
            Some(Err(problem)) => problem.into(),
            other => tide::Response::from(format!("{other:?}")),
        })
    });
    app.at("/echo").post(|request: tide::Request<_>| async move {
        let body = request.ext::<Body>().ok_or_else(|| tide::Error::from_str(500, "no body"))?;
        Ok(match body.read().await {
            Ok(bytes) => tide::Response::from(tide::Body::from_bytes(bytes)),
            Err(problem) => problem.into(),
        })
    });
    app.at("/panic")
        .get(|_| async { if DROPPED.load(Ordering::SeqCst) < usize::MAX { panic!("on purpose") } else { Ok("") } });
    app.at("/split").get(|_| async {
        let mut response = tide::Response::new(200);
        response.insert_header("x-a", "a\r\nx-injected: b");
        Ok(response)
    });
    app.at("/slow").get(|_| async {
        let _dropped = Dropped;
        Timer::after(Duration::from_secs(30)).await;
        Ok("late")
    });
    app.at("/stream").get(|_| async {
        let pieces = ["str", "", "eam", "ed"].map(|piece| Ok(Rope::from(Bytes::from_static(piece.as_bytes()))));
        let mut response = tide::Response::new(200);
        response.insert_ext(Streamed::new(futures_lite::stream::iter(pieces), futures_lite::future::pending()));
        Ok(response)
    });
    app.at("/big").get(|_| async { Ok(tide::Body::from_bytes(vec![b'x'; BIG_BYTES])) });
    app.at("/upgrade").get(|mut request: tide::Request<Arc<Executor<'static>>>| async move {
        let executor = request.state().clone();
        let http: &mut tide::http::Request = request.as_mut();
        let Some(on_upgrade) = http.ext_mut().remove::<OnUpgrade>() else { return Ok("not upgraded".into()) };
        let echo = async move {
            let Some((mut stream, read)) = on_upgrade.await.ok().and_then(raw_stream) else { return };
            let _ = stream.write_all(&read).await;
            let mut bytes = [0; 64];
            while let Ok(n @ 1..) = stream.read(&mut bytes).await {
                let _ = stream.write_all(&bytes[..n]).await;
            }
        };
        executor.spawn(echo).detach();
        let mut response = tide::Response::new(101);
        response.insert_header("upgrade", "websocket");
        response.insert_header("connection", "Upgrade");
        Ok(response)
    });
    app
}

struct Daemon {
    address: SocketAddr,
    socket: PathBuf,
    stop: Stop,
    seen: Arc<Mutex<Vec<(&'static str, u16)>>>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    fn start(limits: Limits, access: Access) -> Daemon {
        Daemon::start_with(limits, access, None)
    }

    fn start_with(limits: Limits, access: Access, tls: Option<Arc<Tls>>) -> Daemon {
        static NTH: AtomicU32 = AtomicU32::new(0);
        let socket = std::env::temp_dir().join(format!(
            "runabout-http-{}-{}",
            std::process::id(),
            NTH.fetch_add(1, Ordering::SeqCst)
        ));
        let tcp = bind_tcp(([127, 0, 0, 1], 0).into()).expect("bound");
        let address = tcp.get_ref().local_addr().expect("an address");
        let (unix, file) = bind_unix(&socket, None).expect("bound");
        let policy = SocketPolicy::new(&access).expect("policy");
        let stop = Stop::new(Bell::default());
        let seen: Arc<Mutex<Vec<(&'static str, u16)>>> = Arc::default();
        let (stopping, noted) = (stop.clone(), seen.clone());
        let thread = std::thread::spawn(move || {
            let executor = Arc::new(Executor::new());
            let observer = Arc::new(move |label, status| noted.lock().expect("lock").push((label, status)));
            let (sessions, name) = (Arc::new(OneSession), "runabout_inst".to_owned());
            let gate = Gate::new(access, sessions, RunTokens::default(), name, is_open);
            let site = Site { app: app(executor.clone()), gate, limits, observer };
            let served = serve(
                Listeners { tcp: Some(tcp), tls, unix, unix_again: async_channel::bounded(1).1 },
                site,
                policy,
                stopping,
                executor.clone(),
            );
            async_io::block_on(executor.run(served));
            file.remove();
        });
        Daemon { address, socket, stop, seen, thread: Some(thread) }
    }

    fn plain() -> Daemon {
        Daemon::start(Limits::default(), Access::default())
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a deadline");
        stream
    }

    /// Sends bytes as they are and reads until the server closes, or for as long as nothing comes.
    fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes.as_ref());
        let _ = stream.shutdown(Shutdown::Write);
        rest(&mut stream)
    }

    /// A request with the token, on a connection that closes after it.
    fn ask(&self, line: &str, headers: &str, body: &str) -> String {
        let mut stream = self.connect();
        let head = format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n{headers}\r\n{body}"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        rest(&mut stream)
    }

    fn is_alive(&self) -> bool {
        self.ask("GET /ok", "", "").starts_with("HTTP/1.1 200")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.raise(Phase::Closing);
        let ended = self.thread.take().is_some_and(|thread| thread.join().is_ok());
        assert!(ended || std::thread::panicking(), "the server panicked");
    }
}

fn rest(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or("none")
}

/// Serves until it is killed, for tools beside it: `cargo test --lib serve_for_tools -- --ignored --nocapture`.
#[test]
#[ignore = "it does not end"]
fn serve_for_tools() {
    let mut daemon = Daemon::plain();
    println!("http://{} {}", daemon.address, daemon.socket.display());
    let _ = daemon.thread.take().map(JoinHandle::join);
}
