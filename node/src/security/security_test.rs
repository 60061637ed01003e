//! Certificates of a small authority, over real sockets of loopback.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use trimaran_proto::mq::cipher_spec::{CipherSpec, Suite, Version};

use super::*;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Writes `NAME.crt`, `NAME.key` and `ca.crt`.
    fn issue(&self, directory: &Path, name: &str, uri: &str) -> TlsOptions {
        self.issue_with(directory, name, &[uri], 1975)
    }

    /// Valid from the first day of that year, and without a common name for nobody's `name`.
    fn issue_with(&self, directory: &Path, name: &str, uris: &[&str], year: i32) -> TlsOptions {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        // Else it had one of the library.
        params.distinguished_name = DistinguishedName::new();
        if !name.is_empty() {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        params.not_before = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |ending: &str| directory.join(format!("{name}.{ending}"));
        fs::write(path("crt"), certificate.pem()).unwrap();
        fs::write(path("key"), key.serialize_pem()).unwrap();
        fs::write(path("ca"), &self.pem).unwrap();
        TlsOptions {
            cluster: "demo".into(),
            node: name.into(),
            ca: path("ca"),
            certificate: path("crt"),
            key: path("key"),
            clients_required: false,
        }
    }
}

async fn serve(tls: Tls, audience: Audience) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut accepted = incoming(listener, Some(Arc::new(tls)), audience, AcceptLimits::connections(10));
    tokio::spawn(async move {
        while let Some(Ok(mut connection)) = accepted.next().await {
            let text = format!("{:?}", connection.info().principal);
            connection.write_all(text.as_bytes()).await.unwrap();
            connection.shutdown().await.unwrap();
        }
    });
    address
}

/// What the server says about who we are, or why there is no connection.
async fn ask(
    address: std::net::SocketAddr,
    client: Result<Arc<rustls::ClientConfig>, rustls::Error>,
) -> Result<String, String> {
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(client.map_err(|error| error.to_string())?);
    let name = ServerName::try_from("trimaran").unwrap();
    let mut stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(|error| error.to_string())?;
    if answer.is_empty() { Err("closed".to_owned()) } else { Ok(answer) }
}

#[tokio::test]
async fn nodes_know_each_other_by_name_and_users_are_none() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let a = authority.issue(directory.path(), "a", "trimaran://demo/node/a");
    let b = Tls::load(authority.issue(directory.path(), "b", "trimaran://demo/node/b")).unwrap();
    let address = serve(Tls::load(a).unwrap(), Audience::Peers).await;

    assert_eq!(ask(address, b.client_for_peer("a")).await.unwrap(), r#"Node { cluster: "demo", name: "b" }"#);
    let wrong = ask(address, b.client_for_peer("c")).await.unwrap_err();
    assert!(wrong.contains("invalid peer certificate"), "{wrong}");

    // A user's certificate of the same authority does not open the peers' port.
    let user = TlsOptions {
        node: "ann".into(),
        ..authority.issue(directory.path(), "ann", "trimaran://demo/user/ann")
    };
    let refused = Tls::load(user).unwrap_err().to_string();
    assert!(refused.contains("is the certificate of trimaran://demo/user/ann"), "{refused}");
    let client = client_with(directory.path(), "ann");
    assert!(ask(address, Ok(client)).await.is_err());

    let stranger = Authority::new();
    let foreign = Tls::load(stranger.issue(directory.path(), "x", "trimaran://demo/node/x")).unwrap();
    assert!(ask(address, foreign.client_for_peer("a")).await.is_err());
}

