//! amqsput: each line of standard input is a message; an empty one ends it.

use trimaran_client::channel::{Channel, datagram, queue_of_name};
use trimaran_client::proto::mq::Text;
use trimaran_client::proto::mq::constants::{open, put};
use trimaran_client::proto::mq::message::Md;

use super::input::Input;
use super::{connected, cut, end, opened, queue_manager, required, tell};
use crate::arguments::{AmqsputArgs, Global};
use crate::output::Outcome;
use crate::say;

pub async fn run(global: &Global, args: AmqsputArgs) -> Outcome {
    say!("Sample AMQSPUT0 start");
    let queue = required(&args.queue)?;
    let mut input = Input::open();
    let login = input.login().await?;
    let name = queue_manager(global, &args.name);
    let mut channel = connected(global, "amqsput", "MQCONNX", name, login.as_ref()).await?;
    let handle = open_queue(&mut channel, &args, &queue).await;
    if let Some(handle) = handle {
        put_lines(&mut channel, handle, &mut input).await?;
    }
    end(channel, handle, args.close_options).await;
    say!("Sample AMQSPUT0 end");
    Ok(())
}

async fn open_queue(channel: &mut Channel, args: &AmqsputArgs, queue: &str) -> Option<i32> {
    say!("target queue is {queue}");
    let mut object = queue_of_name(queue);
    if let Some(name) = &args.target_queue_manager {
        object.object_queue_manager = Text::new(name);
        say!("target queue manager is {}", cut(name));
    }
    if let Some(name) = &args.dynamic_queue {
        object.dynamic_queue = Text::new(name);
        say!("dynamic queue name is {}", cut(name));
    }
    if let Some(options) = args.open_options {
        say!("open  options are {options}");
    }
    let options = args.open_options.unwrap_or(open::OUTPUT | open::FAIL_IF_QUIESCING);
    opened(channel, object, options, "output").await
}

/// Until the input ends, a line is empty, or a put fails.
async fn put_lines(channel: &mut Channel, handle: i32, input: &mut Input) -> Outcome {
    while let Some(line) = input.line().await? {
        let md = Md { format: Text::new("MQSTR"), ..datagram() };
        if let Err(error) = channel.put(handle, md, line, put::NO_SYNCPOINT | put::FAIL_IF_QUIESCING).await {
            tell("MQPUT", &error);
            break;
        }
    }
    Ok(())
}
