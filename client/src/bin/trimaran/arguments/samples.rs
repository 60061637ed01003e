//! The samples of MQ with their positional arguments. The queue may be missing: they say so in their own words.

use clap::Args;

/// What is said of all of them.
macro_rules! with_variables {
    ($text:literal) => {
        concat!(
            $text,
            "

It is a client, and connects as MQ's clients do, not as --connect says:
  export MQSERVER='APP.SVRCONN/TCP/one(1414),two(1414)'      a channel and its addresses
  export MQCCDTURL=file:///etc/ccdt.json                     or a table of channels in JSON (or MQCHLLIB and MQCHLTAB)
  export MQSAMP_USER_ID=app                                  asks for the password, or reads it from standard input
Without them it is SYSTEM.DEF.SVRCONN/TCP/localhost(1414). An entry with a CipherSpec is connected to over TLS, with --tls-ca and its
like (or TRIMARAN_TLS_CA ...); without TLS a password goes to loopback addresses only.
Standard output has MQ's lines, standard error what is wrong and what to do."
        )
    };
}

#[derive(Debug, Args)]
#[command(after_help = with_variables!("\
Examples:
  trimaran amqsput HA.QUEUE                    type one message a line; an empty line ends it
  printf 'one\\ntwo\\n' | trimaran amqsput HA.QUEUE ha.queue.manager
  ln -s $(which trimaran) /usr/local/bin/amqsput; amqsput HA.QUEUE

Messages are persistent as DEFPSIST of the queue says. Exit code: 0, or the reason why it is not connected, or 99 without a queue."))]
pub struct AmqsputArgs {
    /// The queue
    pub queue: Option<String>,
    /// Queue manager; not needed when the address has only one
    #[arg(value_name = "QMGR")]
    pub name: Option<String>,
    /// Options of MQOPEN as a number [default: 8208]
    pub open_options: Option<u32>,
    /// Options of MQCLOSE as a number [default: 0]
    pub close_options: Option<u32>,
    /// Queue manager of the queue
    #[arg(value_name = "TARGET_QMGR")]
    pub target_queue_manager: Option<String>,
    /// Name for a dynamic queue, where the queue is a model
    pub dynamic_queue: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = with_variables!("\
Examples:
  trimaran amqsget HA.QUEUE
  trimaran amqsget HA.QUEUE ha.queue.manager

It ends when no message has come for 15 s, or at one of more than 65535 bytes (2080), which stays; `trimaran get` takes any.
Exit code: 0, or the reason why it is not connected, or 99 without a queue."))]
pub struct AmqsgetArgs {
    /// The queue
    pub queue: Option<String>,
    /// Queue manager; not needed when the address has only one
    #[arg(value_name = "QMGR")]
    pub name: Option<String>,
    /// Options of MQOPEN as a number [default: 8193]
    pub open_options: Option<u32>,
    /// Options of MQCLOSE as a number [default: 0]
    pub close_options: Option<u32>,
}

#[derive(Debug, Args)]
#[command(after_help = with_variables!("\
Examples:
  trimaran amqsgbr HA.QUEUE
  trimaran amqsgbr HA.QUEUE ha.queue.manager

Of a message it shows 65535 bytes. Exit code: 0, or the reason why it is not connected, or 99 without a queue."))]
pub struct AmqsgbrArgs {
    /// The queue
    pub queue: Option<String>,
    /// Queue manager; not needed when the address has only one
    #[arg(value_name = "QMGR")]
    pub name: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = with_variables!("\
Examples:
  trimaran amqsbcg HA.QUEUE
  trimaran amqsbcg HA.QUEUE ha.queue.manager | less

Exit code: 0, 2 when a call failed, 4 without a queue."))]
pub struct AmqsbcgArgs {
    /// The queue
    pub queue: Option<String>,
    /// Queue manager; not needed when the address has only one
    #[arg(value_name = "QMGR")]
    pub name: Option<String>,
    /// What the get asks for message properties: 0 as the queue says, 2 none, 3 an MQRFH2, 4 as before MQ 7; 1, a handle, is 2298
    #[arg(value_name = "PROPERTIES", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=4))]
    pub properties: u8,
}
