//! Puts three messages, looks at them, takes them. Start a cluster first, for example with `trimaran demo`.
//!
//! cargo run --example put_get -- 127.0.0.1:7201,127.0.0.1:7202,127.0.0.1:7203

use std::{pin::pin, time::Duration};

use futures::TryStreamExt;
use trimaran_client::{Connection, Message};

#[tokio::main]
async fn main() -> trimaran_client::Result<()> {
    let addresses = std::env::args().nth(1).unwrap_or("127.0.0.1:7201".into());
    let connection = Connection::builder([addresses]).connect().await?;
    let queue = connection.queue("HA.QUEUE");

    for text in ["Hello", "from", "Trimaran"] {
        queue.put(text).await?;
    }
    // Kept in memory only, delivered first.
    queue.put(Message::text("quick").persistent(false).priority(9)).await?;

    let mut messages = pin!(queue.browse());
    while let Some(message) = messages.try_next().await? {
        println!("on the queue: {}", message.as_text().unwrap_or("(not text)"));
    }
    while let Some(message) = queue.get(Duration::ZERO).await? {
        println!("taken: {}", message.as_text().unwrap_or("(not text)"));
    }
    Ok(())
}
