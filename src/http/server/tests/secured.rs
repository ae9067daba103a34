//! The server behind TLS: what encryption must not change.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rcgen::{CertificateParams, KeyPair};

use super::{BIG_BYTES, Daemon, TOKEN};
use crate::config::{self, Access, Limits};
use crate::http::server::Tls;
use crate::tls::{certificates, provider};

/// A daemon with a certificate, and what a client needs to believe it.
fn secured(name: &str, limits: Limits) -> (Daemon, Arc<ClientConfig>) {
    let file = |kind: &str| -> PathBuf {
        std::env::temp_dir().join(format!("runabout-tls-{}-{name}-{kind}.pem", std::process::id()))
    };
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let cert = params.self_signed(&key).expect("signed");
    std::fs::write(file("cert"), cert.pem()).expect("written");
    std::fs::write(file("key"), key.serialize_pem()).expect("written");
    let files = config::Tls { cert: Some(file("cert")), key: Some(file("key")) };
    let daemon = Daemon::start_with(limits, Access::default(), Tls::load(&files).expect("loaded"));
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&file("cert")).expect("read"));
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    for kind in ["cert", "key"] {
        std::fs::remove_file(file(kind)).expect("removed");
    }
    (daemon, Arc::new(config))
}

fn ask(daemon: &Daemon, config: &Arc<ClientConfig>, path: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let stream = daemon.connect();
    let session = ClientConnection::new(config.clone(), daemon.address.ip().into()).expect("a session");
    let mut stream = StreamOwned::new(session, stream);
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n");
    // It may be refused while it says so.
    let _ = stream.write_all(head.as_bytes());
    stream
}

#[test]
fn a_long_answer_comes_whole_and_ends_with_a_word_of_tls() {
    let (daemon, config) = secured("whole", Limits::default());
    let mut stream = ask(&daemon, &config, "/big");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("not cut off");
    assert!(bytes.len() > BIG_BYTES && bytes.ends_with(b"xxx"), "{} bytes", bytes.len());
}

#[test]
fn a_client_that_takes_nothing_is_dropped() {
    let (daemon, config) = secured("stall", Limits { stream_stall_s: 1, connections: 1, ..Limits::default() });
    let mut held = ask(&daemon, &config, "/big");
    let mut first = [0];
    held.read_exact(&mut first).expect("an answer");
    let is_alive = || {
        let mut answer = String::new();
        let _ = ask(&daemon, &config, "/ok").read_to_string(&mut answer);
        answer.starts_with("HTTP/1.1 200")
    };
    assert!(!is_alive(), "the place is taken");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_alive() {
        assert!(Instant::now() < deadline, "the client is not dropped");
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut bytes = Vec::new();
    let _ = held.read_to_end(&mut bytes);
    assert!(bytes.len() < BIG_BYTES, "{} bytes came", bytes.len());
}
