//! Moves messages from one queue to another, each exactly once, whatever happens to the nodes meanwhile.
//!
//! cargo run --example unit_of_work -- 127.0.0.1:7201 FROM.QUEUE TO.QUEUE

use std::time::Duration;

use trimaran_client::{Connection, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let addresses = args.next().unwrap_or("127.0.0.1:7201".into());
    let source = args.next().unwrap_or("HA.QUEUE".into());
    let target = args.next().unwrap_or("OTHER.QUEUE".into());
    let connection = Connection::builder([addresses]).connect().await?;

    loop {
        match move_one(&connection, &source, &target).await {
            Ok(true) => println!("moved one"),
            Ok(false) => return Ok(()),
            // The node that served is gone and the unit with it: nothing of it is true, so it is done again.
            Err(error) if error.is_backed_out() => println!("backed out, once more"),
            Err(error) => return Err(error),
        }
    }
}

async fn move_one(connection: &Connection, source: &str, target: &str) -> Result<bool> {
    let mut unit = connection.unit_of_work().await?;
    let Some(message) = unit.get(source, Duration::from_secs(1)).await? else { return Ok(false) };
    unit.put(target, message).await?;
    unit.commit().await?;
    Ok(true)
}
