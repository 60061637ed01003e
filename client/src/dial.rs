//! Dialling: a node as this client knows it, the HTTP/2 connection to it, and the few questions that need no session.

use std::{collections::VecDeque, error::Error as _, fmt::Debug, io, sync::Mutex, time::Duration};

use futures::future::select_all;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, ToSocketAddrs},
    sync::{Notify, watch},
};
use tonic::transport::{Channel, Endpoint, Uri};
use trimaran_proto::admin::v1::{
    ArrangeQueueManagerRequest, AuditRecord, AuditRequest, Canary, Classified, CreateQueueManagerRequest,
    DeleteQueueManagerRequest, Failover, FailoversRequest, MaintainRequest, RecoverRequest, RunRequest,
    StatusRequest, StatusResponse, UpgradeRequest, admin_client::AdminClient,
};
use trimaran_proto::queue::v1::Outcome;
use trimaran_proto::{failover::Class, plain};

use crate::{
    error::{Error, Result},
    outcome,
    reasons::reason,
    tls::{self, Shown, Tls},
};

/// A dial that took so long is repeated beside it: soon at first, because an address that moves is on no node for less than a tenth of a
/// second; the last one from then on.
const DIAL_AGAIN_MS: [u64; 5] = [20, 40, 60, 100, 200];
/// Nodes that have not answered when half of them have are waited for so long.
const STRAGGLERS_WITHIN: Duration = Duration::from_secs(1);
/// Sockets of one dial at a time.
const DIALS_MAX: usize = 3;
const WINDOW_BYTES: u32 = 16 * 1024 * 1024;
pub(crate) const RESPONSE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A node as this client knows it: an address, and the connection to it if there is one.
pub(crate) struct Node {
    /// `host:port` of its gRPC listener.
    pub address: String,
    channel: Mutex<Option<Channel>>,
    /// Somebody said that this node serves.
    pub hinted: Notify,
}

impl Node {
    pub(crate) fn new(address: String) -> Node {
        Node { address, channel: Mutex::new(None), hinted: Notify::new() }
    }

    pub(crate) async fn channel(&self, tls: Option<&Tls>) -> Result<Channel> {
        if let Some(channel) = &*self.channel.lock().expect("nothing panics here") {
            return Ok(channel.clone());
        }
        let channel = open_channel(&self.address, tls).await?;
        *self.channel.lock().expect("nothing panics here") = Some(channel.clone());
        Ok(channel)
    }

    pub(crate) fn hint(&self) {
        self.hinted.notify_one();
    }

    pub(crate) fn forget_channel(&self) {
        *self.channel.lock().expect("nothing panics here") = None;
    }
}

/// One HTTP/2 connection.
async fn open_channel(address: &str, tls: Option<&Tls>) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| Error::Invalid(format!("{address} is not an address; write host:port")))?
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_keep_alive_interval(Duration::from_secs(2))
        .keep_alive_timeout(Duration::from_secs(3))
        .keep_alive_while_idle(true);
    let shown = Shown::of(tls);
    let tls = tls.cloned();
    let connector = tower::service_fn(move |uri: Uri| {
        let tls = tls.clone();
        async move {
            let host = uri.host().unwrap_or_default();
            let port = uri.port_u16().unwrap_or(7201);
            // Without the brackets of an IPv6 address.
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let stream = dial((host, port)).await?;
            stream.set_nodelay(true)?;
            let stream: Box<dyn Wire> = match &tls {
                None => Box::new(stream),
                Some(tls) => Box::new(tls.wrap(host, stream).await?),
            };
            Ok::<_, io::Error>(TokioIo::new(stream))
        }
    });
    endpoint.connect_with_connector(connector).await.map_err(|error| {
        Error::refused(reason::CONNECTION_BROKEN, explain(address, &plain::root_cause(&error), shown))
    })
}

/// Dials again beside a dial that hangs, and takes what comes first: where nobody has a floating address for a moment, the
/// kernel would repeat the first packet after a second and the next after three. The first dial has all the time there is, for
/// lines that are slower than that; of the others the newest go on. What does not come first is closed.
pub(crate) async fn dial(to: impl ToSocketAddrs + Clone) -> io::Result<TcpStream> {
    let mut dials = VecDeque::new();
    let last = *DIAL_AGAIN_MS.last().expect("it has five");
    let mut again = DIAL_AGAIN_MS.into_iter().chain(std::iter::repeat(last));
    loop {
        if dials.len() == DIALS_MAX {
            dials.remove(1);
        }
        dials.push_back(Box::pin(TcpStream::connect(to.clone())));
        tokio::select! {
            (dialled, ..) = select_all(dials.iter_mut()) => return dialled,
            () = tokio::time::sleep(Duration::from_millis(again.next().unwrap_or(last))) => {}
        }
    }
}

