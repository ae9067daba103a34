//! Behind a reverse proxy that is set up as the documentation shows: everything works, and nobody chooses their address.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::common::{Address, Client, DEADLINE, Daemon, Reader, TempDir, Via, cli, eventually};
use crate::origins::cookie;
use crate::tls::Authority;

const DOCS: &str = include_str!("../docs/proxies.md");

/// What the documentation shows for a proxy.
fn snippet(language: &str) -> String {
    let (_, rest) = DOCS.split_once(&format!("```{language}\n")).unwrap_or_else(|| panic!("no {language} in the docs"));
    rest.split_once("```").unwrap().0.to_owned()
}

/// The program, where it is installed.
fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let found = dirs.map(|dir| dir.join(name)).find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: no {name} is installed (Debian: apt-get install {name})");
    }
    found
}

/// A proxy that runs; it is ended with the test.
struct Proxy {
    child: Child,
    client: Client,
    _dir: TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    /// Starts one whose file is `text` with the daemon's port, a free one and a certificate in place of the shown ones.
    fn start(program: &Path, daemon: &Daemon, text: &str, arguments: impl FnOnce(&mut Command, &Path)) -> Proxy {
        let dir = TempDir::new();
        let authority = Authority::new();
        let (cert, key) = authority.sign(&["localhost", "127.0.0.1"], |_| {});
        let both = [&cert, &key].map(|file| std::fs::read_to_string(file).unwrap()).concat();
        let shown = |name: &str| dir.path().join(name).display().to_string();
        std::fs::copy(cert, shown("crt")).unwrap();
        std::fs::copy(key, shown("key")).unwrap();
        std::fs::write(shown("pem"), both).unwrap();
        let ca = dir.path().join("ca.pem");
        std::fs::copy(authority.file(), &ca).unwrap();
        let Address::Tcp(target) = daemon.tcp().address().clone() else { unreachable!() };
        let port = free_port();
        let text = ["crt", "key", "pem"].iter().fold(text.to_owned(), |text, suffix| {
            text.replace(&format!("/etc/ssl/runabout.example.{suffix}"), &shown(suffix))
        });
        let text = text.replace("127.0.0.1:7867", &target.to_string()).replace("443", &port.to_string());
        let text = text.replace("DIR", &dir.path().display().to_string());
        let file = dir.path().join("proxy.conf");
        std::fs::write(
            &file,
            text.replace(
                "runabout.example {",
                &format!("https://127.0.0.1:{port}, https://runabout.example:{port} {{"),
            ),
        )
        .unwrap();
        let log = std::fs::File::create(dir.path().join("proxy.log")).unwrap();
        let mut command = Command::new(program);
        arguments(&mut command, &file);
        command.env("XDG_DATA_HOME", dir.path()).env("XDG_CONFIG_HOME", dir.path());
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let address = Address::Tls(([127, 0, 0, 1], port).into(), ca);
        let proxy = Proxy { child, client: Client::new(address), _dir: dir };
        eventually(DEADLINE, "the proxy answers", || {
            proxy.client.call("GET", "/healthz").try_send().is_ok_and(|answer| answer.status == 200)
        });
        proxy
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn behind_a_proxy() -> Daemon {
    Daemon::with_config("[access]\nallowed_hosts = [\"runabout.example\"]\ntrusted_proxies = [\"127.0.0.1\"]\n")
}

/// What anybody does through a proxy.
#[track_caller]
fn works(daemon: &Daemon, proxy: &Client) {
    let enroll = |wish: Value| {
        let token =
            daemon.post("/v1/enrollment-tokens", &json!({"role": "operator"})).expect(201).json()["token"].clone();
        let mut wish = wish;
        wish["token"] = token;
        // Somebody who would be another, and on another page.
        let call = proxy.call("POST", "/v1/enroll").header("X-Forwarded-For", "192.0.2.1").json(&wish);
        call.header("X-Forwarded-Host", "evil.example").header("X-Forwarded-Proto", "http").send().expect(201)
    };
    let made = enroll(json!({})).json();
    assert_eq!(made["session"]["address"], "127.0.0.1", "the address is the client's choice");
    let client = proxy.with_token(made["session_token"].as_str().unwrap());
    let gate = daemon.gate("gate");
    let run = client.submit(&json!({"script": format!("echo first; {}; echo last", gate.wait())}));
    let mut readers = Via::STREAMS.map(|via| Reader::open_by(via, &client, run, 0));
    // Live, while the run goes on: nothing is gathered on the way.
    readers.iter_mut().for_each(|reader| reader.until_stdout("first\n"));
    gate.open();
    for reader in &mut readers {
        assert_eq!(reader.until_end()["status"], "succeeded");
    }
    assert_eq!(client.get(&format!("/v1/runs/{run}/exit_code?wait_s=30")).expect(200).text(), "0\n");
    // The page: its origin is the proxy's, and its cookie for https alone.
    let (pair, attributes) = cookie(&enroll(json!({"cookie": true})));
    assert!(attributes.contains(&"Secure".to_owned()), "{attributes:?}");
    let submit = |origin: String| {
        let call = proxy.call("POST", "/v1/runs").header("Host", "runabout.example").header("Cookie", &pair);
        call.header("Origin", &origin).json(&json!({"script": "true"})).send()
    };
    submit("https://runabout.example".to_owned()).expect(201);
    submit("http://runabout.example".to_owned()).expect_problem(403, "origin_not_allowed");
    // A megabyte, which the daemon takes.
    let large = json!({"command": ["true"], "stdin": "x".repeat(1_000_000)});
    client.call("POST", "/v1/runs").json(&large).send().expect(201);
    assert_eq!(daemon.get("/v1/system").expect(200).json()["silent_proxies"], json!([]));
}

/// The main context is left out of what is shown.
const NGINX_MAIN: &str = "daemon off; master_process off; pid DIR/pid; error_log DIR/error.log; events {}
http { access_log off; client_body_temp_path DIR/1; proxy_temp_path DIR/2; fastcgi_temp_path DIR/3;
uwsgi_temp_path DIR/4; scgi_temp_path DIR/5;\n";

fn nginx(daemon: &Daemon, text: &str) -> Option<Proxy> {
    let program = installed("nginx")?;
    let text = format!("{NGINX_MAIN}{text}}}\n");
    Some(Proxy::start(&program, daemon, &text, |command, file| {
        let error_log = file.with_file_name("early.log");
        command.arg("-e").arg(error_log).arg("-c").arg(file);
    }))
}

#[test]
fn nginx_as_it_is_documented() {
    let daemon = behind_a_proxy();
    let Some(proxy) = nginx(&daemon, &snippet("nginx")) else { return };
    works(&daemon, &proxy.client);
}

#[test]
fn a_proxy_that_is_not_told_to_lets_its_clients_choose_their_address_and_the_doctor_sees_it() {
    let daemon = behind_a_proxy();
    let text = snippet("nginx").replace("proxy_set_header X-Forwarded-For $remote_addr;", "");
    let Some(proxy) = nginx(&daemon, &text) else { return };
    let token = daemon.post("/v1/enrollment-tokens", &json!({"role": "viewer"})).expect(201).json()["token"].clone();
    let enroll = proxy.client.call("POST", "/v1/enroll").header("X-Forwarded-For", "192.0.2.1");
    let made = enroll.json(&json!({"token": token})).send().expect(201).json();
    assert_eq!(made["session"]["address"], "192.0.2.1");
    proxy.client.call("GET", "/v1/runs").header("Host", "runabout.example").send().expect(401);
    let report = cli(&daemon, &["--json", "doctor"]).expect(0).json();
    assert!(report["checks"].as_array().unwrap().iter().any(|one| one["check"] == "proxies"), "{report:#}");
}

#[test]
fn haproxy_as_it_is_documented() {
    let daemon = behind_a_proxy();
    let Some(program) = installed("haproxy") else { return };
    let proxy = Proxy::start(&program, &daemon, &snippet("haproxy"), |command, file| {
        command.arg("-db").arg("-f").arg(file);
    });
    works(&daemon, &proxy.client);
}

#[test]
fn caddy_as_it_is_documented() {
    let daemon = behind_a_proxy();
    let Some(program) = installed("caddy") else { return };
    // No port but the one that is shown, also for another name than its certificate's.
    let text = format!("{{\n admin off\n auto_https disable_redirects\n}}\n{}", snippet("caddy"));
    let proxy = Proxy::start(&program, &daemon, &text, |command, file| {
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    });
    works(&daemon, &proxy.client);
}

#[test]
fn the_doctor_tells_of_a_proxy_that_passes_made_up_addresses_on() {
    let daemon = behind_a_proxy();
    let tcp = daemon.tcp();
    let check = |name: &str| {
        let report = cli(&daemon, &["--json", "doctor"]).expect(0).json();
        report["checks"].as_array().unwrap().iter().find(|one| one["check"] == name).cloned()
    };
    // Who comes from the proxy's machine without it, and a proxy that does as it should.
    tcp.get("/v1/runs").expect(401);
    let proxied = || tcp.call("GET", "/v1/runs").header("Host", "runabout.example");
    proxied().header("X-Forwarded-For", "192.0.2.1").send().expect(401);
    assert_eq!(check("proxies"), None);
    proxied().send().expect(401);
    proxied().send().expect(401);
    let found = check("proxies").expect("a warning");
    assert_eq!(found["level"], "warn");
    assert!(found["found"].as_str().unwrap().contains("127.0.0.1"), "{found}");
    assert!(found["advice"].as_str().unwrap().contains("docs/proxies.md"), "{found}");
    assert_eq!(daemon.log().matches("sends no X-Forwarded-For").count(), 1, "{}", daemon.log());
    assert_eq!(check("trusted_proxies"), None);
    let wide = Daemon::with_config("[access]\ntrusted_proxies = [\"10.0.0.0/8\", \"127.0.0.1\"]\n");
    let report = cli(&wide, &["--json", "doctor"]).expect(0).json();
    let found = report["checks"].as_array().unwrap().iter().find(|one| one["check"] == "trusted_proxies").unwrap();
    assert!(found["level"] == "warn" && found["found"].as_str().unwrap().contains("10.0.0.0/8"), "{found}");
}
