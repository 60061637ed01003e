//! Accepts connections, plain or TLS, and knows whose they are before a protocol sees them.
//!
//! Handshakes run beside each other with a time limit, so that one slow stranger keeps nobody waiting; connections
//! have places ([`super::places`]), so that many strangers do not either.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use trimaran_proto::{mq::cipher_spec::Suite, plain};

use super::identity::{Principal, peer_name, principal};
use super::places::{Place, Places};
use super::tls::{Tls, describe};
use crate::mqi::{Identity, Secured};

/// A client's machine that acknowledges nothing for so long, not even that it is there, is gone, and its units of work are
/// backed out; one that has room for nothing more for so long is left, too (tcp(7), TCP_USER_TIMEOUT).
const CLIENT_SILENCE: Duration = Duration::from_secs(10);
/// A client that is silent is asked whether it is there after so long, then this often, so many times.
const CLIENT_ASKED_AFTER: Duration = Duration::from_secs(5);
const CLIENT_ASKED_EVERY: Duration = Duration::from_secs(2);
const CLIENT_ASKED: u32 = 3;

/// Who is expected at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    Clients,
    /// The same, of the REST API: they speak HTTP/1.1.
    Rest,
    /// Clients of MQ channels, whose first byte says whether they speak TLS. What they have to speak, and whether they need a
    /// certificate, is said by their channel, which they name afterwards.
    Channels,
    /// Programs that read health and metrics; they have no certificates.
    Monitors,
    /// Only nodes of this cluster, each with its own certificate.
    Peers,
}

#[derive(Clone, Debug)]
pub struct AcceptLimits {
    /// Ports may share them.
    pub places: Arc<Places>,
    pub handshake: Duration,
    /// A connection is closed when the other machine acknowledges nothing for so long, not even that it is there.
    /// None: ten seconds.
    pub silence: Option<Duration>,
}

impl AcceptLimits {
    pub fn connections(connections: usize) -> AcceptLimits {
        AcceptLimits { places: Places::new(connections), handshake: Duration::from_secs(5), silence: None }
    }
}

/// Who is at the other end.
#[derive(Clone, Debug, Default)]
pub struct ConnectionInfo {
    pub remote: Option<SocketAddr>,
    /// This end: which of the machine's addresses it came to.
    pub local: Option<SocketAddr>,
    pub principal: Principal,
    /// What TLS made of it; None without TLS.
    pub secured: Option<Arc<Secured>>,
    /// The cluster whose users and nodes may come here; empty without TLS, which nobody has a name without.
    pub cluster: String,
}

impl ConnectionInfo {
    /// The identity of its sessions, or a sentence that says why it has none.
    pub fn identity(&self) -> Result<Identity, String> {
        self.principal.identity(&self.cluster)
    }
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    info: ConnectionInfo,
    place: Place,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

/// Accepts until the stream is dropped. Errors of single connections are logged and do not end it.
pub fn incoming(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    audience: Audience,
    limits: AcceptLimits,
) -> impl futures::Stream<Item = io::Result<Connection>> + Send + Unpin + 'static {
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(accept(listener, tls, audience, limits, sender));
    ReceiverStream::new(receiver)
}

async fn accept(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    audience: Audience,
    limits: AcceptLimits,
    sender: mpsc::Sender<io::Result<Connection>>,
) {
    let refusals = Arc::new(Refusals::default());
    loop {
        let place = tokio::select! {
            place = limits.places.take() => place,
            () = sender.closed() => return,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = sender.closed() => return,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: trying again at once would only burn a CPU.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // A socket of all addresses has clients by IPv4 as IPv6: they are who they are all the same.
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        let (tls, sender, refusals) = (tls.clone(), sender.clone(), refusals.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(
                limits.handshake,
                welcome(stream, remote, tls, audience, limits.silence, place),
            )
            .await
            {
                Ok(Ok(connection)) => {
                    // The listener says it to whatever the connection asks for.
                    if matches!(audience, Audience::Clients | Audience::Rest)
                        && let Err(sentence) = connection.info.identity()
                    {
                        refusals.note(remote, &sentence);
                    }
                    let _ = sender.send(Ok(connection)).await;
                }
                Ok(Err(reason)) => refusals.note(remote, &reason.to_string()),
                Err(_) => refusals.note(remote, "the handshake took too long"),
            }
        });
    }
}

/// Who was not let in, said in the log: the first at once, others at most once in a while, with how many there were.
#[derive(Debug, Default)]
struct Refusals {
    since: parking_lot::Mutex<Option<(Instant, u64)>>,
}

impl Refusals {
    const QUIET: Duration = Duration::from_secs(10);

    fn note(&self, remote: SocketAddr, reason: &str) {
        let mut since = self.since.lock();
        match &mut *since {
            Some((said, more)) if said.elapsed() < Refusals::QUIET => *more += 1,
            before => {
                let more = before.map_or(0, |(_, more)| more);
                let reason = in_our_words(reason);
                tracing::warn!(%remote, reason, not_said_before = more, "connection refused");
                *before = Some((Instant::now(), 0));
            }
        }
    }
}

