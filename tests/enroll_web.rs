//! `runabout enroll --web`: a link that opens the page with a token that works, and the same as a QR code.

use serde_json::{Value, json};

use crate::common::{Address, Daemon, cli};

fn port(daemon: &Daemon) -> u16 {
    match daemon.tcp().address() {
        Address::Tcp(address) => address.port(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_prints_a_link_that_lets_a_browser_in_and_a_code_of_it() {
    let daemon = Daemon::start();
    let text = cli(&daemon, &["enroll", "--web", "--role", "viewer"]).expect(0).text();
    let (link, code) = text.split_once('\n').unwrap();
    let token =
        link.strip_prefix(&format!("http://127.0.0.1:{}/#enroll=", port(&daemon))).unwrap_or_else(|| panic!("{link}"));
    let session = daemon.tcp().post("/v1/enroll", &json!({"token": token})).expect(201).json();
    assert_eq!(session["session"]["role"], "viewer");
    let rows: Vec<&str> = code.lines().collect();
    let width = rows[0].chars().count();
    assert!(rows.iter().all(|row| row.chars().count() == width && row.chars().all(|c| " ▀▄█".contains(c))), "{code}");
    assert!(width >= 25 && rows.len() == width.div_ceil(2), "{code}");
    let made = cli(&daemon, &["enroll", "--web", "--json"]).expect(0).json();
    assert!(
        made["link"].as_str().unwrap().ends_with(&format!("/#enroll={}", made["token"].as_str().unwrap())),
        "{made}"
    );
    let alone = cli(&daemon, &["enroll"]).expect(0).text();
    assert!(alone.starts_with("rbe_") && alone.lines().count() == 1, "{alone}");
}

#[test]
fn where_every_address_is_listened_at_it_names_one_that_answers() {
    let daemon = Daemon::builder().config("[access]\nallow_plaintext = true").listen("0.0.0.0:0").start();
    let url = daemon.get("/v1/system").json()["url"].as_str().unwrap().to_owned();
    assert!(!url.contains("//0.0.0.0"), "{url}");
    let text = cli(&daemon, &["enroll", "--web"]).expect(0).text();
    assert!(text.starts_with(&format!("{url}/#enroll=rbe_")), "{text}");
    let address = url.strip_prefix("http://").unwrap().parse().unwrap();
    let there = crate::common::Client::new(Address::Tcp(address));
    there.get("/healthz").expect(200);
}

#[test]
fn over_the_network_the_link_is_the_address_that_was_asked() {
    let daemon = Daemon::start();
    let token = daemon.enroll("admin");
    let url = format!("http://localhost:{}", port(&daemon));
    let mut command = daemon.cli();
    command.env("RUNABOUT_TOKEN", token).args(["enroll", "--web", "--url", &url]);
    let text = crate::common::Running::start(command).ended().expect(0).text();
    assert!(text.starts_with(&format!("{url}/#enroll=rbe_")), "{text}");
}

#[test]
fn without_tcp_there_is_no_page_and_no_token_is_wasted() {
    let daemon = Daemon::builder().listen("none").start();
    assert_eq!(daemon.get("/v1/system").json()["url"], Value::Null);
    let said = cli(&daemon, &["enroll", "--web"]).expect(1).stderr;
    assert!(said.contains("--listen"), "{said}");
    assert_eq!(daemon.get("/v1/enrollment-tokens").json(), json!({"enrollment_tokens": []}));
}
