//! Serving until the daemon is closing.

use std::sync::Arc;

use futures_lite::FutureExt;
use futures_lite::future::zip;
use smol::Executor;

use super::accept_tcp::accept_tcp;
use super::accept_unix::accept_unix;
use super::bridge::Site;
use super::listen::Listeners;
use super::serving::{DRAIN, Serving};
use crate::http::middleware::who::SocketPolicy;
use crate::timer::within;
use crate::wake::{Phase, Stop};

/// Serves until the daemon is closing and every answer that was under way has left, or half a second later.
///
/// At [`Phase::Stopping`] TCP is done: no new connection, idle ones close, the others after their answer. The Unix socket
/// goes on until [`Phase::Closing`].
pub async fn serve<S>(
    listeners: Listeners,
    site: Site<S>,
    policy: SocketPolicy,
    stop: Stop,
    executor: Arc<Executor<'static>>,
) where
    S: Clone + Send + Sync + 'static,
{
    let serving = Arc::new(Serving::new(site, stop.clone()));
    let Listeners { tcp, tls, unix, unix_again } = listeners;
    let tcp = async {
        if let Some(tcp) = tcp {
            accept_tcp(&tcp, tls.as_ref(), &serving, &executor).or(stop.wait(Phase::Stopping)).await;
        }
    };
    let unix = async {
        accept_unix(unix, &unix_again, policy, &serving, &executor).or(stop.wait(Phase::Closing)).await;
    };
    zip(tcp, unix).await;
    let _ = within(DRAIN, serving.wait_empty()).await;
}
