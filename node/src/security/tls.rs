//! Certificates from PEM files, and what rustls needs of them. Reloaded while the node runs.
//!
//! A file that was replaced by something unreadable changes nothing: what was loaded last stays in use.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use trimaran_proto::plain;

use super::identity::{Principal, node_uri, principal};

/// From here on somebody should renew the certificate.
const RENEW_BEFORE: Duration = Duration::from_secs(14 * 24 * 3600);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    pub cluster: String,
    /// This node's name; its certificate must carry it.
    pub node: String,
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Clients must show a certificate.
    pub clients_required: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("read {what} {}: {reason}", path.display())]
    Read { what: &'static str, path: PathBuf, reason: String },
    #[error("{} has no certificate in it: give a PEM file", path.display())]
    Empty { path: PathBuf },
    #[error(
        "{} is the certificate of {found}, and this is node {expected}: make one with trimaran certs add",
        path.display()
    )]
    Name { path: PathBuf, found: String, expected: String },
    #[error("{} expired at {expired}: have your authority make a new one, or move it away with its key and run trimaran certs add; it is loaded without a restart", path.display())]
    Expired { path: PathBuf, expired: String },
    #[error("{} is not valid before {begins}: look at the clock of this machine, or take another certificate until then", path.display())]
    Early { path: PathBuf, begins: String },
    #[error("{} and {} cannot be used together: {reason}", certificate.display(), key.display())]
    Pair { certificate: PathBuf, key: PathBuf, reason: String },
    #[error("{} does not count with the authority in {}: {reason}", certificate.display(), ca.display())]
    Issuer { certificate: PathBuf, ca: PathBuf, reason: String },
}

/// What is known of the certificate in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateState {
    pub subject: String,
    pub expires: SystemTime,
    /// Of the authority's certificates the one that expires first.
    pub authority_expires: Option<SystemTime>,
}

impl CertificateState {
    /// What to say of a certificate that has to be renewed; None while there is time.
    pub fn expires_soon(&self, now: SystemTime) -> Option<String> {
        let left = self.expires.duration_since(now).unwrap_or_default();
        if left >= RENEW_BEFORE {
            return None;
        }
        let when = match left.as_secs() / 86_400 {
            0 if left.is_zero() => "has expired".to_owned(),
            0 => "expires in less than a day".to_owned(),
            1 => "expires in 1 day".to_owned(),
            days => format!("expires in {days} days"),
        };
        Some(format!("the certificate of {} {when}", self.subject))
    }
}

/// The node's certificate and authority, newest version. Shared by listeners and peers.
#[derive(Debug)]
pub struct Tls {
    options: TlsOptions,
    loaded: ArcSwap<Loaded>,
    /// Of the files as they were loaded last.
    seen: Mutex<[Option<SystemTime>; 3]>,
}

#[derive(Debug)]
struct Loaded {
    for_clients: Arc<ServerConfig>,
    for_rest: Arc<ServerConfig>,
    for_channels: Arc<ServerConfig>,
    for_peers: Arc<ServerConfig>,
    for_monitors: Arc<ServerConfig>,
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    state: CertificateState,
}

impl Tls {
    pub fn load(options: TlsOptions) -> Result<Tls, TlsError> {
        let seen = modified(&options);
        let loaded = Loaded::read(&options)?;
        Ok(Tls { options, loaded: ArcSwap::from_pointee(loaded), seen: Mutex::new(seen) })
    }