/// A connection, with or without TLS.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send + Sync + Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync + Debug> Wire for T {}

pub(crate) fn describe(address: &str, status: &tonic::Status, shown: Shown) -> Error {
    match status.code() {
        tonic::Code::Unavailable | tonic::Code::Unknown | tonic::Code::Cancelled | tonic::Code::Internal => {
            let text = match status.source() {
                Some(source) => plain::root_cause(source),
                None => status.message().to_string(),
            };
            Error::refused(reason::CONNECTION_BROKEN, explain(address, &text, shown))
        }
        _ => outcome::from_status(status),
    }
}

pub(crate) fn explain(address: &str, text: &str, shown: Shown) -> String {
    let words = in_words(text);
    match tls::advice(text, shown) {
        None => format!("{address}: {words}"),
        Some(advice) => format!("{address}: {words} ({advice})"),
    }
}

/// What went wrong on a connection, without the words of the libraries that noticed.
fn in_words(text: &str) -> String {
    const WORDS: [(&str, &str); 9] = [
        ("stream closed because of a broken pipe", "what listens there closed the connection"),
        ("frame with invalid size", "what listens there does not speak HTTP/2 without TLS"),
        ("InvalidContentType", "what listens there does not speak TLS"),
        ("tls handshake eof", "what listens there closed the connection during the TLS handshake"),
        (
            "peer certificate: UnknownIssuer",
            "the certificate of the node is from an authority that is not known here",
        ),
        (
            "peer certificate: BadSignature",
            "the certificate of the node is from an authority that is not known here",
        ),
        ("close_notify", "the node closed the connection"),
        ("fatal alert: CertificateRequired", "the node wants a certificate"),
        ("fatal alert: UnknownCA", "the node does not know the authority of the certificate"),
    ];
    if let Some((_, words)) = WORDS.iter().find(|(mark, _)| text.contains(mark)) {
        return words.to_string();
    }
    if let Some((_, alert)) = text.split_once("fatal alert: ") {
        return format!("the node refuses TLS: {}", spaced(alert));
    }
    // Behind the semicolon are the names of the certificate, as a library prints them.
    let text = match text.contains("certificate not valid for name") {
        true => text.split_once("; ").map_or(text, |(text, _)| text),
        false => text,
    };
    plain::error(text)
}

