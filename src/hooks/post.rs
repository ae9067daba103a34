//! One POST to a hook's target and its answer, over a connection that is kept while there is more to send.
//!
//! Every wait and every answer has a limit, and no redirect is followed. Where a name leads is looked at when it is connected
//! to, so that no name leads to this daemon itself.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Request, Response};
use smol::net::TcpStream;
use smol_hyper::rt::FuturesIo;

use super::answer;
use super::reach::Own;
use crate::clock::UnixMs;
use crate::dial::{Duplex, Tls, Unusable, beside, cause};
use crate::hook::{Attempt, Parcel, Target, signature};
use crate::timer::within;

/// To look a name up, to connect, and to shake hands, each.
const CONNECT: Duration = Duration::from_secs(10);
/// From a request to the head of its answer.
const HEAD: Duration = Duration::from_secs(20);
/// For the body of an answer, of which only its beginning is read.
const BODY: Duration = Duration::from_secs(5);
/// The most of it that is read, in bytes. An answer that is longer costs the connection.
const BODY_BYTES_MAX: usize = 16_384;
/// An answer's head, in bytes.
const HEAD_BYTES_MAX: usize = 65_536;
const IS_OWN: &str = "it is this daemon itself, which is refused unless the hook has \"allow_self\"";
const ADVICE: &str = "add its certificate to the system's (Debian: /usr/local/share/ca-certificates and \
    update-ca-certificates), or name a bundle with SSL_CERT_FILE in the daemon's environment";

/// Sends to one hook's target.
pub struct Post {
    own: Own,
    tls: Tls,
    kept: Option<Kept>,
}

/// A connection that takes another request.
struct Kept {
    to: Target,
    sender: SendRequest<Full<Bytes>>,
    connection: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Why there is no answer.
enum Broken {
    /// Before anything of it came: on a connection that was kept, its other end may just have closed it.
    Early(String),
    /// For another reason.
    Late(String),
}

impl Post {
    pub fn new(own: Own) -> Post {
        Post { own, tls: Tls::new(ADVICE), kept: None }
    }

    /// Sends a delivery once; more than once only where a kept connection turned out to be closed.
    pub async fn send(&mut self, parcel: &Parcel) -> Attempt {
        let target = match Target::parse(&parcel.spec.url) {
            Ok(target) => target,
            Err(why) => return answer::failed(format!("its url {why}")),
        };
        let kept = self.kept.take().filter(|kept| kept.to == target && !kept.sender.is_closed());
        if let Some(kept) = kept {
            match self.exchange(kept, parcel).await {
                Ok(attempt) => return attempt,
                Err(Broken::Late(why)) => return answer::failed(why),
                Err(Broken::Early(_)) => {}
            }
        }
        let fresh = match self.connect(target, parcel.spec.allow_self).await {
            Ok(fresh) => fresh,
            Err(why) => return answer::failed(why),
        };
        match self.exchange(fresh, parcel).await {
            Ok(attempt) => attempt,
            Err(Broken::Early(why) | Broken::Late(why)) => answer::failed(why),
        }
    }

    async fn exchange(&mut self, mut line: Kept, parcel: &Parcel) -> Result<Attempt, Broken> {
        let now = UnixMs::now();
        let request = request(&line.to, parcel, now).map_err(|why| Broken::Late(format!("cannot be sent: {why}")))?;
        let mut answered = None;
        let exchange = async {
            line.sender.ready().await.map_err(|error| Broken::Early(lost(&error)))?;
            let response = match within(HEAD, line.sender.send_request(request)).await {
                Some(Ok(response)) => response,
                Some(Err(error)) if error.is_parse() || error.is_parse_too_large() => {
                    return Err(Broken::Late(format!("what it answered is not HTTP: {}", cause(&error))));
                }
                Some(Err(error)) => return Err(Broken::Early(lost(&error))),
                None => return Err(Broken::Late(format!("no answer within {} s", HEAD.as_secs()))),
            };
            answered = Some(read(response, now).await);
            Ok(())
        };
        // Its own end shows in the exchange, or in the next one.
        beside(line.connection.as_mut(), exchange).await?;
        let (attempt, may_follow) = answered.unwrap_or_else(|| (answer::failed("no answer"), false));
        if may_follow {
            self.kept = Some(line);
        }
        Ok(attempt)
    }

