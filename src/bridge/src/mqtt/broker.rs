//! The way to a broker: its address, TCP or TLS, and who we are to it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::args::BrokerArgs;
use crate::told::Refusal;

/// To reach the broker, TLS included.
const CONNECT: Duration = Duration::from_secs(5);

/// Bytes both ways.
pub trait Wire: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire for T {}

/// Where it is, and what it is told of us. All files are read anew for each connection, so that they may be renewed.
pub struct Broker {
    /// As it was given.
    pub url: String,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    /// The user's name.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
}

impl Broker {
    /// The one that the options name.
    ///
    /// # Errors
    /// [`Refusal::Usage`] for a URL or files that cannot be used.
    pub fn named(args: &BrokerArgs) -> Result<Broker, Refusal> {
        let (host, port, is_tls) = address(&args.server)?;
        let tls = if is_tls { Some(tls(args)?) } else { None };
        if !is_tls && (args.ca.is_some() || args.cert.is_some()) {
            return Err(Refusal::Usage("--ca and --cert are for mqtts:// URLs".to_owned()));
        }
        let (user, password) = match credentials(args)? {
            Some((user, password)) => (Some(user), Some(password)),
            None => (None, None),
        };
        Ok(Broker { url: args.server.clone(), host, port, tls, user, password })
    }

    /// A connection on which nothing was said yet.
    ///
    /// # Errors
    /// [`Refusal::Absent`] where nobody answers, or not as who is expected.
    pub async fn reach(&self) -> Result<Box<dyn Wire>, Refusal> {
        let absent = |why: &dyn std::fmt::Display| Refusal::Absent(format!("no broker at {}: {why}", self.url));
        match tokio::time::timeout(CONNECT, self.wire()).await {
            Ok(Ok(wire)) => Ok(wire),
            Ok(Err(error)) => Err(absent(&error)),
            Err(_) => Err(absent(&"it does not answer")),
        }
    }

    async fn wire(&self) -> std::io::Result<Box<dyn Wire>> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, self.port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        Ok(Box::new(tls.connect(name, stream).await?))
    }
}

fn address(server: &str) -> Result<(String, u16, bool), Refusal> {
    let unusable =
        |why: &str| Refusal::Usage(format!("--server {server}: {why}; like mqtt://HOST:PORT or mqtts://HOST"));
    let url = Url::parse(server).map_err(|error| unusable(&error.to_string()))?;
    let (is_tls, port) = match url.scheme() {
        "mqtt" => (false, 1883),
        "mqtts" => (true, 8883),
        _ => return Err(unusable("neither mqtt:// nor mqtts://")),
    };
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| unusable("no host in it"))?;
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(unusable("there is something behind the port"));
    }
    Ok((host.to_owned(), url.port().unwrap_or(port), is_tls))
}

fn credentials(args: &BrokerArgs) -> Result<Option<(String, String)>, Refusal> {
    let Some(file) = &args.password_file else { return Ok(None) };
    let unusable = |why: &dyn std::fmt::Display| Refusal::Usage(format!("--password-file {}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| unusable(&error))?;
    match text.trim_end_matches(['\r', '\n']).split_once(':') {
        Some((user, password)) => Ok(Some((user.to_owned(), password.to_owned()))),
        None => Err(unusable(&"there is no line like USER:PASSWORD in it")),
    }
}

fn tls(args: &BrokerArgs) -> Result<TlsConnector, Refusal> {
    // What of the system's cannot be read is left out, as everywhere: a server that needs it is then not believed.
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = &args.ca {
        let unusable = |why: &dyn std::fmt::Display| Refusal::Usage(format!("--ca {}: {why}", file.display()));
        let certs = CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))?;
        for cert in certs {
            roots.add(cert.map_err(|error| unusable(&error))?).map_err(|error| unusable(&error))?;
        }
    }
    let unusable = |why: &dyn std::fmt::Display| Refusal::Usage(format!("TLS: {why}"));
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .with_root_certificates(roots);
    let config = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => {
            let unusable = |why: &dyn std::fmt::Display| {
                Refusal::Usage(format!("--cert {}, --key {}: {why}", cert.display(), key.display()))
            };
            let certs = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
            let certs = certs.map_err(|error| unusable(&error))?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(&error))?;
            config.with_client_auth_cert(certs, key).map_err(|error| unusable(&error))?
        }
        _ => config.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn an_address_is_a_scheme_a_host_and_perhaps_a_port() {
        let told = |url: &str| address(url).map_err(|refusal| refusal.to_string());
        assert_eq!(told("mqtt://broker"), Ok(("broker".to_owned(), 1883, false)));
        assert_eq!(told("mqtts://broker.example"), Ok(("broker.example".to_owned(), 8883, true)));
        assert_eq!(told("mqtt://[::1]:2000/"), Ok(("[::1]".to_owned(), 2000, false)));
        for bad in ["broker:1883", "http://broker", "mqtt://", "mqtt://broker/topic", "mqtt://broker:99999", ""] {
            assert!(told(bad).expect_err("refused").contains("mqtt://HOST:PORT"), "{bad}");
        }
    }
}
