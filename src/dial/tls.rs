//! TLS at who connects: whom to believe, and saying plainly why somebody is not.
//!
//! No authority is bundled and no check can be switched off. A certificate that was named by the user is believed even
//! where it is its own authority, for its own names and until it expires.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use futures_rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use futures_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use futures_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use futures_rustls::rustls::server::ParsedCertificate;
use futures_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use smol::net::TcpStream;

use super::Unusable;
use crate::tls::{certificates, provider};

/// Where systems keep the authorities that they know: Debian and most others, Fedora, SUSE, RHEL, Alpine and the BSDs.
const SYSTEM_FILES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// HTTP/2 is not spoken here.
const PROTOCOL: &[u8] = b"http/1.1";

/// What is needed to shake hands, made when it is first needed: a bundle of authorities takes milliseconds to read.
#[derive(Clone, Debug)]
pub struct Tls {
    /// What to do where an authority is not known.
    advice: &'static str,
    made: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl Tls {
    /// Nothing is read yet. `advice` says how an authority of one's own is made known.
    pub fn new(advice: &'static str) -> Tls {
        Tls { advice, made: Arc::default() }
    }

    /// Shakes hands with `host`, which must prove that it is it: by the authority in `ca`, else by the system's.
    ///
    /// # Errors
    /// Where there is nobody to believe; the inner one is why `host` is not believed, for people.
    pub async fn secure(
        &self,
        stream: TcpStream,
        host: &str,
        ca: Option<&Path>,
    ) -> Result<Result<TlsStream<TcpStream>, String>, Unusable> {
        let config = match self.made.get() {
            Some(made) => made.clone(),
            None => {
                let made = config(ca, self.advice)?;
                self.made.get_or_init(|| made).clone()
            }
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Unusable(format!("{host:?}: no certificate can have this name")))?;
        Ok(TlsConnector::from(config).connect(name, stream).await.map_err(|error| why(&error, ca, self.advice)))
    }
}

fn config(ca: Option<&Path>, advice: &str) -> Result<Arc<ClientConfig>, Unusable> {
    let (file, named) = match ca {
        Some(file) => (file.to_owned(), certificates(file).map_err(|why| unusable("--ca", file, &why))?),
        None => (system_file(advice)?, Vec::new()),
    };
    let mut roots = RootCertStore::empty();
    if ca.is_some() {
        roots.add_parsable_certificates(named.iter().cloned());
    } else {
        let system = certificates(&file).map_err(|why| unusable("the system's authorities", &file, &why))?;
        roots.add_parsable_certificates(system);
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| unusable("its authorities", &file, &error.to_string()))?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Unusable(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { by_authority: verifier, named }))
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(Arc::new(config))
}

fn unusable(what: &str, file: &Path, why: &str) -> Unusable {
    Unusable(format!("{what}: {}: {why}; a PEM file with certificates is needed", file.display()))
}

/// OpenSSL's variable, else the first of the usual places that is there.
fn system_file(advice: &str) -> Result<PathBuf, Unusable> {
    if let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()) {
        return Ok(file.into());
    }
    SYSTEM_FILES.iter().map(PathBuf::from).find(|file| file.exists()).ok_or_else(|| {
        Unusable(format!(
            "this system has no certificates of authorities: install its package ca-certificates, name a bundle with \
             SSL_CERT_FILE, or {advice}"
        ))
    })
}

/// The usual rules, and one more: what the user named is the daemon's own certificate.
#[derive(Debug)]
struct Verifier {
    by_authority: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.by_authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verdict {
            // `openssl req -x509` makes certificates that may sign others, which the rules refuse for a server. They look
            // at this after the dates and before the names.
            Err(Error::InvalidCertificate(CertificateError::Other(_))) if self.named.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_authority.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_authority.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authority.supported_verify_schemes()
    }
}

/// Why there is no connection, and what would help.
fn why(error: &io::Error, ca: Option<&Path>, advice: &str) -> String {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
        UnknownIssuer,
    };
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match of_tls {
        Some(Error::InvalidCertificate(UnknownIssuer)) => match ca {
            Some(ca) => format!("its certificate is not from the authority in {}", ca.display()),
            None => {
                format!("its certificate is from an authority that is not known here\nif it is your own, {advice}")
            }
        },
        Some(Error::InvalidCertificate(ExpiredContext { not_after, .. })) => {
            format!("its certificate expired {}", date(*not_after))
        }
        Some(Error::InvalidCertificate(Expired)) => "its certificate has expired".to_owned(),
        Some(Error::InvalidCertificate(NotValidYetContext { not_before, .. })) => {
            format!("its certificate is not valid before {}; is the clock right here?", date(*not_before))
        }
        Some(Error::InvalidCertificate(NotValidYet)) => "its certificate is not valid yet".to_owned(),
        Some(Error::InvalidCertificate(NotValidForNameContext { presented, .. })) if presented.is_empty() => {
            "its certificate names no host (it has no subjectAltName)".to_owned()
        }
        Some(Error::InvalidCertificate(NotValidForNameContext { expected, presented })) => {
            format!("its certificate is not for {} but for {}", expected.to_str(), presented.join(", "))
        }
        Some(Error::InvalidCertificate(NotValidForName)) => "its certificate is for another name".to_owned(),
        Some(Error::InvalidMessage(_)) => "it does not speak TLS; is it http:// ?".to_owned(),
        Some(other) => other.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "it closed instead of speaking TLS".to_owned(),
        None => error.to_string(),
    }
}

fn date(time: UnixTime) -> String {
    let time = i64::try_from(time.as_secs()).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "long ago".to_owned(), |time| format!("at {time}"))
}
