//! Reads PEM files and chooses the cryptography, for both ends of TLS.
//!
//! Keys are never logged. Which certificates to trust is decided by each end.

/// The error of a build without the feature `tls`.
pub const NO_TLS: &str = "this build of runabout has no TLS (the Cargo feature `tls`); \
     put a reverse proxy before the daemon, or tunnel it, as by ssh -L 7867:localhost:7867 HOST";

#[cfg(feature = "tls")]
pub use with_tls::{certificates, is_key, private_key, provider, validity};

#[cfg(not(feature = "tls"))]
pub use without_tls::{is_key, validity};

#[cfg(not(feature = "tls"))]
mod without_tls {
    use std::path::Path;

    use super::NO_TLS;

    /// The stub of a build without TLS.
    ///
    /// # Errors
    /// Always.
    pub fn validity(_: &Path) -> Result<(i64, i64), String> {
        Err(NO_TLS.to_owned())
    }

    /// The stub of a build without TLS.
    ///
    /// # Errors
    /// Always.
    pub fn is_key(_: &Path) -> Result<(), String> {
        Err(NO_TLS.to_owned())
    }
}

#[cfg(feature = "tls")]
mod with_tls {
    use std::fs::OpenOptions;
    use std::io::Read as _;
    #[cfg(unix)]
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use futures_rustls::pki_types::pem::{Error, PemObject as _};
    use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
    use futures_rustls::rustls::client::WebPkiServerVerifier;
    use futures_rustls::rustls::client::danger::ServerCertVerifier as _;
    use futures_rustls::rustls::crypto::{CryptoProvider, ring};
    use futures_rustls::rustls::{CertificateError, Error as TlsError, RootCertStore};
    #[cfg(unix)]
    use rustix::fs::OFlags;

    /// The longest PEM file, in bytes (Debian's bundle has 220 kB); guards against a path like /dev/zero.
    const FILE_BYTES_MAX: u64 = 4_194_304;

    /// A thousand years in seconds, longer than any certificate is valid.
    const MILLENNIUM_S: u64 = 31_556_952_000;

    /// The implementation of cryptography that both ends use.
    pub fn provider() -> Arc<CryptoProvider> {
        Arc::new(ring::default_provider())
    }

    /// Reads the certificates of a PEM file; there is at least one.
    ///
    /// # Errors
    /// A text for people, to which the caller adds the file's name.
    pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
        let pem = read(path)?;
        let found: Result<Vec<_>, Error> = CertificateDer::pem_slice_iter(&pem).collect();
        match found {
            Ok(found) if found.is_empty() => Err("there is no certificate in it".to_owned()),
            Ok(found) => Ok(found),
            Err(error) => Err(format!("not PEM: {error}")),
        }
    }

    /// Reads the first private key of a PEM file.
    ///
    /// # Errors
    /// A text for people, to which the caller adds the file's name.
    pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
        let pem = read(path)?;
        PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
            Error::NoItemsFound if pem.windows(9).any(|word| word == b"ENCRYPTED") => {
                "its private key has a passphrase, which nobody could type here".to_owned()
            }
            Error::NoItemsFound => "there is no private key in it".to_owned(),
            other => format!("not PEM: {other}"),
        })
    }

    /// Checks that a PEM file has a private key that can be used.
    ///
    /// # Errors
    /// A text for people.
    pub fn is_key(path: &Path) -> Result<(), String> {
        private_key(path).map(drop)
    }

    /// The first and the last second, since 1970, in which the first certificate of a PEM file is valid.
    ///
    /// # Errors
    /// A text for people.
    pub fn validity(path: &Path) -> Result<(i64, i64), String> {
        let chain = certificates(path)?;
        let first = chain.first().ok_or("there is no certificate in it")?;
        // The library has no accessor for these times, but it looks at them before anything else, and when it refuses a
        // certificate for them it says what they are.
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(chain.iter().cloned());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| error.to_string())?;
        let name = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
        let at = |seconds: u64| {
            let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            match verifier.verify_server_cert(first, &[], &name, &[], at) {
                Err(TlsError::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
                    Some(not_before)
                }
                Err(TlsError::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
                    Some(not_after)
                }
                _ => None,
            }
        };
        let seconds = |time: Option<UnixTime>, other: i64| {
            time.map_or(other, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
        };
        // One that has no end in a thousand years, or none that was later than 1970, is valid for that long.
        Ok((seconds(at(0), 0), seconds(at(MILLENNIUM_S), MILLENNIUM_S as i64)))
    }

    fn read(path: &Path) -> Result<Vec<u8>, String> {
        let why = |error: std::io::Error| error.to_string();
        let mut options = OpenOptions::new();
        // Opening a pipe would wait for its writer, who may have put it there for that.
        #[cfg(unix)]
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32);
        let file = options.read(true).open(path).map_err(why)?;
        if !file.metadata().map_err(why)?.is_file() {
            return Err("it is not a file".to_owned());
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(why)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(format!("longer than {FILE_BYTES_MAX} bytes"));
        }
        Ok(bytes)
    }
}
