//! amqsget: takes messages and prints their texts, until none has come for 15 seconds.

use trimaran_client::channel::{Channel, queue_of_name};
use trimaran_client::proto::mq::constants::{get, open};
use trimaran_client::reason;

use super::input::Input;
use super::{
    BUFFER_BYTES, connected, end, opened, queue_manager, required, sentence_of, tell, tell_reason, write_text,
};
use crate::arguments::{AmqsgetArgs, Global};
use crate::output::Outcome;
use crate::say;

/// How long it waits for one more message, in milliseconds.
const WAIT_MS: i32 = 15_000;

pub async fn run(global: &Global, args: AmqsgetArgs) -> Outcome {
    say!("Sample AMQSGET0 start");
    let queue = required(&args.queue)?;
    let login = Input::login_alone().await?;
    let name = queue_manager(global, &args.name);
    let mut channel = connected(global, "amqsget", "MQCONNX", name, login.as_ref()).await?;
    if let Some(options) = args.open_options {
        say!("open  options are {options}");
    }
    let options = args.open_options.unwrap_or(open::INPUT_AS_Q_DEF | open::FAIL_IF_QUIESCING);
    let handle = opened(&mut channel, queue_of_name(&queue), options, "input").await;
    if let Some(handle) = handle {
        get_all(&mut channel, handle).await;
    }
    end(channel, handle, args.close_options).await;
    say!("Sample AMQSGET0 end");
    Ok(())
}

async fn get_all(channel: &mut Channel, handle: i32) {
    let options = get::WAIT | get::NO_SYNCPOINT | get::CONVERT | get::FAIL_IF_QUIESCING;
    loop {
        match channel.get_up_to(handle, options, WAIT_MS, BUFFER_BYTES).await {
            Ok(Some(got)) => {
                if got.reason != 0 {
                    tell_reason("MQGET", got.reason, sentence_of(&got));
                }
                if got.reason == reason::TRUNCATED_MSG_FAILED {
                    return;
                }
                write_text("message", &got);
            }
            Ok(None) => return say!("no more messages"),
            Err(error) => return tell("MQGET", &error),
        }
    }
}
