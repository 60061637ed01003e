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
    has_identity: bool,
}

/// What a client shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It does not even encrypt.
    NoTls,
    NoCertificate,
    Certificate,
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
        Ok(Tls { config: Arc::new(config), server_name: None, has_identity: identity.is_some() })
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

impl Shown {
    pub(crate) fn of(tls: Option<&Tls>) -> Shown {
        match tls {
            None => Shown::NoTls,
            Some(tls) if tls.has_identity => Shown::Certificate,
            Some(_) => Shown::NoCertificate,
        }
    }
}

/// What to do about an error of a connection that TLS may be the reason of. The node often closes the connection before
/// its refusal is heard, so mistakes with certificates look like broken connections, too.
pub(crate) fn advice(text: &str, shown: Shown) -> Option<&'static str> {
    const BROKEN: &[&str] = &["http2 error", "operation was canceled", "connection closed"];
    const BROKEN_UNDER_TLS: &[&str] =
        &["broken pipe", "Broken pipe", "onnection reset", "close_notify", "CertificateRequired"];
    let says = |marks: &[&str]| marks.iter().any(|mark| text.contains(mark));
    let alert = |names: &[&str]| {
        text.split_once("fatal alert: ").is_some_and(|(_, name)| names.contains(&name.trim()))
    };
    if says(&["peer certificate: BadSignature", "peer certificate: UnknownIssuer"]) {
        return Some(
            "the certificate of the node is not from the authority in --tls-ca; take the ca.pem of this cluster",
        );
    }
    if says(&["certificate not valid for name", "peer certificate: NotValidForName"]) {
        return Some(
            "the certificate of the node is for other hosts; connect to one of them, or name one with --tls-name",
        );
    }
    if says(&["certificate expired", "certificate not valid yet", "peer certificate: Expired"]) {
        return Some("the certificate of the node is out of date, or the clock of this machine is wrong");
    }
    if says(&["InvalidContentType"]) {
        return Some("the node may be without TLS; leave --tls-ca out");
    }
    if alert(&["CertificateExpired"]) {
        return Some(
            "the certificate in --tls-cert has expired; get a new one from the authority of the cluster",
        );
    }
    if alert(&["UnknownCA", "DecryptError", "BadCertificate", "CertificateUnknown"]) {
        return Some(
            "the certificate in --tls-cert is not from the authority that the node trusts; take one that was made for \
             this cluster",
        );
    }
    match shown {
        Shown::NoTls if says(BROKEN) => Some("the node may want TLS: --tls-ca"),
        Shown::NoCertificate if says(BROKEN) || says(BROKEN_UNDER_TLS) => {
            Some("the node may want a certificate of the client: --tls-cert and --tls-key")
        }
        Shown::Certificate if says(BROKEN) || says(BROKEN_UNDER_TLS) => Some(
            "the node may refuse the certificate in --tls-cert: has it expired, or is it of another authority? See \
             `openssl x509 -noout -dates -issuer -in FILE`",
        ),
        _ => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_which_file_or_option_may_be_wrong() {
        for (text, shown, word) in [
            ("invalid peer certificate: BadSignature", Shown::Certificate, "--tls-ca"),
            ("invalid peer certificate: UnknownIssuer", Shown::NoCertificate, "--tls-ca"),
            (
                "invalid peer certificate: certificate not valid for name \"b\"; certificate is only valid for a",
                Shown::Certificate,
                "--tls-name",
            ),
            (
                "invalid peer certificate: certificate expired: verification time 9 (UNIX), but certificate is not \
                 valid after 8 (1 seconds ago)",
                Shown::Certificate,
                "of the node is out of date",
            ),
            ("received corrupt message of type InvalidContentType", Shown::Certificate, "without TLS"),
            (
                "received fatal alert: DecryptError",
                Shown::Certificate,
                "--tls-cert is not from the authority",
            ),
            ("received fatal alert: UnknownCA", Shown::Certificate, "--tls-cert is not from the authority"),
            ("received fatal alert: CertificateExpired", Shown::Certificate, "--tls-cert has expired"),
            ("received fatal alert: CertificateRequired", Shown::NoCertificate, "--tls-cert and --tls-key"),
            ("stream closed because of a broken pipe", Shown::NoCertificate, "--tls-cert and --tls-key"),
            ("Connection reset by peer (os error 104)", Shown::NoCertificate, "--tls-cert and --tls-key"),
            ("connection closed", Shown::Certificate, "has it expired"),
            ("connection closed", Shown::NoTls, "may want TLS"),
        ] {
            let said = advice(text, shown).unwrap_or_else(|| panic!("nothing is said of {text}"));
            assert!(said.contains(word), "{text}: {said}");
        }
    }

    #[test]
    fn what_is_not_about_tls_stands_alone() {
        for shown in [Shown::NoTls, Shown::NoCertificate, Shown::Certificate] {
            assert_eq!(advice("Connection refused (os error 111)", shown), None);
        }
        assert_eq!(advice("stream closed because of a broken pipe", Shown::NoTls), None);
    }
}