    /// Loads again what changed on disk; connections that exist keep what they have. True when it did.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let now = modified(&self.options);
        let mut seen = self.seen.lock();
        if *seen == now {
            return Ok(false);
        }
        // Noted before reading: a broken file is reported once, not every few seconds.
        *seen = now;
        drop(seen);
        self.reload()?;
        Ok(true)
    }

    pub fn reload(&self) -> Result<(), TlsError> {
        self.loaded.store(Arc::new(Loaded::read(&self.options)?));
        Ok(())
    }

    /// Whose nodes and users these certificates are for.
    pub fn cluster(&self) -> &str {
        &self.options.cluster
    }

    pub fn state(&self) -> CertificateState {
        self.loaded.load().state.clone()
    }

    /// For listeners of clients: a certificate is optional or required, as configured.
    pub fn server_for_clients(&self) -> Arc<ServerConfig> {
        self.loaded.load().for_clients.clone()
    }

    /// For the REST API: as for clients.
    pub fn server_for_rest(&self) -> Arc<ServerConfig> {
        self.loaded.load().for_rest.clone()
    }

    /// For channels: a certificate is asked for, and each channel says whether there has to be one. They have no ALPN.
    pub fn server_for_channels(&self) -> Arc<ServerConfig> {
        self.loaded.load().for_channels.clone()
    }

    /// For the listener of peers: a certificate of our authority is required; that it is a node's is checked after
    /// the handshake.
    pub fn server_for_peers(&self) -> Arc<ServerConfig> {
        self.loaded.load().for_peers.clone()
    }

    /// For health and metrics: nobody has to show a certificate.
    pub fn server_for_monitors(&self) -> Arc<ServerConfig> {
        self.loaded.load().for_monitors.clone()
    }

    /// For a connection to a clients' port, as a client makes it: the name that is connected to must be in the certificate there.
    /// `identity`: a user's certificate and key, read anew each time.
    pub fn client_for_clients(
        &self,
        identity: Option<(&Path, &Path)>,
    ) -> Result<Arc<ClientConfig>, TlsError> {
        let loaded = self.loaded.load();
        let (certificate, key) = identity.unwrap_or((&self.options.certificate, &self.options.key));
        let pair = |error: rustls::Error| TlsError::Pair {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            reason: plain::error(error),
        };
        let builder = ClientConfig::builder_with_provider(loaded.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(pair)?
            .with_root_certificates(loaded.roots.clone());
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(_) => {
                let chain = certificates("the canary's certificate", certificate)?;
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| unreadable("the canary's key", key, error))?;
                builder.with_client_auth_cert(chain, key).map_err(pair)?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    /// For a connection to the peer of this name, and nobody else.
    pub fn client_for_peer(&self, node: &str) -> Result<Arc<ClientConfig>, rustls::Error> {
        let loaded = self.loaded.load();
        let verifier = PeerVerifier {
            provider: loaded.provider.clone(),
            roots: loaded.roots.clone(),
            cluster: self.options.cluster.clone(),
            node: node.to_owned(),
        };
        let mut config = ClientConfig::builder_with_provider(loaded.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(loaded.chain.clone(), loaded.key.clone_key())?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }
}

fn modified(options: &TlsOptions) -> [Option<SystemTime>; 3] {
    [&options.ca, &options.certificate, &options.key]
        .map(|path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok())
}

impl Loaded {
    fn read(options: &TlsOptions) -> Result<Loaded, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let authorities = certificates("the authority's certificate", &options.ca)?;
        let chain = certificates("the node's certificate", &options.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&options.key)
            .map_err(|error| unreadable("the node's key", &options.key, error))?;

        let authority_expires = authorities.iter().filter_map(expires_at).min();
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots
                .add(authority)
                .map_err(|error| unreadable("the authority's certificate", &options.ca, error))?;
        }
        let roots = Arc::new(roots);
        let expires = Self::check_certificate(options, &provider, &roots, &chain)?;
        let subject = node_uri(&options.cluster, &options.node);
        let state = CertificateState { subject, expires, authority_expires };

        let pair = |error: rustls::Error| TlsError::Pair {
            certificate: options.certificate.clone(),
            key: options.key.clone(),
            reason: plain::error(error),
        };
        let verifier = |required: bool| {
            let builder = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
            let builder = if required { builder } else { builder.allow_unauthenticated() };
            builder.build().map_err(|error| unreadable("the authority's certificate", &options.ca, error))
        };
        let server =
            |required: bool, versions: &[&'static rustls::SupportedProtocolVersion], speak: &[&str]| {
                let mut config = ServerConfig::builder_with_provider(provider.clone())
                    .with_protocol_versions(versions)
                    .map_err(pair)?
                    .with_client_cert_verifier(verifier(required)?)
                    .with_single_cert(chain.clone(), key.clone_key())
                    .map_err(pair)?;
                config.alpn_protocols = speak.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
                Ok::<_, TlsError>(Arc::new(config))
            };
        const HTTP: &[&str] = &["h2", "http/1.1"];
        // What the pages are served over. Whoever offers both, as curl and Prometheus do, would take the other.
        const PAGES: &[&str] = &["http/1.1"];
        Ok(Loaded {
            for_clients: server(options.clients_required, rustls::DEFAULT_VERSIONS, HTTP)?,
            for_rest: server(options.clients_required, rustls::DEFAULT_VERSIONS, PAGES)?,
            for_channels: server(false, rustls::DEFAULT_VERSIONS, &[])?,
            for_peers: server(true, &[&rustls::version::TLS13], HTTP)?,
            for_monitors: server(false, rustls::DEFAULT_VERSIONS, PAGES)?,
            provider: provider.clone(),
            roots: roots.clone(),
            chain,
            key,
            state,
        })
    }

    /// That the certificate is this node's, of this authority, and valid now; and until when.
    fn check_certificate(
        options: &TlsOptions,
        provider: &CryptoProvider,
        roots: &RootCertStore,
        chain: &[CertificateDer<'static>],
    ) -> Result<SystemTime, TlsError> {
        let own = &chain[0];
        let path = &options.certificate;
        let (_, parsed) = X509Certificate::from_der(own)
            .map_err(|error| unreadable("the node's certificate", path, error))?;
        let (validity, now) = (parsed.validity(), SystemTime::now());
        let expires = time_of(&validity.not_after);
        if expires <= now {
            return Err(TlsError::Expired { path: path.clone(), expired: validity.not_after.to_string() });
        }
        if time_of(&validity.not_before) > now {
            return Err(TlsError::Early { path: path.clone(), begins: validity.not_before.to_string() });
        }
        let expected = Principal::Node { cluster: options.cluster.clone(), name: options.node.clone() };
        let found = principal(own);
        if found != expected {
            return Err(TlsError::Name {
                path: path.clone(),
                found: describe(&found),
                expected: node_uri(&options.cluster, &options.node),
            });
        }
        let issuer = |error: rustls::Error| TlsError::Issuer {
            certificate: path.clone(),
            ca: options.ca.clone(),
            reason: plain::error(error),
        };
        let certificate = ParsedCertificate::try_from(own).map_err(issuer)?;
        let algorithms = provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            roots,
            &chain[1..],
            UnixTime::now(),
            algorithms,
        )
        .map_err(issuer)?;
        Ok(expires)
    }
}

