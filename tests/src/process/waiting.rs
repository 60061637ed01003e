//! Crowds of clients that hold a connection and do not look for themselves whether the other end is there, as our own
//! client does: what they notice is what the network tells them.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What a client of gRPC says first, with settings that change nothing.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// A frame that the other end answers.
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0trimaran";

pub struct Crowd(JoinSet<Instant>);

impl Crowd {
    /// They wait, or send something this often.
    pub async fn connect(clients: usize, address: &str, every: Option<Duration>) -> Crowd {
        let mut crowd = JoinSet::new();
        for _ in 0..clients {
            let mut stream = TcpStream::connect(address).await.expect("somebody serves");
            stream.write_all(HELLO).await.expect("it takes the first bytes");
            let greeted = stream.read(&mut [0; 1024]).await.expect("it answers");
            assert!(greeted > 0, "the node has room for another client");
            crowd.spawn(until_broken(stream, every));
        }
        Crowd(crowd)
    }

    /// When each of them noticed that its connection is gone, of those who did until then.
    pub async fn noticed(mut self, until: Instant) -> Vec<Instant> {
        let mut noticed = Vec::new();
        while let Ok(Some(one)) = tokio::time::timeout_at(until.into(), self.0.join_next()).await {
            noticed.push(one.expect("a client does not panic"));
        }
        noticed.sort();
        noticed
    }
}

async fn until_broken(mut stream: TcpStream, every: Option<Duration>) -> Instant {
    let mut buffer = [0; 4096];
    loop {
        let due = async {
            match every {
                Some(every) => tokio::time::sleep(every).await,
                None => std::future::pending().await,
            }
        };
        let is_broken = tokio::select! {
            read = stream.read(&mut buffer) => !matches!(read, Ok(1..)),
            () = due => stream.write_all(PING).await.is_err(),
        };
        if is_broken {
            return Instant::now();
        }
    }
}