/// `BadCertificate` as "bad certificate".
fn spaced(name: &str) -> String {
    let mut words = String::new();
    for c in name.trim().chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

/// Asks every node of the list for its status, side by side. When half of them have answered the others have a second: a node that hangs
/// holds nobody up for longer.
pub async fn status(
    addresses: &[String],
    tls: Option<&Tls>,
    within: Duration,
) -> Vec<(String, Result<StatusResponse>)> {
    status_as(addresses, tls, within, false).await
}

/// The same with the nodes' own queue manager, SYSTEM.CLUSTER, which no program connects to: it has records of the others.
pub async fn status_with_cluster(
    addresses: &[String],
    tls: Option<&Tls>,
    within: Duration,
) -> Vec<(String, Result<StatusResponse>)> {
    status_as(addresses, tls, within, true).await
}

async fn status_as(
    addresses: &[String],
    tls: Option<&Tls>,
    within: Duration,
    with_cluster: bool,
) -> Vec<(String, Result<StatusResponse>)> {
    let (half, answered) = (addresses.len().div_ceil(2), watch::Sender::new(0));
    let in_time = |address| status_beside_others(address, tls, within, with_cluster, half, &answered);
    let asked = addresses.iter().map(|address| async { (address.clone(), in_time(address).await) });
    futures::future::join_all(asked).await
}

/// `answered` counts all that have.
async fn status_beside_others(
    address: &str,
    tls: Option<&Tls>,
    within: Duration,
    with_cluster: bool,
    half: usize,
    answered: &watch::Sender<usize>,
) -> Result<StatusResponse> {
    let mut others = answered.subscribe();
    let straggles = async {
        let _ = others.wait_for(|count| *count >= half).await;
        tokio::time::sleep(STRAGGLERS_WITHIN).await;
    };
    let answer = tokio::select! {
        answer = status_of(address, tls, within, with_cluster) => answer,
        () = straggles => Err(no_answer(address, STRAGGLERS_WITHIN)),
    };
    answered.send_modify(|count| *count += usize::from(answer.is_ok()));
    answer
}

/// Where the node is that leads SYSTEM.CLUSTER, as those see it that answered [`status_with_cluster`]. None: nobody leads it, or it
/// has not begun, because not every node has run a release that has it.
pub fn cluster_leader(answers: &[(String, Result<StatusResponse>)]) -> Option<String> {
    let views = answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    let views = views.flat_map(|status| &status.queue_managers).filter(|view| view.name == CLUSTER);
    let led = views.filter(|view| !view.active_address.is_empty());
    // The newest term: who was cut off may think of an older one.
    let newest = led.max_by_key(|view| (view.term, view.role == "active"))?;
    Some(newest.active_address.clone())
}

/// A connection to that node, and None where SYSTEM.CLUSTER has not begun.
///
/// # Errors
/// 2059 while no node leads it; and as [`status`].
pub(crate) async fn to_cluster(
    addresses: &[String],
    tls: Option<&Tls>,
    within: Duration,
) -> Result<Option<Channel>> {
    let answers = status_with_cluster(addresses, tls, within).await;
    if let Some(leader) = cluster_leader(&answers) {
        return open_channel(&leader, tls).await.map(Some);
    }
    let views = answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    let mut views = views.flat_map(|status| &status.queue_managers).filter(|view| view.name == CLUSTER);
    match views.any(|view| view.role != "recovering") {
        true => Err(Error::refused(reason::Q_MGR_NOT_AVAILABLE, format!("no node leads {CLUSTER} just now"))),
        false => Ok(None),
    }
}

/// Creates a queue manager, at the node at this address, which leads SYSTEM.CLUSTER.
///
/// # Errors
/// [`Error::Unreachable`] when the node does not answer in time: then it may have been created. [`Error::Refused`] with 2543 or 2059
/// when it does not lead, 2100 when there is one of that name, 2058 for a name that none can have, 2298 while SYSTEM.CLUSTER has a
/// version below 3, 4005 for anything else that cannot be so.
pub async fn create_queue_manager(
    address: &str,
    tls: Option<&Tls>,
    request: CreateQueueManagerRequest,
    within: Duration,
) -> Result<()> {
    let call = async |admin: &mut AdminClient<Channel>| {
        Ok(admin.create_queue_manager(request).await?.into_inner().outcome)
    };
    tell(address, tls, within, call).await
}

/// Changes where a queue manager that was created should be, at the node at this address, which leads SYSTEM.CLUSTER.
///
/// # Errors
/// As [`create_queue_manager`]; 2058 when there is none of that name, 2298 also for one that the cluster file names, 2538 for an address
/// that a node which is away may have for another queue manager.
pub async fn arrange_queue_manager(
    address: &str,
    tls: Option<&Tls>,
    request: ArrangeQueueManagerRequest,
    within: Duration,
) -> Result<()> {
    let call = async |admin: &mut AdminClient<Channel>| {
        Ok(admin.arrange_queue_manager(request).await?.into_inner().outcome)
    };
    tell(address, tls, within, call).await
}

/// Deletes a queue manager with all that it has, at the node at this address, which leads SYSTEM.CLUSTER. Whoever asks has seen that
/// it was ended.
///
/// # Errors
/// As [`create_queue_manager`]; 2058 when there is none of that name, 2042 where that node leads it and it runs.
pub async fn delete_queue_manager(
    address: &str,
    tls: Option<&Tls>,
    name: &str,
    within: Duration,
) -> Result<()> {
    let request = DeleteQueueManagerRequest { name: name.to_owned() };
    let call = async |admin: &mut AdminClient<Channel>| {
        Ok(admin.delete_queue_manager(request).await?.into_inner().outcome)
    };
    tell(address, tls, within, call).await
}

/// Raises the version of SYSTEM.CLUSTER to the newest that any node speaks, at the node at this address, which leads it.
///
/// # Errors
/// As [`Admin::upgrade`](crate::Admin::upgrade), and as [`run`].
pub async fn upgrade_cluster(address: &str, tls: Option<&Tls>, within: Duration) -> Result<()> {
    let request = UpgradeRequest { queue_manager: CLUSTER.to_owned(), version: 0 };
    tell(address, tls, within, async |admin| Ok(admin.upgrade(request).await?.into_inner().outcome)).await
}

/// The nodes' own queue manager.
pub const CLUSTER: &str = "SYSTEM.CLUSTER";

/// Tells the node at this address to go on with what the best node has left, after too many logs were damaged; see the
/// `Recover` call of the Admin service. Nobody but a person should decide that.
///
/// # Errors
/// [`Error::Unreachable`] when the node does not answer in time, [`Error::Refused`] when it keeps what it has: its log goes
/// further, or its group works.
pub async fn recover(
    address: &str,
    tls: Option<&Tls>,
    request: RecoverRequest,
    within: Duration,
) -> Result<()> {
    recover_at(address, tls, request, within).await
}

/// Tells the node at this address, which leads the queue manager, to start or to end it; see the `Run` call of the Admin service.
/// What is so already is done, so it may be said again where it is not known whether it was heard.
///
/// # Errors
/// [`Error::Unreachable`] when the node does not answer in time; [`Error::Refused`] with 2543 or 2059 when it does not lead, 2161 for
/// a start while the queue manager quiesces, 2298 while it has a version below 3.
pub async fn run(address: &str, tls: Option<&Tls>, request: RunRequest, within: Duration) -> Result<()> {
    tell(address, tls, within, async |admin| Ok(admin.run(request).await?.into_inner().outcome)).await
}

/// Takes a node out of service or back at the node at this address, which leads the queue manager: for one that was ended, to which
/// nobody connects. [`Admin::begin_maintenance`](crate::Admin::begin_maintenance) is for the others.
///
/// # Errors
/// As there, and as [`run`].
pub async fn maintain(
    address: &str,
    tls: Option<&Tls>,
    request: MaintainRequest,
    within: Duration,
) -> Result<()> {
    tell(address, tls, within, async |admin| Ok(admin.maintain(request).await?.into_inner().outcome)).await
}

/// The records of failovers that a node has, in the order of their numbers, what people said of them, and what canaries saw.
#[derive(Clone, Debug, Default)]
pub struct KeptFailovers {
    /// All that it has, oldest first.
    pub records: Vec<Failover>,
    /// Of these records; see [`KeptFailovers::said_of`].
    pub classified: Vec<Classified>,
    /// None where no canary was ever heard of.
    pub canary: Option<Canary>,
}

impl KeptFailovers {
    /// What somebody said of a record.
    pub fn said_of(&self, record: &Failover) -> Option<&Classified> {
        self.classified.iter().find(|said| said.number == record.number)
    }

    /// What a record counts as: what somebody said, or else what it says itself.
    pub fn class_of(&self, record: &Failover) -> Class {
        self.said_of(record).and_then(|said| Class::from_wire(said.class())).unwrap_or_else(|| record.class())
    }
}

/// What the node at this address has of failovers.
///
/// # Errors
/// [`Error::Unreachable`] when the node does not answer in time, [`Error::Refused`] when it does not have the queue manager.
pub async fn failovers(
    address: &str,
    tls: Option<&Tls>,
    queue_manager: &str,
    within: Duration,
) -> Result<KeptFailovers> {
    let asking = async {
        let mut client = AdminClient::new(open_channel(address, tls).await?);
        let mut kept = KeptFailovers::default();
        loop {
            let after = kept.records.last().map_or(0, |last| last.number);
            let request = FailoversRequest { queue_manager: queue_manager.to_string(), after };
            let response = client.failovers(request).await;
            let response =
                response.map_err(|status| describe(address, &status, Shown::of(tls)))?.into_inner();
            outcome::check(response.outcome)?;
            kept.records.extend(response.failovers);
            kept.classified.extend(response.classified);
            kept.canary = response.canary;
            if !response.more {
                return Ok(kept);
            }
        }
    };
    in_time(address, within, asking).await
}

/// What administrators changed: all records of the audit trail that the node at this address has of a queue manager, in order.
///
/// # Errors
/// As [`failovers`].
pub async fn audit(
    address: &str,
    tls: Option<&Tls>,
    queue_manager: &str,
    within: Duration,
) -> Result<Vec<AuditRecord>> {
    let asking = async {
        let mut client =
            AdminClient::new(open_channel(address, tls).await?).max_decoding_message_size(RESPONSE_BYTES_MAX);
        let mut records: Vec<AuditRecord> = Vec::new();
        loop {
            let after = records.last().map_or(0, |last| last.number);
            let request = AuditRequest { queue_manager: queue_manager.to_string(), after };
            let response = client.audit(request).await;
            let response =
                response.map_err(|status| describe(address, &status, Shown::of(tls)))?.into_inner();
            outcome::check(response.outcome)?;
            records.extend(response.records);
            if !response.more {
                return Ok(records);
            }
        }
    };
    in_time(address, within, asking).await
}

/// One call to one node, of which nothing is wanted but that it was done.
async fn tell(
    address: &str,
    tls: Option<&Tls>,
    within: Duration,
    call: impl AsyncFnOnce(&mut AdminClient<Channel>) -> std::result::Result<Option<Outcome>, tonic::Status>,
) -> Result<()> {
    let asking = async {
        let mut client = AdminClient::new(open_channel(address, tls).await?);
        let outcome = call(&mut client).await;
        let outcome = outcome.map_err(|status| describe(address, &status, Shown::of(tls)))?;
        outcome::check(outcome).map(drop)
    };
    in_time(address, within, asking).await
}

/// Tells one node to go on with what the best node has left.
async fn recover_at(
    address: &str,
    tls: Option<&Tls>,
    request: RecoverRequest,
    within: Duration,
) -> Result<()> {
    tell(address, tls, within, async |admin| Ok(admin.recover(request).await?.into_inner().outcome)).await
}

/// Asks one node what it knows, over a connection of its own.
async fn status_of(
    address: &str,
    tls: Option<&Tls>,
    within: Duration,
    with_cluster: bool,
) -> Result<StatusResponse> {
    let asking = async {
        let channel = open_channel(address, tls).await?;
        let mut client = AdminClient::new(channel).max_decoding_message_size(RESPONSE_BYTES_MAX);
        let response = client.status(StatusRequest { with_cluster }).await;
        response
            .map(|response| response.into_inner())
            .map_err(|status| describe(address, &status, Shown::of(tls)))
    };
    in_time(address, within, asking).await
}

/// What one node answers, if it does so in time.
async fn in_time<T>(address: &str, within: Duration, asking: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(within, asking).await.unwrap_or_else(|_| Err(no_answer(address, within)))
}

fn no_answer(address: &str, within: Duration) -> Error {
    let text = format!("{address}: no answer within {:.1} s", within.as_secs_f64());
    Error::refused(reason::CONNECTION_BROKEN, text)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpSocket;

    use super::*;

    /// The kernel drops the first packet of who comes to a full queue, as a network does where nobody has the address.
    #[tokio::test]
    async fn a_first_packet_that_is_lost_is_not_waited_for() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut before = Vec::new();
        let first = Duration::from_millis(DIAL_AGAIN_MS[0]);
        while let Ok(dialled) = tokio::time::timeout(first, TcpStream::connect(address)).await {
            before.push(dialled.unwrap());
        }
        let began = std::time::Instant::now();
        let making_room = async {
            tokio::time::sleep(first / 2).await;
            for _ in &before {
                listener.accept().await.unwrap();
            }
        };
        let (dialled, ()) = tokio::join!(dial(address), making_room);
        dialled.unwrap();
        let took = began.elapsed();
        assert!(took >= first, "the first dial was dropped: {took:?}");
        assert!(took < Duration::from_millis(900), "it did not wait for the kernel's second: {took:?}");
    }

    #[tokio::test]
    async fn a_node_that_hangs_is_waited_for_a_second_when_half_have_answered() {
        // It takes connections, and says nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let answered = watch::Sender::new(0);
        let ask = async |within_ms| {
            let within = Duration::from_millis(within_ms);
            status_beside_others(&address, None, within, false, 1, &answered).await.unwrap_err().to_string()
        };
        let alone = ask(1_200).await;
        assert!(alone.contains("no answer within 1.2 s"), "{alone}");
        answered.send_replace(1);
        let beside = ask(30_000).await;
        assert!(beside.contains("no answer within 1.0 s"), "{beside}");
    }

    #[test]
    fn a_broken_connection_is_described_in_plain_words() {
        for (text, words) in [
            ("Connection refused (os error 111)", "Connection refused"),
            ("received fatal alert: UnknownCA", "the node does not know the authority of the certificate"),
            ("received fatal alert: BadCertificate", "the node refuses TLS: bad certificate"),
            ("received corrupt message of type InvalidContentType", "what listens there does not speak TLS"),
            (
                "invalid peer certificate: certificate not valid for name \"b\"; certificate is only valid for DnsName(\"a\")",
                "its certificate is not good: certificate not valid for name \"b\"",
            ),
            (
                "connection error detected: frame with invalid size",
                "what listens there does not speak HTTP/2 without TLS",
            ),
        ] {
            assert_eq!(in_words(text), words, "{text}");
        }
        // A node with TLS says no more to who speaks without it, and neither does a port of peers.
        let closed = explain("a:1", "stream closed because of a broken pipe", Shown::NoTls);
        assert!(closed.contains("--tls-ca") && closed.contains("the port for clients"), "{closed}");
    }
}
