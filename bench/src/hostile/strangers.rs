//! What somebody does who only knows the nodes' addresses: connections that say nothing, or too much.

use std::time::Duration;

use anyhow::Result;
use futures::future::join_all;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trimaran_node::types::Speaks;
use trimaran_proto::replica::v1::{PeerHello, peer_hello::Purpose};

use super::attacker::Attacker;
use crate::system::trimaran::CLUSTER;

/// Connections are made again after this time, whoever was hung up on before.
const HOLD: Duration = Duration::from_secs(15);
const SNAPSHOT_FRAME_BYTES: usize = 16 << 20;

/// To each port of each node.
pub async fn say_nothing(attacker: &mut Attacker, connections: usize) -> Result<()> {
    let target = &attacker.target;
    let mut open = Vec::new();
    for address in target.clients.iter().chain(&target.peers).chain(&target.monitors) {
        for _ in 0..connections {
            open.extend(connect(address).await);
        }
    }
    attacker.hold(HOLD).await;
    Ok(())
}

pub async fn ask_for_metrics_and_not_read(
    attacker: &mut Attacker,
    connections: usize,
    times: usize,
) -> Result<()> {
    let asked = "GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n".repeat(times);
    let mut open = Vec::new();
    for address in &attacker.target.monitors {
        for _ in 0..connections {
            let Some(mut monitor) = connect(address).await else { continue };
            if monitor.write_all(asked.as_bytes()).await.is_ok() {
                open.push(monitor);
            }
        }
    }
    attacker.hold(HOLD).await;
    Ok(())
}

/// Each in the name of the node after the one that is attacked.
pub async fn unfinished_snapshots(attacker: &mut Attacker, connections: usize) -> Result<()> {
    let nodes = attacker.target.peers.len();
    let all = attacker.target.peers.iter().enumerate().flat_map(|(node, address)| {
        let (to, from) = (node as u64 + 1, ((node + 1) % nodes) as u64 + 1);
        (0..connections).map(move |_| unfinished_snapshot(address, from, to))
    });
    tokio::select! {
        ended = join_all(all) => drop(ended),
        () = attacker.hold(2 * HOLD) => {}
    }
    attacker.hold(Duration::from_millis(100)).await;
    Ok(())
}

/// Until the node hangs up.
async fn unfinished_snapshot(address: &str, from: u64, to: u64) -> Result<()> {
    let mut peer = TcpStream::connect(address).await?;
    let purpose = Purpose::Snapshot.into();
    let Speaks { oldest, newest } = Speaks::RELEASE;
    let hello = PeerHello {
        cluster: CLUSTER.into(),
        from,
        to,
        version: newest.0,
        oldest_version: oldest.0,
        purpose,
        process: 0,
    };
    let mut bytes = b"TRIMARAN".to_vec();
    bytes.extend((hello.encoded_len() as u32).to_le_bytes());
    hello.encode(&mut bytes)?;
    bytes.extend((SNAPSHOT_FRAME_BYTES as u32).to_le_bytes());
    peer.write_all(&bytes).await?;
    // All but the end of it.
    for _ in 0..(SNAPSHOT_FRAME_BYTES >> 16) - 1 {
        peer.write_all(&[7; 1 << 16]).await?;
    }
    while peer.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}

/// Each until it is hung up on.
pub async fn flood_of_pings(attacker: &mut Attacker, connections: usize) -> Result<()> {
    let floods = (0..connections).map(|_| async {
        let mut client = TcpStream::connect(attacker.address()).await?;
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        client.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await?;
        let (mut reader, mut writer) = client.split();
        let pings = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8].repeat(1000);
        let flood = async {
            loop {
                writer.write_all(&pings).await?;
            }
        };
        let read = async {
            while reader.read(&mut [0; 65_536]).await? > 0 {}
            anyhow::Ok(())
        };
        tokio::select! {
            ended = flood => ended,
            ended = read => ended,
        }
    });
    tokio::select! {
        ended = join_all(floods) => drop::<Vec<Result<()>>>(ended),
        () = attacker.hold(HOLD) => {}
    }
    attacker.hold(Duration::from_millis(100)).await;
    Ok(())
}

/// None when the node does not take it.
async fn connect(address: &str) -> Option<TcpStream> {
    let connected = tokio::time::timeout(Duration::from_secs(1), TcpStream::connect(address)).await;
    connected.ok()?.ok()
}