/// A client that believes everything and shows this certificate.
fn client_with(directory: &Path, name: &str) -> Arc<rustls::ClientConfig> {
    use rustls_pki_types::pem::PemObject;
    let read = |ending: &str| directory.join(format!("{name}.{ending}"));
    let chain: Vec<_> =
        rustls_pki_types::CertificateDer::pem_file_iter(read("crt")).unwrap().map(Result::unwrap).collect();
    let key = rustls_pki_types::PrivateKeyDer::from_pem_file(read("key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
        .with_client_auth_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

#[derive(Debug)]
struct AnyServer(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &[rustls_pki_types::CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls_pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[tokio::test]
async fn clients_are_known_by_their_certificate_or_anonymous() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let a = authority.issue(directory.path(), "a", "trimaran://demo/node/a");
    authority.issue(directory.path(), "ann", "trimaran://demo/user/ann");
    let address = serve(Tls::load(a.clone()).unwrap(), Audience::Clients).await;
    let ann = client_with(directory.path(), "ann");
    assert_eq!(ask(address, Ok(ann)).await.unwrap(), r#"User { cluster: "demo", name: "ann" }"#);

    let required = TlsOptions { clients_required: true, ..a };
    let address = serve(Tls::load(required).unwrap(), Audience::Clients).await;
    let nameless = nameless(&client_with(directory.path(), "ann"));
    assert!(ask(address, Ok(nameless)).await.is_err());
}

/// What a node knows of the next one who comes to a channel's port.
async fn next_info(
    accepted: &mut (impl futures::Stream<Item = std::io::Result<Connection>> + Unpin),
) -> ConnectionInfo {
    accepted.next().await.unwrap().unwrap().info().clone()
}

#[tokio::test]
async fn a_channel_s_port_takes_tls_of_both_versions_and_none() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let a = authority.issue(directory.path(), "a", "trimaran://demo/node/a");
    authority.issue(directory.path(), "ann", "trimaran://demo/user/ann");
    // What other clients have to show, those of channels are asked for by their channel.
    let tls = Tls::load(TlsOptions { clients_required: true, ..a }).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut accepted =
        incoming(listener, Some(Arc::new(tls)), Audience::Channels, AcceptLimits::connections(10));

    for (client, version, principal, peer) in [
        (client_with(directory.path(), "ann"), Version::Tls13, "ann", "CN=ann"),
        (older(&client_with(directory.path(), "ann")), Version::Tls12, "ann", "CN=ann"),
        (nameless(&client_with(directory.path(), "ann")), Version::Tls13, "", ""),
    ] {
        let stream = TcpStream::connect(address).await.unwrap();
        // As IBM's clients name a channel.
        let name = ServerName::try_from("app2e-svrconn.chl.mq.ibm.com").unwrap();
        let _stream = TlsConnector::from(client).connect(name, stream).await.unwrap();
        let info = next_info(&mut accepted).await;
        let user = Principal::User { cluster: "demo".into(), name: principal.into() };
        assert_eq!(info.principal, if principal.is_empty() { Principal::Anonymous } else { user });
        let secured = info.secured.unwrap();
        assert_eq!(secured.suite.version, version);
        let shown = secured.peer.as_ref().map(ToString::to_string).unwrap_or_default();
        assert!(shown.ends_with(peer) && (peer.is_empty() || shown.starts_with("SERIALNUMBER=")), "{shown}");
    }

    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"TSH ").await.unwrap();
    assert_eq!(next_info(&mut accepted).await.secured, None);
}

#[tokio::test]
async fn a_monitor_that_offers_http_2_as_well_is_told_what_the_pages_speak() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let a = authority.issue(directory.path(), "a", "trimaran://demo/node/a");
    authority.issue(directory.path(), "ann", "trimaran://demo/user/ann");
    for (audience, spoken) in
        [(Audience::Monitors, "http/1.1"), (Audience::Rest, "http/1.1"), (Audience::Clients, "h2")]
    {
        let address = serve(Tls::load(a.clone()).unwrap(), audience).await;
        let mut client = (*nameless(&client_with(directory.path(), "ann"))).clone();
        client.alpn_protocols = ["h2", "http/1.1"].map(|name| name.as_bytes().to_vec()).into();
        let name = ServerName::try_from("trimaran").unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(spoken.as_bytes()), "{audience:?}");
    }
}

#[test]
fn every_suite_of_ours_is_one_that_a_cipher_spec_names() {
    let ours = rustls::crypto::aws_lc_rs::default_provider().cipher_suites;
    let mut named: Vec<&str> =
        ours.iter().map(|suite| Suite::numbered(suite.suite().into()).expect("it has a name").name).collect();
    let mut known: Vec<&str> = CipherSpec::names().filter(|name| Suite::named(name).is_some()).collect();
    named.sort_unstable();
    known.sort_unstable();
    assert_eq!(named, known, "and none is named that is not there");
}

/// The same client with nothing newer than TLS 1.2.
fn older(client: &rustls::ClientConfig) -> Arc<rustls::ClientConfig> {
    let provider = client.crypto_provider().clone();
    let mut older = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
        .with_no_client_auth();
    older.client_auth_cert_resolver = client.client_auth_cert_resolver.clone();
    Arc::new(older)
}

/// The same client without its certificate.
fn nameless(client: &rustls::ClientConfig) -> Arc<rustls::ClientConfig> {
    let mut nameless = client.clone();
    nameless.client_auth_cert_resolver = Arc::new(NoCertificate);
    Arc::new(nameless)
}

#[test]
fn a_certificate_with_several_names_is_nobodys() {
    use rustls_pki_types::pem::PemObject;
    let directory = tempfile::tempdir().unwrap();
    let uris = ["trimaran://demo/node/a", "trimaran://demo/user/ann"];
    let options = Authority::new().issue_with(directory.path(), "a", &uris, 1975);
    let certificate = rustls_pki_types::CertificateDer::from_pem_file(options.certificate).unwrap();
    let found = principal(&certificate);
    assert_eq!(found, Principal::Ambiguous);
    assert!(found.identity("demo").unwrap_err().contains("several"));
}

#[tokio::test]
async fn a_certificate_that_names_nobody_is_refused_at_every_port_of_clients() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let a = authority.issue(directory.path(), "a", "trimaran://demo/node/a");
    for uris in [&[][..], &["https://demo/ann"]] {
        authority.issue_with(directory.path(), "", uris, 1975);
        for audience in [Audience::Clients, Audience::Rest, Audience::Channels] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let tls = Tls::load(a.clone()).unwrap();
            let mut accepted =
                incoming(listener, Some(Arc::new(tls)), audience, AcceptLimits::connections(10));
            let stream = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("trimaran").unwrap();
            let client = client_with(directory.path(), "");
            let _stream = TlsConnector::from(client).connect(name, stream).await.unwrap();
            let refused = next_info(&mut accepted).await.identity().unwrap_err();
            assert!(
                refused.starts_with("The certificate of \"\" names no user of this cluster"),
                "{refused}"
            );
        }
    }
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_named_with_the_day_it_begins() {
    let directory = tempfile::tempdir().unwrap();
    let options = Authority::new().issue_with(directory.path(), "a", &["trimaran://demo/node/a"], 2999);
    let refused = Tls::load(options).unwrap_err().to_string();
    assert!(refused.contains("a.crt is not valid before Jan  1 00:00:00 2999"), "{refused}");
    assert!(refused.contains("the clock of this machine"), "{refused}");
}

