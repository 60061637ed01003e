//! How a client proves who it is and checks whom it talks to.

use std::{
    fmt, io,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{ASN1Time, FromDer, Validity, X509Certificate};

use trimaran_proto::plain;

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
    own: Option<OwnCertificate>,
}

/// The certificate that the client shows.
#[derive(Clone, Debug)]
struct OwnCertificate {
    /// The file it was read from, or what it is.
    source: String,
    validity: Validity,
}

/// PEM text, and the file it was read from or what it is.
type Pem = (Vec<u8>, String);

/// What a client shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It does not even encrypt.
    NoTls,
    NoCertificate,
    Certificate,
}

impl Tls {
    /// Reads PEM files: the certificates of the authority, and a certificate chain with its private key. A certificate
    /// that has expired, or is not valid yet, is an error.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the file and what is wrong with it: it cannot be read, is no PEM, or is not valid now.
    pub fn from_files(
        authority: impl AsRef<Path>,
        identity: Option<(impl AsRef<Path>, impl AsRef<Path>)>,
    ) -> Result<Tls, Error> {
        let authority = authority.as_ref();
        let roots = (read(authority)?, authority.display().to_string());
        let Some((certificate, key)) = identity else { return Tls::build(roots, None) };
        let (certificate, key) = (certificate.as_ref(), key.as_ref());
        let of = |path: &Path| Ok::<_, Error>((read(path)?, path.display().to_string()));
        Tls::build(roots, Some((of(certificate)?, of(key)?)))
    }

    /// The same from PEM text.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what is wrong.
    pub fn from_pem(authority: &[u8], identity: Option<(&[u8], &[u8])>) -> Result<Tls, Error> {
        let identity = identity.map(|(certificate, key)| {
            let said = |pem: &[u8], what: &str| (pem.to_vec(), what.to_string());
            (said(certificate, "the certificate of the client"), said(key, "the private key of the client"))
        });
        Tls::build((authority.to_vec(), "the authority".to_string()), identity)
    }

    /// Each PEM text with the file it was read from, or what it is.
    fn build((authority, source): (Vec<u8>, String), identity: Option<(Pem, Pem)>) -> Result<Tls, Error> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in certificates(&authority, &source)? {
            roots.add(certificate).map_err(|error| {
                Error::Invalid(format!("{source}: a certificate of the authority: {}", plain::error(error)))
            })?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Invalid(format!("TLS protocol versions: {error}")))?
            .with_root_certificates(roots);
        let (mut config, own) = match identity {
            None => (builder.with_no_client_auth(), None),
            Some(((certificate, source), (key, key_source))) => {
                let chain = certificates(&certificate, &source)?;
                let own = OwnCertificate::read(source.clone(), &chain[0])?;
                own.check(ASN1Time::now())?;
                let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| {
                    Error::Invalid(format!("{key_source}: there is no private key in PEM text"))
                })?;
                let config = builder.with_client_auth_cert(chain, key).map_err(|error| {
                    Error::Invalid(match error {
                        rustls::Error::InconsistentKeys(_) => {
                            format!("{source} and {key_source} do not belong together")
                        }
                        other => format!("{source} and {key_source} cannot be used: {}", plain::error(other)),
                    })
                })?;
                (config, Some(own))
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Tls { config: Arc::new(config), server_name: None, own })
    }

    /// The name the nodes' certificates are checked against, where it is not the host that is connected to (an
    /// address behind a tunnel, for example).
    pub fn server_name(mut self, name: impl Into<String>) -> Tls {
        self.server_name = Some(name.into());
        self
    }

    /// When the client's own certificate expires; None without one.
    pub fn certificate_expires(&self) -> Option<SystemTime> {
        let seconds = self.own.as_ref()?.validity.not_after.timestamp();
        Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    pub(crate) async fn wrap(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.shake_hands(self.config.clone(), host, stream).await
    }

    /// The same for a channel, whose protocol has no name in ALPN.
    pub(crate) async fn wrap_channel(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut config = (*self.config).clone();
        config.alpn_protocols.clear();
        self.shake_hands(Arc::new(config), host, stream).await
    }

    async fn shake_hands(
        &self,
        config: Arc<rustls::ClientConfig>,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        // It may have expired since it was read: programs run for long.
        if let Some(own) = &self.own {
            own.check(ASN1Time::now()).map_err(io::Error::other)?;
        }
        let name = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_string())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("{name}: {error}")))?;
        tokio_rustls::TlsConnector::from(config).connect(name, stream).await
    }
}

