//! Puts numbered messages and tells what the connection does meanwhile. Kill the node that serves: no number is
//! missing or twice.
//!
//! cargo run --example exactly_once -- 127.0.0.1:7201,127.0.0.1:7202,127.0.0.1:7203

use trimaran_client::{Connection, ConnectionState};

#[tokio::main]
async fn main() -> trimaran_client::Result<()> {
    let addresses = std::env::args().nth(1).unwrap_or("127.0.0.1:7201".into());
    let connection = Connection::builder([addresses]).connect().await?;

    let mut state = connection.state();
    tokio::spawn(async move {
        while state.changed().await.is_ok() {
            match &*state.borrow_and_update() {
                ConnectionState::Connected { node, .. } => println!("-- {node} serves"),
                ConnectionState::Reconnecting { attempt, reason, .. } => {
                    println!("-- try {attempt}: {reason}")
                }
                ConnectionState::Closed { reason } => println!("-- closed: {reason}"),
            }
        }
    });

    let queue = connection.queue("HA.QUEUE");
    let mut on_their_way = std::collections::VecDeque::new();
    for number in 0..100_000 {
        on_their_way.push_back(queue.start_put(format!("number {number}")).await?);
        // A thousand at a time; the oldest answer is awaited first.
        if on_their_way.len() == 1000 {
            on_their_way.pop_front().expect("there are a thousand").await?;
        }
    }
    for answer in on_their_way {
        answer.await?;
    }
    println!("all are stored, each once");
    Ok(())
}