#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[test]
fn a_replaced_certificate_is_used_and_a_broken_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let options = authority.issue(directory.path(), "a", "trimaran://demo/node/a");
    let tls = Tls::load(options.clone()).unwrap();
    assert!(!tls.reload_if_changed().unwrap());
    let before = tls.server_for_clients();

    let later = |path: &Path| {
        let time = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
    };
    authority.issue(directory.path(), "a", "trimaran://demo/node/a");
    later(&options.certificate);
    assert!(tls.reload_if_changed().unwrap());
    assert!(!Arc::ptr_eq(&before, &tls.server_for_clients()));

    let before = tls.server_for_clients();
    fs::write(&options.key, "nonsense").unwrap();
    later(&options.key);
    let error = tls.reload_if_changed().unwrap_err().to_string();
    assert!(error.contains("a.key"), "{error}");
    assert!(Arc::ptr_eq(&before, &tls.server_for_clients()));
}

#[test]
fn a_certificate_that_ends_soon_is_spoken_of_in_days() {
    let now = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let said = |hours: u64| {
        let expires = now + std::time::Duration::from_secs(hours * 3600);
        let subject = "trimaran://demo/node/a".to_owned();
        CertificateState { subject, expires, authority_expires: None }.expires_soon(now)
    };
    assert_eq!(said(14 * 24), None);
    for (hours, when) in [
        (13 * 24, "expires in 13 days"),
        (30, "expires in 1 day"),
        (5, "expires in less than a day"),
        (0, "has expired"),
    ] {
        assert_eq!(said(hours), Some(format!("the certificate of trimaran://demo/node/a {when}")));
    }
}

#[tokio::test]
async fn who_comes_by_ipv4_to_a_socket_of_all_addresses_has_an_ipv4_address() {
    let Ok(listener) = TcpListener::bind("[::]:0").await else {
        // A machine without IPv6 has no such sockets.
        return;
    };
    let port = listener.local_addr().unwrap().port();
    let mut accepted = incoming(listener, None, Audience::Channels, AcceptLimits::connections(10));
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let connection = accepted.next().await.unwrap().unwrap();
    assert_eq!(connection.info().remote, Some(stream.local_addr().unwrap()));
}