impl OwnCertificate {
    fn read(source: String, certificate: &CertificateDer<'_>) -> Result<OwnCertificate, Error> {
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|error| Error::Invalid(format!("{source}: {error}")))?;
        Ok(OwnCertificate { source, validity: parsed.validity().clone() })
    }

    /// A node only closes the connection to a certificate that does not count, or no longer does.
    fn check(&self, now: ASN1Time) -> Result<(), Error> {
        let OwnCertificate { source, validity: Validity { not_before, not_after } } = self;
        if now > *not_after {
            return Err(Error::Invalid(format!(
                "{source} expired at {not_after}: have your authority make a new one, or move it away with its key \
                 and run `trimaran certs add`"
            )));
        }
        if now < *not_before {
            return Err(Error::Invalid(format!(
                "{source} is not valid before {not_before}: look at the clock of this machine, or take another \
                 certificate until then"
            )));
        }
        Ok(())
    }
}

impl Shown {
    pub(crate) fn of(tls: Option<&Tls>) -> Shown {
        match tls {
            None => Shown::NoTls,
            Some(tls) if tls.own.is_some() => Shown::Certificate,
            Some(_) => Shown::NoCertificate,
        }
    }
}

/// What to do about an error of a connection that TLS may be the reason of. The node often closes the connection before
/// its refusal is heard, so mistakes with certificates look like broken connections, too.
pub(crate) fn advice(text: &str, shown: Shown) -> Option<&'static str> {
    const BROKEN: &[&str] = &[
        "http2 error",
        "operation was canceled",
        "connection closed",
        "frame with invalid size",
        "invalid frame",
        "stream closed because of a broken pipe",
    ];
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
    if says(&["InvalidContentType", "tls handshake eof"]) {
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
        Shown::NoTls if says(BROKEN) => Some(
            "the node may want TLS: --tls-ca; or it is not the port for clients, `client` in the cluster file",
        ),
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
    std::fs::read(path)
        .map_err(|error| Error::Invalid(format!("read {}: {}", path.display(), plain::error(error))))
}

fn certificates(pem: &[u8], source: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::Invalid(format!("{source}: certificates cannot be read: {error}")))?;
    if certificates.is_empty() {
        return Err(Error::Invalid(format!("{source}: there is no certificate in PEM text")));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_does_not_count_now_is_named() {
        let at = |second| ASN1Time::from_timestamp(second).unwrap();
        let validity = Validity { not_before: at(1_000), not_after: at(2_000) };
        let own = OwnCertificate { source: "user-joe.pem".into(), validity };
        let said = |second| own.check(at(second)).map_err(|error| error.to_string());
        assert_eq!((said(1_000), said(2_000)), (Ok(()), Ok(())));
        let early = said(999).unwrap_err();
        assert!(early.starts_with("user-joe.pem is not valid before Jan  1 00:16:40 1970"), "{early}");
        let late = said(2_001).unwrap_err();
        assert!(late.starts_with("user-joe.pem expired at Jan  1 00:33:20 1970"), "{late}");
        assert!(late.contains("trimaran certs add"), "{late}");
    }

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
            ("stream closed because of a broken pipe", Shown::NoTls, "may want TLS"),
            ("connection error detected: frame with invalid size", Shown::NoTls, "may want TLS"),
        ] {
            let said = advice(text, shown).unwrap_or_else(|| panic!("nothing is said of {text}"));
            assert!(said.contains(word), "{text}: {said}");
        }
    }

    #[test]
    fn a_file_that_holds_no_certificate_is_named() {
        let no_identity = None::<(&str, &str)>;
        let error = Tls::from_files("/dev/null", no_identity).unwrap_err().to_string();
        assert_eq!(error, "/dev/null: there is no certificate in PEM text");
        let error = Tls::from_pem(b"", None).unwrap_err().to_string();
        assert_eq!(error, "the authority: there is no certificate in PEM text");
    }

    #[test]
    fn what_is_not_about_tls_stands_alone() {
        for shown in [Shown::NoTls, Shown::NoCertificate, Shown::Certificate] {
            assert_eq!(advice("Connection refused (os error 111)", shown), None);
        }
    }
}
