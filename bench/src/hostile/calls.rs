//! What a program asks that is let in: much of it, and again and again.

use bytes::Bytes;
use trimaran_proto::message::v1::Message;
use trimaran_proto::queue::v1::{self as wire, call::Call, queue_client::QueueClient};

use super::attacker::{Attacker, ID, frame, get, opened, put};
use crate::system::trimaran::{QUEUE_MANAGER, channel};

pub fn by_group(group_id: Bytes) -> Call {
    Call::Get(wire::Get { group_id, ..get() })
}

pub async fn units_of_gets(attacker: &mut Attacker, count: usize) -> anyhow::Result<()> {
    let by_id = || Call::Get(wire::Get { correlation_id: Bytes::from_static(ID), syncpoint: true, ..get() });
    attacker.frame((0..count).map(|_| by_id()).collect()).await?;
    attacker.frame(vec![Call::Backout(wire::Backout {})]).await
}

pub async fn units_of_plain_gets(attacker: &mut Attacker, count: usize) -> anyhow::Result<()> {
    attacker.frame((0..count).map(|_| Call::Get(wire::Get { syncpoint: true, ..get() })).collect()).await?;
    attacker.frame(vec![Call::Backout(wire::Backout {})]).await
}

pub async fn browse(attacker: &mut Attacker) -> anyhow::Result<()> {
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

pub async fn put_once(attacker: &mut Attacker, bytes: usize) -> anyhow::Result<()> {
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

/// Of each job a producer of its own; the queue is empty again at the end. Once: what stays is to be seen.
pub async fn nightly_jobs(attacker: &mut Attacker, jobs: usize, puts: u64) -> anyhow::Result<()> {
    const A_FRAME: u64 = 1000;
    if attacker.strikes > 0 {
        attacker.hold(std::time::Duration::MAX).await;
        return Ok(());
    }
    for job in 0..jobs {
        let mut stream = opened(attacker.address(), &attacker.queue).await?;
        let producer = format!("job {job}");
        for first in (1..=puts).step_by(A_FRAME as usize) {
            let sequences = first..=puts.min(first + A_FRAME - 1);
            let count = sequences.clone().count();
            let sequenced = |sequence| {
                let of = wire::ProducerSequence { producer: producer.clone(), sequence, repeated: false };
                Call::Put(wire::Put { producer_sequence: Some(of), ..put(None) })
            };
            frame(&mut stream, sequences.map(sequenced).collect()).await?;
            frame(&mut stream, (0..count).map(|_| Call::Get(get())).collect()).await?;
        }
    }
    Ok(())
}
