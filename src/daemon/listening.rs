//! Opens the listening sockets: those that the service manager handed over, and for the rest the configured ones.
//!
//! No connection is accepted here. A socket that was handed over is never removed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use async_io::Async;

use super::refusal::Refusal;
use super::room;
use super::socket::OwnSocket;
use crate::config::{Config, Listen};
use crate::http::address::PageAddress;
use crate::http::middleware::SocketPolicy;
use crate::http::server::{Listeners, Tls, UnixAgain, bind_tcp, bind_unix, take_tcp};
use crate::state_lock::StateLock;
use crate::systemd::InheritedSockets;

/// The daemon's addresses.
pub(super) struct Place {
    /// As printed on standard output.
    pub said: String,
    /// The URL that commands get, on this machine.
    pub url: String,
    /// The URL for browsers, when it listens on TCP.
    pub page: Option<PageAddress>,
    /// The path of the Unix socket.
    pub path: PathBuf,
    /// The Unix socket that the daemon has made itself, and the channel to the acceptor for when it is made again.
    pub socket: Option<(OwnSocket, UnixAgain)>,
}

pub(super) fn listen(
    state: &StateLock,
    config: &Config,
    tls: Option<Arc<Tls>>,
    policy: &SocketPolicy,
    inherited: InheritedSockets,
) -> Result<(Listeners, Place), Refusal> {
    let tcp = match (inherited.tcp, config.listen) {
        (Some(tcp), _) => {
            let address = tcp.local_addr().map_err(failed)?;
            config.may_listen_at(address).map_err(|why| Refusal(2, format!("the socket handed over: {why}")))?;
            Some(take_tcp(tcp).map_err(failed)?)
        }
        (None, Listen::Nowhere) => None,
        (None, Listen::At(address)) => Some(bind_tcp(address).map_err(|error| {
            failed(format!(
                "{address}: {error}; choose another address with --listen ADDR:PORT, port 0 picks a free one"
            ))
        })?),
    };
    let (unix, path, socket) = match inherited.unix {
        Some(unix) => take_unix(unix)?,
        None => {
            let path = state.socket(config.access.socket.as_deref()).map_err(failed)?;
            let bound = bind_unix(&path, policy.group());
            let (unix, file) = bound.map_err(|error| {
                let dir = path.parent().unwrap_or(&path);
                failed(room::missing_or(dir, format!("{}: {error}", path.display())))
            })?;
            let own = OwnSocket::new(file, path.clone(), policy.group());
            (unix, path, Some(own))
        }
    };
    let socket_url = format!("unix:{}", path.display());
    let bound = tcp.as_ref().map(|tcp| tcp.get_ref().local_addr()).transpose().map_err(failed)?;
    let page = bound.map(|bound| PageAddress { https: tls.is_some(), bound });
    let (said, url) = match bound {
        // A certificate rarely names this machine's loopback.
        Some(address) if tls.is_some() => (format!("listening on https://{address}"), socket_url),
        Some(address) => (format!("listening on http://{address}"), format!("http://{}", near(address))),
        None => (format!("listening on {}", path.display()), socket_url),
    };
    let (again, unix_again) = async_channel::bounded(1);
    let socket = socket.map(|own| (own, again));
    Ok((Listeners { tcp, tls, unix, unix_again }, Place { said, url, page, path, socket }))
}

fn take_unix(unix: UnixListener) -> Result<(Async<UnixListener>, PathBuf, Option<OwnSocket>), Refusal> {
    let address = unix.local_addr().map_err(failed)?;
    let Some(path) = address.as_pathname().map(PathBuf::from) else {
        return Err(failed("the Unix socket that was handed over has no path by which clients could find it"));
    };
    Ok((Async::new(unix).map_err(failed)?, path, None))
}

fn failed(why: impl ToString) -> Refusal {
    Refusal(1, why.to_string())
}

/// The address by which this machine connects to a listener: loopback for a listener on all addresses.
fn near(address: SocketAddr) -> SocketAddr {
    let host = match address.ip() {
        ip if !ip.to_canonical().is_unspecified() => return address,
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_none() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    SocketAddr::new(host, address.port())
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn a_command_is_told_an_address_that_it_can_connect_to() {
        for (bound, told) in [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("192.168.0.7:1", "192.168.0.7:1"),
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("[::ffff:0.0.0.0]:1", "127.0.0.1:1"),
        ] {
            assert_eq!(near(bound.parse().expect("an address")).to_string(), told);
        }
    }
}
