//! What both ends of TLS have in common: PEM files, and the cryptography that is used.
//!
//! No key is ever logged, and nothing is trusted here: that is for the ends to decide.

/// What a build without the feature `tls` says where somebody asks for it.
pub const NO_TLS: &str = "this build of runabout has no TLS (the Cargo feature `tls`); \
     put a reverse proxy before the daemon, or tunnel it, as by ssh -L 7867:localhost:7867 HOST";

#[cfg(feature = "tls")]
pub use with_tls::{certificates, private_key, provider};

#[cfg(feature = "tls")]
mod with_tls {
    use std::fs::File;
    use std::io::Read as _;
    use std::path::Path;
    use std::sync::Arc;

    use futures_rustls::pki_types::pem::{Error, PemObject as _};
    use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use futures_rustls::rustls::crypto::{CryptoProvider, ring};

    /// No bundle of certificates is this long (Debian's has 220 kB); guards against a path like /dev/zero.
    const FILE_BYTES_MAX: u64 = 4_194_304;

    /// The one implementation of cryptography.
    pub fn provider() -> Arc<CryptoProvider> {
        Arc::new(ring::default_provider())
    }

    /// The certificates in a PEM file; at least one.
    ///
    /// # Errors
    /// Why not, for people; the file is named by the caller.
    pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
        let pem = read(path)?;
        let found: Result<Vec<_>, Error> = CertificateDer::pem_slice_iter(&pem).collect();
        match found {
            Ok(found) if found.is_empty() => Err("there is no certificate in it".to_owned()),
            Ok(found) => Ok(found),
            Err(error) => Err(format!("not PEM: {error}")),
        }
    }

    /// The first private key in a PEM file.
    ///
    /// # Errors
    /// Why not, for people; the file is named by the caller.
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

    fn read(path: &Path) -> Result<Vec<u8>, String> {
        let why = |error: std::io::Error| error.to_string();
        // Opening a pipe would wait for its writer.
        if !std::fs::metadata(path).map_err(why)?.is_file() {
            return Err("it is not a file".to_owned());
        }
        let mut bytes = Vec::new();
        File::open(path).map_err(why)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(why)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(format!("longer than {FILE_BYTES_MAX} bytes"));
        }
        Ok(bytes)
    }
}
