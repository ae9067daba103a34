//! Finds trusted proxies that do not send the client's address. The forwarded headers are then the client's own, and
//! believed all the same, so that `doctor` and the log report it.
//!
//! Only requests that show signs of a proxy count: a program on the proxy's machine may connect directly.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use hyper::http::HeaderMap;

use crate::config::Host;

/// Proxies that are remembered at most.
const PROXIES_MAX: usize = 16;
/// What proxies add to a request beside the address.
const SIGNS: [&str; 4] = ["x-forwarded-proto", "x-forwarded-host", "x-real-ip", "via"];

/// Those that were seen since the daemon started.
#[derive(Debug, Default)]
pub(super) struct SilentProxies(Mutex<BTreeSet<IpAddr>>);

impl SilentProxies {
    /// Looks at a request from the address of a trusted proxy, sent to this host; `allowed` are the public names.
    pub fn look(&self, proxy: IpAddr, headers: &HeaderMap, host: &Host, allowed: &[String]) {
        let is_public = |host: &Host| matches!(host, Host::Name(name) if allowed.contains(name));
        let is_proxied = || is_public(host) || SIGNS.iter().any(|sign| headers.contains_key(*sign));
        if headers.contains_key("x-forwarded-for") || !is_proxied() {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < PROXIES_MAX && known.insert(proxy) {
            log::warn!(
                "the trusted proxy {proxy} sends no X-Forwarded-For: everybody behind it counts as that address, or as \
                 any they like if it passes theirs on; see docs/proxies.md"
            );
        }
    }

    /// All of them.
    pub fn seen(&self) -> Vec<IpAddr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}
