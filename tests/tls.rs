//! TLS without a proxy: everything works over it, a certificate is exchanged while streams go on, and who does not shake
//! hands keeps nobody else out.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustix::process::Signal;
use serde_json::json;

use crate::common::{Address, Builder, DEADLINE, Daemon, Frame, Reader, TempDir, binary, eventually, resident_bytes};

/// The first bytes of a handshake that says it is long and never goes on.
const HALF_HELLO: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];

/// An authority, and certificates from it, as files.
pub struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// One of its own name.
    pub fn new() -> Authority {
        let dir = TempDir::new();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        // Two authorities of one name would be taken for each other, and the refusal be another one.
        params.distinguished_name.push(DnType::CommonName, format!("authority {}", dir.path().display()));
        std::fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { issuer: Issuer::new(params, key), dir }
    }

    /// Its certificate.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Writes a certificate for these names, and its key.
    pub fn sign(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (PathBuf, PathBuf) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        pair(self.dir.path(), &cert.pem(), &key.serialize_pem())
    }
}

fn pair(dir: &Path, cert: &str, key: &str) -> (PathBuf, PathBuf) {
    let (cert_file, key_file) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&cert_file, cert).unwrap();
    std::fs::write(&key_file, key).unwrap();
    (cert_file, key_file)
}

fn config((cert, key): &(PathBuf, PathBuf), more: &str) -> String {
    format!("[tls]\ncert = \"{}\"\nkey = \"{}\"\n{more}", cert.display(), key.display())
}

fn secured(authority: &Authority, more: &str) -> Builder {
    let pair = authority.sign(&["localhost", "127.0.0.1"], |_| {});
    // Without the terminal that the tests may have been started from: where there is one, SIGHUP ends the daemon.
    Daemon::builder().config(&config(&pair, more)).authority(&authority.file()).wrapper(&["setsid"])
}

fn tcp_address(daemon: &Daemon) -> SocketAddr {
    match daemon.tcp().address() {
        Address::Tls(address, _) | Address::Tcp(address) => *address,
        Address::Unix(_) => panic!("no TCP"),
    }
}

