//! amqsgbr: prints the texts of the messages that are there, with numbers, and leaves them.

use trimaran_client::channel::{Channel, queue_of_name};
use trimaran_client::proto::mq::constants::{get, open};
use trimaran_client::reason;

use super::input::Input;
use super::{
    BUFFER_BYTES, connected, end, opened, queue_manager, required, sentence_of, tell, tell_reason, write_text,
};
use crate::arguments::{AmqsgbrArgs, Global};
use crate::output::Outcome;
use crate::say;

pub async fn run(global: &Global, args: AmqsgbrArgs) -> Outcome {
    say!("Sample AMQSGBR0 (browse) start");
    let queue = required(&args.queue)?;
    let login = Input::login_alone().await?;
    let name = queue_manager(global, &args.name);
    say!("{name}");
    let mut channel = connected(global, "amqsgbr", "MQCONN", name, login.as_ref()).await?;
    let options = open::BROWSE | open::FAIL_IF_QUIESCING;
    let handle = opened(&mut channel, queue_of_name(&queue), options, "input").await;
    if let Some(handle) = handle {
        browse_all(&mut channel, handle).await;
    }
    end(channel, handle, None).await;
    say!("Sample AMQSGBR0 (browse) end");
    Ok(())
}

async fn browse_all(channel: &mut Channel, handle: i32) {
    let options = get::BROWSE_NEXT | get::ACCEPT_TRUNCATED_MSG | get::FAIL_IF_QUIESCING;
    for number in 1.. {
        let got = match channel.get_up_to(handle, options, 0, BUFFER_BYTES).await {
            Ok(Some(got)) => got,
            Ok(None) => return say!("no more messages"),
            Err(error) => return tell("MQGET", &error),
        };
        if number == 1 {
            say!("Messages for {:48}", got.queue);
        }
        write_text(&number.to_string(), &got);
        match got.reason {
            0 => {}
            reason::TRUNCATED_MSG_ACCEPTED => say!("  --- truncated"),
            other => tell_reason("MQGET", other, sentence_of(&got)),
        }
    }
}