/// What of a handshake somebody can do something about, and not what libraries call it.
fn in_our_words(reason: &str) -> String {
    let hint = match reason {
        text if text.contains("InvalidContentType") => {
            "it speaks without TLS: give it --tls-ca, or [tls] if it is a node"
        }
        text if text.contains("NoCipherSuitesInCommon") => {
            "it offers no CipherSpec that fits: TLS 1.3, ECDHE_ECDSA_* for a certificate with an ECDSA key (as trimaran certs \
             makes them), ECDHE_RSA_* for one with an RSA key"
        }
        text if text.contains("handshake eof") => {
            "it went away: a probe of the port, or it did not like our certificate"
        }
        text if text.contains("peer sent no certificates") => "it shows no certificate",
        _ => return plain::error(reason),
    };
    hint.to_owned()
}

async fn welcome(
    stream: TcpStream,
    remote: SocketAddr,
    tls: Option<Arc<Tls>>,
    audience: Audience,
    silence: Option<Duration>,
    mut place: Place,
) -> io::Result<Connection> {
    let local = stream.local_addr().ok();
    look_after(&stream, silence)?;
    let (stream, info) = tokio::select! {
        known = known(stream, remote, tls, audience) => known?,
        () = place.makes_way() => return Err(io::Error::other(MADE_WAY)),
    };
    Ok(Connection { stream, info: ConnectionInfo { local, ..info }, place })
}

/// What is said of whoever was silent for too long while others waited for a place.
const MADE_WAY: &str = "it said nothing, and others want its place";

async fn known(
    stream: TcpStream,
    remote: SocketAddr,
    tls: Option<Arc<Tls>>,
    audience: Audience,
) -> io::Result<(Stream, ConnectionInfo)> {
    let tls = match tls {
        Some(_) if audience == Audience::Channels && !speaks_tls(&stream).await? => None,
        tls => tls,
    };
    let Some(tls) = tls else {
        let info = ConnectionInfo { remote: Some(remote), ..ConnectionInfo::default() };
        return Ok((Stream::Plain(stream), info));
    };
    let config = match audience {
        Audience::Clients => tls.server_for_clients(),
        Audience::Rest => tls.server_for_rest(),
        Audience::Channels => tls.server_for_channels(),
        Audience::Monitors => tls.server_for_monitors(),
        Audience::Peers => tls.server_for_peers(),
    };
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let agreed = stream.get_ref().1;
    let certificate = agreed.peer_certificates().and_then(|chain| chain.first());
    let principal = certificate.map_or(Principal::Anonymous, principal);
    let suite = agreed.negotiated_cipher_suite().and_then(|suite| Suite::numbered(suite.suite().into()));
    let suite =
        suite.ok_or_else(|| io::Error::other("a suite of TLS was agreed on that no CipherSpec names"))?;
    let secured = Some(Arc::new(Secured { suite, peer: certificate.and_then(peer_name) }));
    if audience == Audience::Peers && !matches!(principal, Principal::Node { .. }) {
        let shown = describe(&principal);
        tracing::warn!(%remote, %shown, "refused at the peers' port: not the certificate of a node");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "not the certificate of a node"));
    }
    let info = ConnectionInfo {
        remote: Some(remote),
        principal,
        secured,
        cluster: tls.cluster().to_owned(),
        ..ConnectionInfo::default()
    };
    Ok((Stream::Tls(Box::new(stream)), info))
}

/// Whoever is gone is noticed, whatever protocol is spoken on the connection.
fn look_after(stream: &TcpStream, silence: Option<Duration>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    let keepalive = socket2::TcpKeepalive::new();
    let keepalive = match silence {
        None => {
            let keepalive = keepalive.with_time(CLIENT_ASKED_AFTER).with_interval(CLIENT_ASKED_EVERY);
            keepalive.with_retries(CLIENT_ASKED)
        }
        Some(silence) => keepalive.with_time(silence / 3).with_interval(silence / 6),
    };
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(silence.unwrap_or(CLIENT_SILENCE)))
}

/// Whether the first byte is that of a TLS handshake; it stays where it is.
async fn speaks_tls(stream: &TcpStream) -> io::Result<bool> {
    const HANDSHAKE: u8 = 0x16;
    let mut first = [0];
    Ok(stream.peek(&mut first).await? == 1 && first[0] == HANDSHAKE)
}

impl Connection {
    pub fn info(&self) -> &ConnectionInfo {
        &self.info
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if buffer.filled().len() > before {
            self.place.keep();
        }
        if read.is_pending() && self.place.poll_makes_way(context).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, MADE_WAY)));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_is_asked_whether_it_is_there_and_given_up_after_ten_seconds() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut accepted = incoming(listener, None, Audience::Clients, AcceptLimits::connections(1));
        let client = TcpStream::connect(address).await.unwrap();
        let connection = futures::StreamExt::next(&mut accepted).await.unwrap().unwrap();
        assert_eq!(connection.info().local, Some(address));
        assert_eq!(connection.info().remote, Some(client.local_addr().unwrap()));
        let Stream::Plain(stream) = &connection.stream else { panic!("there is no TLS") };
        let socket = socket2::SockRef::from(stream);
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(5));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(2));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(10)));
    }
}
