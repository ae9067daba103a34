//! The page's link for a new enrollment token, and the same as a QR code for a phone's camera.
//!
//! The token stands behind the `#`, which a browser sends to nobody.

use std::fmt::Write as _;
use std::net::IpAddr;

use qrcodegen::{QrCode, QrCodeEcc};
use serde::Deserialize;

use super::context::Context;
use crate::cli::print::{self, Paint};
use crate::cli::view::read;
use crate::client::connection::Ask;
use crate::client::failure::{Failure, Problem};

/// Light modules around the code: half of what the standard asks for is enough on a screen, and fits 24 lines.
const QUIET_MODULES: i32 = 2;

#[derive(Deserialize)]
struct System {
    url: Option<String>,
}

/// Where a browser finds the page: the address that the daemon was asked at, else the one that it listens at.
///
/// # Errors
/// Where it listens at none, so that there is no page.
pub async fn page_url(context: &Context) -> Result<String, Failure> {
    if let Some(url) = context.daemon.url() {
        return Ok(url);
    }
    let body = context.daemon.ask(&Ask::get("/v1/system")).await?;
    let url = read::<System>(&body)?.url.ok_or_else(|| {
        Failure::Refused(Box::new(Problem {
            detail: "the daemon listens on no TCP address, so that no browser reaches it: start it with --listen \
                     ADDR:PORT, or with such a `listen` in its config.toml, or name the address of a proxy before it with --url"
                .into(),
            ..Problem::default()
        }))
    })?;
    if is_only_here(&url) {
        // A phone would look for the page on itself, and by ssh there is no terminal here.
        print::warn(&format!(
            "{url} is for browsers on the daemon's own machine, or at the end of a tunnel to it; for a phone set `listen` \
             to an address of the network, with [tls]"
        ));
    }
    Ok(url)
}

/// The link by which the page enrolls its browser.
pub fn link(url: &str, token: &str) -> String {
    format!("{url}/#enroll={token}")
}

/// Prints the link, and below it the code.
///
/// # Errors
/// As [`print::answer`].
pub fn show(link: &str) -> Result<(), Failure> {
    let code = QrCode::encode_text(link, QrCodeEcc::Low)
        .map_err(|_| Failure::Own("the link is too long for a QR code".to_owned()))?;
    print::answer(&format!("{link}\n{}", drawn(&code, Paint::new().is_on())))
}

fn is_only_here(url: &str) -> bool {
    let authority = url.split("//").nth(1).unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']);
    host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Two rows of modules a line. With colours it is black on white whatever the terminal's own are; without, the light
/// modules are what is printed, for a terminal that is dark.
fn drawn(code: &QrCode, coloured: bool) -> String {
    let (from, to) = (-QUIET_MODULES, code.size() + QUIET_MODULES);
    let mut out = String::new();
    for y in (from..to).step_by(2) {
        out.push_str(if coloured { "\x1b[97;40m" } else { "" });
        for x in from..to {
            // Beyond the last row there is nothing, which is dark.
            let light = |y: i32| y < to && !code.get_module(x, y);
            out.push(match (light(y), light(y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        _ = writeln!(out, "{}", if coloured { "\x1b[0m" } else { "" });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_code_has_the_modules_of_the_code() {
        let code = QrCode::encode_text(&link("http://pi.local:7867", "rbe_x"), QrCodeEcc::Low).expect("a code");
        let lines: Vec<Vec<char>> = drawn(&code, false).lines().map(|line| line.chars().collect()).collect();
        let side = (code.size() + 2 * QUIET_MODULES) as usize;
        assert!(lines.len() == side.div_ceil(2) && lines.iter().all(|line| line.len() == side), "{lines:?}");
        for (x, y) in (0..side).flat_map(|x| (0..side).map(move |y| (x, y))) {
            let is_light = matches!((lines[y / 2][x], y % 2), ('█', _) | ('▀', 0) | ('▄', 1));
            let is_dark = code.get_module(x as i32 - QUIET_MODULES, y as i32 - QUIET_MODULES);
            assert_ne!(is_light, is_dark, "{x}, {y}");
        }
    }

    #[test]
    fn loopback_is_only_here() {
        for (url, is_it) in [
            ("http://127.0.0.1:7867", true),
            ("http://[::1]:7867", true),
            ("https://192.168.0.7:7867", false),
            ("http://pi.local:7867", false),
        ] {
            assert_eq!(is_only_here(url), is_it, "{url}");
        }
    }
}