    async fn connect(&mut self, to: Target, allow_self: bool) -> Result<Kept, String> {
        let stream = self.connect_tcp(&to, allow_self).await?;
        let stream: Box<dyn Duplex> = if to.https {
            let secured = within(CONNECT, self.tls.secure(stream, &to.host, None)).await;
            match secured.ok_or_else(|| format!("no TLS within {} s", CONNECT.as_secs()))? {
                Ok(Ok(secured)) => Box::new(secured),
                Ok(Err(why)) => return Err(format!("it is not believed: {}", why.replace('\n', "; "))),
                Err(Unusable(why)) => return Err(why),
            }
        } else {
            Box::new(stream)
        };
        let mut http = http1::Builder::new();
        http.max_buf_size(HEAD_BYTES_MAX);
        let (sender, connection) = http.handshake(FuturesIo::new(stream)).await.map_err(|error| lost(&error))?;
        Ok(Kept { to, sender, connection: Box::pin(async move { drop(connection.await) }) })
    }

    /// Tries each address of the name, in the system's order.
    async fn connect_tcp(&mut self, to: &Target, allow_self: bool) -> Result<TcpStream, String> {
        let looked_up = within(CONNECT, smol::net::resolve((to.host.as_str(), to.port))).await;
        let addresses: Vec<SocketAddr> = match looked_up {
            Some(Ok(addresses)) => addresses,
            Some(Err(error)) => return Err(format!("its name cannot be looked up: {}", cause(&error))),
            None => return Err(format!("its name was not looked up within {} s", CONNECT.as_secs())),
        };
        let share = CONNECT / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        let mut why = "its name has no address".to_owned();
        for address in addresses {
            if !allow_self && self.own.is(address, None) {
                return Err(IS_OWN.to_owned());
            }
            match within(share, TcpStream::connect(address)).await {
                Some(Ok(stream)) => {
                    let ends = (stream.peer_addr().ok(), stream.local_addr().ok());
                    let (peer, local) = (ends.0.unwrap_or(address), ends.1.map(|local| local.ip()));
                    if !allow_self && self.own.is(peer, local) {
                        return Err(IS_OWN.to_owned());
                    }
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Some(Err(error)) => why = format!("cannot connect: {}", cause(&error)),
                None => why = "cannot connect in time".to_owned(),
            }
        }
        Err(why)
    }
}

fn lost(error: &hyper::Error) -> String {
    match cause(error) {
        why if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => {
            format!("it closed the connection before its answer ({why})")
        }
        why => format!("lost the connection: {why}"),
    }
}

/// Signed for this moment: its receiver takes no old one.
fn request(to: &Target, parcel: &Parcel, now: UnixMs) -> Result<Request<Full<Bytes>>, String> {
    let Parcel { webhook_id, keys, message, .. } = parcel;
    let signature = signature(keys, webhook_id, now, message.body.as_bytes());
    let mut request = Request::builder()
        .method("POST")
        .uri(&to.path)
        .header(header::HOST, &to.authority)
        .header(header::USER_AGENT, concat!("runabout/", env!("CARGO_PKG_VERSION")))
        .header(header::CONTENT_TYPE, &message.content_type)
        .header("webhook-id", webhook_id)
        .header("webhook-timestamp", now.0.div_euclid(1_000))
        .header("webhook-signature", signature);
    if let Some(authorization) = &to.authorization {
        let mut value = HeaderValue::from_str(authorization).map_err(|error| error.to_string())?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    for (name, value) in &message.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
        request = request.header(name, value);
    }
    request.body(Full::new(Bytes::from(message.body.clone()))).map_err(|error| error.to_string())
}

/// Reads the beginning of an answer; whether another request may follow.
async fn read(response: Response<Incoming>, now: UnixMs) -> (Attempt, bool) {
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    let whole = within(BODY, async {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            if bytes.len() > BODY_BYTES_MAX {
                return false;
            }
        }
        true
    });
    let is_whole = whole.await.unwrap_or(false);
    let may_follow = is_whole && answer::may_follow(head.version, &head.headers);
    (answer::read(head.status, &head.headers, &bytes, now), may_follow)
}
