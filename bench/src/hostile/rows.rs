//! The attacks. A new one is a row here.

use bytes::Bytes;
use futures::future::BoxFuture;
use trimaran_proto::message::v1::Message;
use trimaran_proto::queue::v1::{self as wire, call::Call, queue_client::QueueClient};

use super::attacker::{Attacker, Before, ID, NO_ID, get};
use crate::system::trimaran::{QUEUE_MANAGER, channel};

pub struct Row {
    pub name: &'static str,
    pub title: &'static str,
    pub before: Before,
    /// Once; it is done again and again.
    pub strike: for<'a> fn(&'a mut Attacker) -> BoxFuture<'a, anyhow::Result<()>>,
}

pub static ROWS: [Row; 9] = [
    Row {
        name: "gets-by-correlation",
        title: "5,000 gets by one correlation id in one frame, under syncpoint, and back out",
        before: Before::Messages { count: 5_000, expire_ms: None },
        strike: |attacker| Box::pin(units_of_gets(attacker, 5_000)),
    },
    Row {
        name: "gets-past-expired",
        title: "2,000 gets over 98,000 messages that have expired",
        before: Before::Messages { count: 98_000, expire_ms: Some(100) },
        strike: |attacker| {
            let calls = (0..2_000).map(|_| Call::Get(get())).collect();
            Box::pin(attacker.frame(calls))
        },
    },
    Row {
        name: "gets-by-group",
        title: "9,000 gets by a group id that none of 98,000 messages has",
        before: Before::Messages { count: 98_000, expire_ms: None },
        strike: |attacker| {
            Box::pin(attacker.frame((0..9_000).map(|_| by_group(Bytes::from_static(NO_ID))).collect()))
        },
    },
    Row {
        name: "gets-by-two-ids",
        title: "500 gets by an id that all of 98,000 messages have and another that none has",
        before: Before::Messages { count: 98_000, expire_ms: None },
        strike: |attacker| {
            let both = || {
                let (correlation_id, group_id) = (Bytes::from_static(ID), Bytes::from_static(NO_ID));
                Call::Get(wire::Get { correlation_id, group_id, ..get() })
            };
            Box::pin(attacker.frame((0..500).map(|_| both()).collect()))
        },
    },
    Row {
        name: "browse-by-correlation",
        title: "a browse of 20,000 messages by their correlation id",
        before: Before::Messages { count: 20_000, expire_ms: None },
        strike: |attacker| Box::pin(browse(attacker)),
    },
    Row {
        name: "browses",
        title: "9,000 browses of the first message in one frame",
        before: Before::Messages { count: 98_000, expire_ms: None },
        strike: |attacker| {
            let first = || Call::Get(wire::Get { browse: wire::Browse::First.into(), ..get() });
            Box::pin(attacker.frame((0..9_000).map(|_| first()).collect()))
        },
    },
    Row {
        name: "listings",
        title: "listings of 30,000 queues",
        before: Before::Queues { count: 30_000 },
        strike: |attacker| {
            Box::pin(async move {
                attacker.connection.admin().show_queues("").await?;
                Ok(())
            })
        },
    },
    Row {
        name: "puts-of-100m",
        title: "unary puts of 100 MiB",
        before: Before::Nothing,
        strike: |attacker| Box::pin(put_once(attacker, 100 << 20)),
    },
    Row {
        name: "back-outs",
        title: "units of 10,000 gets that are backed out, on 98,000 messages",
        before: Before::Messages { count: 98_000, expire_ms: None },
        strike: |attacker| Box::pin(units_of_plain_gets(attacker, 9_990)),
    },
];

fn by_group(group_id: Bytes) -> Call {
    Call::Get(wire::Get { group_id, ..get() })
}

async fn units_of_gets(attacker: &mut Attacker, count: usize) -> anyhow::Result<()> {
    let by_id = || Call::Get(wire::Get { correlation_id: Bytes::from_static(ID), syncpoint: true, ..get() });
    attacker.frame((0..count).map(|_| by_id()).collect()).await?;
    attacker.frame(vec![Call::Backout(wire::Backout {})]).await
}

async fn units_of_plain_gets(attacker: &mut Attacker, count: usize) -> anyhow::Result<()> {
    attacker.frame((0..count).map(|_| Call::Get(wire::Get { syncpoint: true, ..get() })).collect()).await?;
    attacker.frame(vec![Call::Backout(wire::Backout {})]).await
}

async fn browse(attacker: &mut Attacker) -> anyhow::Result<()> {
    let request = wire::BrowseRequest {
        queue_manager: QUEUE_MANAGER.into(),
        queue: attacker.queue.clone(),
        correlation_id: Bytes::from_static(ID),
        ..wire::BrowseRequest::default()
    };
    let mut client = QueueClient::new(channel(attacker.address()).await?);
    let mut messages = client.browse(request).await?.into_inner();
    while messages.message().await?.is_some() {}
    Ok(())
}

async fn put_once(attacker: &mut Attacker, bytes: usize) -> anyhow::Result<()> {
    let message = Message { body: vec![7; bytes].into(), ..Message::default() };
    let request = wire::PutRequest {
        queue_manager: QUEUE_MANAGER.into(),
        queue: attacker.queue.clone(),
        message: Some(message),
        ..wire::PutRequest::default()
    };
    let mut client =
        QueueClient::new(channel(attacker.address()).await?).max_encoding_message_size(usize::MAX);
    client.put(request).await?;
    attacker.frame(vec![Call::Get(get())]).await
}