fn tcp(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(tcp_address(daemon)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Everything until the daemon closes, or resets.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Exit code, standard output and standard error.
fn outcome(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// The client over the network: with a token, and without what the harness says of the state directory.
fn remote(daemon: &Daemon, url: &str) -> Command {
    let mut command = daemon.cli();
    command.env_remove("RUNABOUT_STATE_DIR").env("RUNABOUT_URL", url);
    command.env("RUNABOUT_TOKEN", daemon.enroll("operator"));
    command
}

#[test]
fn runs_are_submitted_followed_and_resumed_over_tls() {
    let authority = Authority::new();
    let daemon = secured(&authority, "").start();
    let client = daemon.tcp_as("operator");
    let gate = daemon.gate("gate");
    let script = format!("seq 1 200000; {}; seq 200001 300000; echo end", gate.wait());
    let run = client.submit(&json!({"script": script}));
    let mut reader = Reader::open(&client, run, 0);
    reader.until_stdout("199999\n200000\n");
    let told = reader.disconnect();
    gate.open();
    let mut reader = Reader::resume(&client, told);
    assert_eq!(reader.until_end()["status"], "succeeded");
    let expected: String = (1..=300_000).map(|number| format!("{number}\n")).collect();
    assert!(reader.told.stdout == (expected + "end\n").into_bytes(), "{} bytes", reader.told.stdout.len());
    assert_eq!(reader.told.connections, 2);
    // A page of a quarter of a megabyte is many records.
    assert_eq!(client.events(run).len() as i64, reader.told.cursor);
}

#[test]
fn cookies_are_secure_and_the_own_origin_is_https() {
    let authority = Authority::new();
    let daemon = secured(&authority, "").start();
    let token = daemon.post("/v1/enrollment-tokens", &json!({"role": "operator"})).expect(201).json();
    let client = daemon.tcp();
    let enrolled = client.post("/v1/enroll", &json!({"token": token["token"], "cookie": true})).expect(201);
    let cookie = enrolled.header("set-cookie").unwrap().to_owned();
    assert!(cookie.ends_with("; Secure"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let submit = |origin: &str| {
        let call = client.call("POST", "/v1/runs").header("Cookie", cookie).header("Origin", origin);
        call.json(&json!({"command": ["true"]})).send().status
    };
    let address = tcp_address(&daemon);
    assert_eq!((submit(&format!("https://{address}")), submit(&format!("http://{address}"))), (201, 403));
    let detail = client.get("/v1/runs").expect(401).json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(&format!("https://{address}/v1/enroll")), "{detail}");
    // The Unix socket stays as it is.
    daemon.get("/v1/runs").expect(200);
}

#[test]
fn the_clients_commands_work_over_tls_and_login_remembers_the_authority() {
    let authority = Authority::new();
    let daemon = secured(&authority, "").start();
    let address = tcp_address(&daemon);
    let url = format!("https://{address}");
    for (variable, arguments) in [
        ("NO_COLOR", ["--ca", authority.file().to_str().unwrap()].as_slice()),
        ("RUNABOUT_CA", &[]),
        ("SSL_CERT_FILE", &[]),
    ] {
        let mut command = remote(&daemon, &url);
        let (code, out, err) =
            outcome(command.env(variable, authority.file()).args(arguments).args(["run", "--", "echo", "over", "tls"]));
        assert_eq!((code, out.as_str()), (0, "over tls\n"), "{variable}: {err}");
    }
    let mut command = remote(&daemon, &url);
    command.current_dir(authority.dir.path()).args([
        "login",
        "--ca",
        "ca.pem",
        &format!("https://localhost:{}", address.port()),
    ]);
    let (code, _, err) = outcome(&mut command);
    assert_eq!(code, 0, "{err}");
    let mut command = daemon.cli();
    let (code, out, err) =
        outcome(command.env_remove("RUNABOUT_STATE_DIR").args(["run", "--", "echo", "logged", "in"]));
    assert_eq!((code, out.as_str()), (0, "logged in\n"), "{err}");
}

#[test]
fn the_client_says_whom_it_does_not_believe_and_what_helps() {
    let (authority, other) = (Authority::new(), Authority::new());
    let daemon = secured(&authority, "").start();
    let url = format!("https://{}", tcp_address(&daemon));
    let ls = |daemon: &Daemon, url: &str, ca: Option<&Path>| {
        let mut command = remote(daemon, url);
        // Of a machine without authorities of its own as much as of this one.
        command.env("SSL_CERT_FILE", other.file()).arg("ls");
        if let Some(ca) = ca {
            command.arg("--ca").arg(ca);
        }
        let (code, _, err) = outcome(&mut command);
        (code, err)
    };
    let (code, err) = ls(&daemon, &url, None);
    assert!(code == 3 && err.contains("not known here") && err.contains("--ca FILE"), "{code} {err}");
    let (code, err) = ls(&daemon, &url, Some(&other.file()));
    assert!(code == 3 && err.contains("not from the authority in"), "{code} {err}");
    let (code, err) = ls(&daemon, &url, Some(Path::new("/no/such.pem")));
    assert!(code == 2 && err.contains("/no/such.pem"), "{code} {err}");
    let (code, err) = ls(&daemon, &url.replace("https", "http"), None);
    assert!(code == 3 && err.contains("https://"), "{code} {err}");
    let (code, err) = ls(&daemon, &url.replace("https", "http"), Some(&authority.file()));
    assert!(code == 2 && err.contains("--ca means nothing"), "{code} {err}");
    let plain = Daemon::start();
    let (code, err) = ls(&plain, &format!("https://{}", tcp_address(&plain)), Some(&authority.file()));
    assert!(code == 3 && err.contains("does not speak TLS"), "{code} {err}");

    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    };
    authority.sign(&["127.0.0.1"], expired);
    daemon.signal(Signal::HUP);
    eventually(DEADLINE, "it is expired", || {
        let (code, err) = ls(&daemon, &url, Some(&authority.file()));
        code == 3 && err.contains("expired at 2021-01-01")
    });
    authority.sign(&["elsewhere.example"], |_| {});
    daemon.signal(Signal::HUP);
    eventually(DEADLINE, "it is another's", || {
        let (code, err) = ls(&daemon, &url, Some(&authority.file()));
        code == 3 && err.contains("is not for 127.0.0.1 but for") && err.contains("elsewhere.example")
    });
}

#[test]
fn a_certificate_that_is_its_own_authority_is_believed_where_it_is_named() {
    let dir = TempDir::new();
    let own = |names: &[&str], until: i32| {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        // As `openssl req -x509` makes them.
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(until, 1, 1);
        pair(dir.path(), &params.self_signed(&key).unwrap().pem(), &key.serialize_pem())
    };
    let pair = own(&["127.0.0.1"], 4000);
    let daemon = Daemon::builder().config(&config(&pair, "")).authority(&pair.0).wrapper(&["setsid"]).start();
    let url = format!("https://{}", tcp_address(&daemon));
    let ls = || outcome(remote(&daemon, &url).arg("--ca").arg(&pair.0).arg("ls"));
    let (code, _, err) = ls();
    assert_eq!(code, 0, "{err}");
    for (names, until, why) in [(["10.0.0.1"], 4000, "is not for"), (["127.0.0.1"], 2021, "expired")] {
        own(&names, until);
        daemon.signal(Signal::HUP);
        eventually(DEADLINE, why, || {
            let (code, _, err) = ls();
            code == 3 && err.contains(why)
        });
    }
}

#[test]
fn a_hangup_changes_the_certificate_while_a_stream_goes_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let pair = old.sign(&["127.0.0.1"], |_| {});
    // As under nohup, whose signals must still reach commands as usual.
    let builder = Daemon::builder().config(&config(&pair, "")).authority(&old.file());
    let daemon = builder.wrapper(&["env", "--ignore-signal=HUP"]).start();
    let client = daemon.tcp_as("operator");
    let gate = daemon.gate("gate");
    let run = client.submit(&json!({"script": format!("{}; kill -HUP $$", gate.wait())}));
    let mut reader = Reader::open(&client, run, 0);
    reader.until_caught_up();
    let believes = |authority: &Authority| {
        let address = Address::Tls(tcp_address(&daemon), authority.file());
        crate::common::Client::new(address).call("GET", "/healthz").try_send().is_ok_and(|answer| answer.status == 200)
    };
    assert!(believes(&old) && !believes(&new));

    let (cert, key) = new.sign(&["127.0.0.1"], |_| {});
    std::fs::copy(cert, &pair.0).unwrap();
    let before = std::fs::read(&pair.1).unwrap();
    daemon.signal(Signal::HUP);
    eventually(DEADLINE, "the wrong pair is told", || daemon.log().contains("the old certificate stays: tls.key: "));
    assert!(believes(&old), "the old pair stays");

    assert_ne!(before, std::fs::read(&key).unwrap());
    std::fs::copy(key, &pair.1).unwrap();
    daemon.signal(Signal::HUP);
    eventually(DEADLINE, "the new certificate is served", || believes(&new));
    assert!(!believes(&old));
    gate.open();
    assert_eq!(reader.until_end()["reason"], "signaled");
    assert_eq!(reader.told.connections, 1);
}

#[test]
fn a_hangup_without_tls_is_survived() {
    let mut daemon = Daemon::start();
    daemon.signal(Signal::HUP);
    eventually(DEADLINE, "it was taken", || daemon.log().contains("SIGHUP"));
    daemon.get("/readyz").expect(200);
    daemon.stop();
}

#[test]
fn plaintext_is_refused_and_disturbs_nobody() {
    let authority = Authority::new();
    let daemon = secured(&authority, "").start();
    let run = daemon.sh("sleep 1000");
    let client = daemon.tcp_as("operator");
    let mut reader = Reader::open(&client, run, 0);
    reader.until_caught_up();
    for said in ["GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\0\0\0"] {
        let mut stream = tcp(&daemon);
        stream.write_all(said.as_bytes()).unwrap();
        assert_eq!(rest(&mut stream), "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    }
    let mut stream = tcp(&daemon);
    stream.write_all(&[22; 4_096]).unwrap();
    assert!(!rest(&mut stream).contains("HTTP"));
    client.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(202);
    assert_eq!(reader.until_end()["status"], "canceled");
}

#[test]
fn a_handshake_has_a_deadline() {
    let authority = Authority::new();
    let daemon = secured(&authority, "[limits]\nhead_s = 1").start();
    for said in [b"".as_slice(), HALF_HELLO] {
        let mut stream = tcp(&daemon);
        let begun = Instant::now();
        stream.write_all(said).unwrap();
        rest(&mut stream);
        assert!((900..10_000).contains(&begun.elapsed().as_millis()), "{said:?} {:?}", begun.elapsed());
    }
}

#[test]
fn half_open_handshakes_keep_nobody_out() {
    let authority = Authority::new();
    let daemon = secured(&authority, "").start();
    let client = daemon.tcp_as("viewer");
    let half_open: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = tcp(&daemon);
            stream.write_all(HALF_HELLO).unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    for _ in 0..10 {
        client.get("/v1/runs").expect(200);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(half_open);
}

#[test]
fn who_has_not_shaken_hands_counts_as_a_connection() {
    let authority = Authority::new();
    let daemon = secured(&authority, "[limits]\nhead_s = 2\nconnections = 3").start();
    let half_open: Vec<TcpStream> = (0..3).map(|_| tcp(&daemon)).collect();
    let client = daemon.tcp();
    let status = || client.call("GET", "/healthz").try_send().map(|answer| answer.status);
    eventually(DEADLINE, "one too many is told so", || status().is_ok_and(|status| status == 503));
    eventually(DEADLINE, "there is room again", || status().is_ok_and(|status| status == 200));
    drop(half_open);
}

#[test]
fn a_reader_that_takes_nothing_is_closed_and_costs_no_memory() {
    let authority = Authority::new();
    let daemon = secured(&authority, "[limits]\nstream_stall_s = 2").start();
    let client = daemon.tcp_as("viewer");
    let gate = daemon.gate("gate");
    let run = daemon.sh(&format!("{}; yes | head -c 40000000", gate.wait()));
    let mut readers: Vec<Reader> = (0..20).map(|_| Reader::open(&client, run, 0)).collect();
    readers.iter_mut().for_each(Reader::until_caught_up);
    let before = resident_bytes(daemon.pid());
    gate.open();
    eventually(DEADLINE * 2, "those that take nothing are closed", || daemon.metrics().sum("readers") == 0.0);
    let grown = resident_bytes(daemon.pid()).saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more");
    let mut last = None;
    while last != Some(Frame::Lost) {
        last = Some(readers[0].next());
        assert!(!matches!(last, Some(Frame::End(_))), "it was closed before");
    }
}

#[test]
fn a_pair_that_cannot_be_served_is_refused_at_the_start() {
    let authority = Authority::new();
    let (cert, key) = authority.sign(&["127.0.0.1"], |_| {});
    let none = authority.dir.path().join("none.pem");
    let refused = |toml: String| {
        let (code, said) = Daemon::builder().config(&toml).refused();
        assert_eq!(code, 2, "{said}");
        said
    };
    let said = refused(format!("[tls]\ncert = \"{}\"", cert.display()));
    assert!(said.contains("tls.key: missing") && said.contains("config.toml"), "{said}");
    let said = refused(config(&(none.clone(), key.clone()), ""));
    assert!(said.contains("tls.cert: ") && said.contains("none.pem") && said.contains("allowed: a PEM file"), "{said}");
    let said = refused(config(&(cert.clone(), cert.clone()), ""));
    assert!(said.contains("tls.key: ") && said.contains("no private key"), "{said}");
    let said = refused(config(&(authority.file(), key.clone()), ""));
    assert!(said.contains("tls.key: ") && said.contains("belongs to tls.cert"), "{said}");
    let (code, said) = Daemon::builder().listen("0.0.0.0:0").refused();
    assert!(code == 2 && said.contains("tls.cert"), "{said}");
    let daemon = secured(&authority, "").listen("0.0.0.0:0").start();
    drop(daemon);
}

#[test]
fn a_check_by_root_says_what_the_daemons_user_may_not_read() {
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: needs root");
    }
    let authority = Authority::new();
    let (cert, key) = authority.sign(&["localhost"], |_| {});
    let dir = authority.dir.path();
    let (state, file) = (dir.join("state"), dir.join("config.toml"));
    std::fs::create_dir(&state).unwrap();
    std::fs::write(&file, config(&(cert.clone(), key.clone()), "")).unwrap();
    let chmod = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    for (path, mode) in [(dir, 0o755), (&file, 0o644), (&cert, 0o644), (&key, 0o600)] {
        chmod(path, mode);
    }
    let check = || {
        let mut command = Command::new(binary());
        command.args(["serve", "--check", "--state-dir"]).arg(&state).arg("--config").arg(&file);
        outcome(&mut command)
    };
    assert_eq!(check().0, 0);
    // As the machine's service has it: the directory is its user's, and openssl made the key for root.
    std::os::unix::fs::chown(&state, Some(65_534), None).unwrap();
    let (code, _, said) = check();
    assert!(code == 2 && said.contains("tls.key") && said.contains("user nobody"), "{said}");
    chmod(&key, 0o644);
    assert_eq!(check().0, 0);
    chmod(&file, 0o600);
    let (code, _, said) = check();
    assert!(code == 2 && said.contains("config.toml"), "{said}");
}
