//! How a client proves who it is and checks whom it talks to.

use std::{fmt, io, path::Path, sync::Arc};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};

use crate::error::Error;

/// The authority to trust and, for clusters that ask for it, a certificate of one's own.
///
/// ```no_run
/// use trimaran_client::Tls;
///
/// let tls = Tls::from_files("ca.pem", Some(("user-joe.pem", "user-joe.key")))?;
/// # Ok::<(), trimaran_client::Error>(())
/// ```
#[derive(Clone)]
pub struct Tls {
    config: Arc<rustls::ClientConfig>,
    server_name: Option<String>,
}

impl Tls {
    /// Reads PEM files: the certificates of the authority, and a certificate chain with its private key.
    pub fn from_files(
        authority: impl AsRef<Path>,
        identity: Option<(impl AsRef<Path>, impl AsRef<Path>)>,
    ) -> Result<Tls, Error> {
        let authority = read(authority.as_ref())?;
        let identity = match identity {
            None => None,
            Some((certificate, key)) => Some((read(certificate.as_ref())?, read(key.as_ref())?)),
        };
        let identity = identity.as_ref().map(|(certificate, key)| (certificate.as_slice(), key.as_slice()));
        Tls::from_pem(&authority, identity)
    }

    /// The same from PEM text.
    pub fn from_pem(authority: &[u8], identity: Option<(&[u8], &[u8])>) -> Result<Tls, Error> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in certificates(authority, "the authority")? {
            roots
                .add(certificate)
                .map_err(|error| Error::Invalid(format!("a certificate of the authority: {error}")))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Invalid(format!("TLS protocol versions: {error}")))?
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate, "the client")?;
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| Error::Invalid(format!("the private key of the client: {error}")))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| Error::Invalid(format!("certificate and key of the client: {error}")))?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Tls { config: Arc::new(config), server_name: None })
    }

    /// The name the nodes' certificates are checked against, where it is not the host that is connected to (an
    /// address behind a tunnel, for example).
    pub fn server_name(mut self, name: impl Into<String>) -> Tls {
        self.server_name = Some(name.into());
        self
    }

    pub(crate) async fn wrap(
        &self,
        host: &str,
        stream: tokio::net::TcpStream,
    ) -> io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
        let name = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_string())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("{name}: {error}")))?;
        tokio_rustls::TlsConnector::from(self.config.clone()).connect(name, stream).await
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| Error::Invalid(format!("read {}: {error}", path.display())))
}

fn certificates(pem: &[u8], whose: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::Invalid(format!("certificates of {whose}: {error}")))?;
    if certificates.is_empty() {
        return Err(Error::Invalid(format!("there is no certificate in the PEM text of {whose}")));
    }
    Ok(certificates)
}
