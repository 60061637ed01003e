//! `trimaran help`: commands, and what does not belong to one command.

use clap::CommandFactory;

use crate::{
    arguments::{Cli, HelpArgs},
    mqrc,
    output::{self, Failure, Outcome},
    say, tails,
};

const TOPICS: [(&str, &str, &str); 4] = [
    (
        "exit-codes",
        "what the exit codes mean",
        "\
Exit codes

  0  Done. An end that MQ calls a failure and everybody expects is success, too: reason 2033 at the end of `browse`,
     `receive` and `get --all`.
  1  Refused. The reason is on standard error: MQ's completion code, reason code, name, and what to do about it.
     Also: a check was made (`status --check`, `demo --once`) and something is not as it should be.
  2  The command line, or a line of the input, cannot be understood.
  3  No message: `get` found none, or fewer than asked for (reason 2033).
  4  No node that serves the queue manager could be reached in the time of --within (reason 2059 in JSON).
  5  Something on this machine: a file that cannot be read or written, a certificate that has expired or cannot be
     used, a program that cannot be started.

runmqsc, dspmq, crtmqm, dltmqm, strmqm, endmqm, mqrc, setmqaut, dspmqaut, dmpmqaut, dmpmqmsg and the samples (amqsput, …)
have the exit codes of IBM MQ's, but for a command line that cannot be understood: that is 2. Of those of dmpmqmsg and the samples
that are reason codes a shell shows the last eight bits: 234 is 2538.

With --json the error is one JSON object on standard error: exit_code and text, and with the codes 1, 3 and 4 the reason and
its name where the queue manager, or its absence, gave one.",
    ),
    (
        "environment",
        "variables in place of options",
        "\
Environment

  TRIMARAN_CONNECT        --connect, for example 10.0.0.1:7201,10.0.0.2:7201,10.0.0.3:7201
  TRIMARAN_QUEUE_MANAGER  --queue-manager
  TRIMARAN_TLS_CA         --tls-ca
  TRIMARAN_TLS_CERT       --tls-cert
  TRIMARAN_TLS_KEY        --tls-key
  TRIMARAN_TLS_NAME       --tls-name
  TRIMARAN_LOG            what the client library does, for example debug

Of MQ, for amqsput, amqsget, amqsgbr and amqsbcg

  MQSERVER                a channel and where it is: 'APP.SVRCONN/TCP/one(1414),two(1414)'
  MQCCDTURL               a client channel definition table in JSON: file:///etc/ccdt.json, or a path
  MQCHLLIB, MQCHLTAB      directory and name of such a table, where MQCCDTURL is not set
  MQSAMP_USER_ID          the user to connect as; the password is asked for, or the first line of standard input

MQSERVER goes before a table. Without any of them it is SYSTEM.DEF.SVRCONN/TCP/localhost(1414).",
    ),
    (
        "json-lines",
        "messages as JSON",
        "\
Messages as JSON, one object a line

  `get --json-lines` and `browse --json-lines` print it, `put --json-lines` reads it. Only the body is required.

  text             the body, when it is UTF-8
  body_hex         the body in hexadecimal, when it is not
  message_id       hexadecimal, up to 24 bytes; without it the queue manager makes one
  correlation_id   hexadecimal
  group_id         hexadecimal
  priority         0 to 9; a higher one is put as 9, with warning 2049
  persistent       true or false
  expiry_ms        milliseconds until it vanishes
  format           for example MQSTR; empty: MQFMT_NONE. Left out: MQSTR for text, MQFMT_NONE for body_hex
  message_type     1 request, 2 reply, 4 report, 8 datagram
  reply_to_queue, reply_to_queue_manager
  report, feedback, encoding, coded_character_set, message_sequence_number, offset, message_flags, original_length,
  put_application_type: MQ's numbers
  accounting_token (hexadecimal), application_identity_data, application_origin_data
  dead_letter      of a message with an MQDLH: reason, name, queue, queue_manager, time, text; `put` ignores it
  received         of `receive --json`: whether the message was taken; `put` ignores it
  put_time, backout_count, put_application_name, user_identifier are set by the queue manager; `put` ignores them.

Printed are those that differ from MQ's defaults (MQMD_DEFAULT), and always message_id, priority, persistent, put_time
and backout_count, and with text the format, so that what was printed can be put as it was.",
    ),
    (
        "failover",
        "what a program sees when a node dies",
        "\
What a program sees when the node that serves dies

  A put that was answered is safe. One that was not is repeated by the library and stored once.
  A unit of work that was open is backed out: reason 2003. Do it again.
  A commit whose answer was lost is looked into by the library; by hand: `trimaran outcome UNIT`.
  A get outside syncpoint whose answer was lost: reason 2549, nobody can say whether the message was taken. Get under
  syncpoint where that must not happen, as `trimaran get` does.
  Messages that are not persistent are gone. `trimaran status` says how many there are.

  The next node serves 0.3 s after a crash and about 1.6 s after a hang or a cut cable.",
    ),
];

pub fn run(args: HelpArgs) -> Outcome {
    let (mut command, tails) = tails::take(Cli::command());
    let print = |command: &mut clap::Command| {
        let help = command.render_long_help();
        let help = if output::stdout_is_terminal() { help.ansi().to_string() } else { help.to_string() };
        output::write(tails.put_back(&help).as_bytes());
    };
    let Some(first) = args.topic.first() else {
        print(&mut command);
        return Ok(());
    };
    if first == "topics" {
        for (name, about, _) in TOPICS {
            say!("{name:12} {about}");
        }
        say!("{:12} MQ's reason codes by number and name", "reasons");
        return Ok(());
    }
    if let ("reasons", [_, reason]) = (first.as_str(), args.topic.as_slice()) {
        return mqrc::explain(reason);
    }
    if first == "reasons" {
        for (number, name) in trimaran_client::REASONS.iter().filter(|(number, _)| *number != 0) {
            say!("{number}  {name}");
        }
        say!("");
        say!(
            "What to do about one is in the text of the answer that has it. IBM MQ's manuals describe them, too, under"
        );
        say!(
            "\"API completion and reason codes\" (MQRC_ and the name) and, from 3001 on, \"PCF reason codes\" (MQRCCF_)."
        );
        return Ok(());
    }
    if let Some((_, _, text)) = TOPICS.iter().find(|(name, _, _)| name == first) {
        say!("{text}");
        return Ok(());
    }
    command.build();
    let mut found = &mut command;
    for name in &args.topic {
        let known = found.get_subcommands().any(|sub| sub.get_name() == name);
        if !known {
            let text = format!(
                "there is no command and no topic \"{}\"; `trimaran help` lists the commands, `trimaran help topics` \
                 the topics",
                args.topic.join(" ")
            );
            return Err(Failure::Usage(text));
        }
        found = found.find_subcommand_mut(name).expect("seen above");
    }
    print(found);
    Ok(())
}