fn expires_at(certificate: &CertificateDer<'static>) -> Option<SystemTime> {
    X509Certificate::from_der(certificate).ok().map(|(_, parsed)| time_of(&parsed.validity().not_after))
}

fn time_of(time: &ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>());
    let certificates = read.map_err(|error| unreadable(what, path, error))?;
    if certificates.is_empty() { Err(TlsError::Empty { path: path.to_owned() }) } else { Ok(certificates) }
}

fn unreadable(what: &'static str, path: &Path, error: impl std::fmt::Display) -> TlsError {
    let reason = error.to_string();
    // The reader of PEM says of which kind it is; the path says it, too.
    let reason = plain::error(reason.strip_prefix("I/O error: ").unwrap_or(&reason));
    TlsError::Read { what, path: path.to_owned(), reason }
}

/// Whom a certificate names, for people.
pub(super) fn describe(principal: &Principal) -> String {
    match principal {
        Principal::Anonymous => "nobody".to_owned(),
        Principal::Node { cluster, name } => node_uri(cluster, name),
        Principal::User { cluster, name } => super::identity::user_uri(cluster, name),
        Principal::Other { name } => format!("{name:?}"),
        Principal::Malformed { text } => format!("{text:?}, which is no name of a node or user"),
        Principal::Ambiguous => "several names".to_owned(),
    }
}

/// The other end must be this very node of this cluster; host names do not matter.
#[derive(Debug)]
struct PeerVerifier {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    cluster: String,
    node: String,
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        match principal(certificate) {
            Principal::Node { cluster, name } if cluster == self.cluster && name == self.node => {
                Ok(ServerCertVerified::assertion())
            }
            found => {
                tracing::warn!(
                    expected = node_uri(&self.cluster, &self.node),
                    found = describe(&found),
                    "a peer shows the certificate of somebody else"
                );
                Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForName))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
