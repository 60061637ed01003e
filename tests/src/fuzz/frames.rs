//! What comes to a node's port for its peers, from the first byte on.

use std::io::Cursor;

use prost::Message as _;
use trimaran_node::peer::Clients;
use trimaran_node::peer::frame::{self, FRAME_BYTES_MAX, FrameReader};
use trimaran_node::types::{Account, NodeId};
use trimaran_proto::replica::v1::{
    ClientConnections, ClientsOfAddress, Hardware, PeerFrame, PeerHello, PeerMessage, RaftMessage,
    peer_message,
};

use super::Target;

pub const TARGET: Target =
    Target { name: "frames", about: "a connection to the port for peers: who it is, frames", run, seeds };

fn run(bytes: &[u8]) {
    now(async {
        let mut reader = reader_of(bytes);
        let Ok(()) = reader.magic().await else { return };
        let Ok(Some(_)) = reader.next::<PeerHello>().await else { return };
        reader.take_frames_up_to(FRAME_BYTES_MAX);
        let clients = Clients::new(Account::new(1 << 30));
        while let Ok(Some(frame)) = reader.next::<PeerFrame>().await {
            frame.messages.iter().map(frame::weight).sum::<usize>();
            frame.clients.into_iter().for_each(|said| clients.hear(NodeId(2), said));
        }
    });
}

pub fn reader_of(bytes: &[u8]) -> FrameReader {
    frame::split(tokio::io::join(Cursor::new(bytes.to_vec()), tokio::io::sink())).0
}

/// Runs what never has to wait.
pub fn now(future: impl Future<Output = ()>) {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(
        std::pin::pin!(future).poll(&mut context).is_ready(),
        "all bytes are there: nothing is waited for"
    );
}

fn seeds() -> Vec<Vec<u8>> {
    let hello = PeerHello { cluster: "cluster".into(), from: 2, to: 1, version: 3, ..PeerHello::default() };
    let raft = RaftMessage { kind: 8, from: 2, to: 1, term: 3, commit: 7, ..RaftMessage::default() };
    let message = PeerMessage { queue_manager: 1, message: Some(peer_message::Message::Raft(raft)) };
    let opening = written([&hello.encode_to_vec()[..]], true);
    let came = [&7201_u16.to_be_bytes()[..], &4000_u16.to_be_bytes(), &[10, 0, 0, 9]].concat().into();
    let address =
        ClientsOfAddress { address: vec![10, 0, 0, 50].into(), came, ..ClientsOfAddress::default() };
    let clients =
        ClientConnections { queue_manager: 1, term: 3, number: 1, whole: true, addresses: vec![address] };
    let hardware = Some(Hardware { addresses: vec![vec![2, 0, 0, 0, 1, 2].into()] });
    let frame = PeerFrame { messages: vec![message; 3], clients: vec![clients], hardware }.encode_to_vec();
    vec![opening.clone(), [opening, written([&frame[..], &frame[..]], false)].concat()]
}

/// Frames as they lie on a connection.
pub fn written<'a>(frames: impl IntoIterator<Item = &'a [u8]>, first: bool) -> Vec<u8> {
    let mut bytes = if first { b"TRIMARAN".to_vec() } else { Vec::new() };
    for frame in frames {
        bytes.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        bytes.extend_from_slice(frame);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_read_to_their_end() {
        for seed in seeds() {
            now(async {
                let mut reader = reader_of(&seed);
                reader.magic().await.unwrap();
                assert_eq!(reader.next::<PeerHello>().await.unwrap().unwrap().from, 2);
                while let Some(frame) = reader.next::<PeerFrame>().await.unwrap() {
                    assert_eq!(frame.messages.len(), 3);
                }
            });
        }
    }
}
