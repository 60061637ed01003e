//! The attacks. A new one is a row here; what it does is in [`calls`], [`unfinished`] or [`strangers`].

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use trimaran_proto::queue::v1::{self as wire, call::Call};

use super::attacker::{Attacker, Before, ID, NO_ID, get};
use super::{calls, strangers, unfinished};

pub struct Row {
    pub name: &'static str,
    pub title: &'static str,
    pub before: Before,
    /// Once; it is done again and again.
    pub strike: for<'a> fn(&'a mut Attacker) -> BoxFuture<'a, anyhow::Result<()>>,
    /// Files that each node may have open. Beside other attacks it may have as many as always: they need some as well.
    pub open_files: Option<u64>,
    /// A victim of long messages suffers beside the other one.
    pub long_victim: bool,
}

const PLAIN: Row = Row {
    name: "",
    title: "",
    before: Before::Nothing,
    strike: |_| Box::pin(std::future::ready(Ok(()))),
    open_files: None,
    long_victim: false,
};

pub static ROWS: [Row; 22] = [
    Row {
        name: "gets-by-correlation",
        title: "5,000 gets by one correlation id in one frame, under syncpoint, and back out",
        before: Before::Messages { count: 5_000, expire_ms: None },
        strike: |attacker| Box::pin(calls::units_of_gets(attacker, 5_000)),
        ..PLAIN
    },
    Row {
        name: "gets-past-expired",
        title: "2,000 gets over 98,000 messages that have expired",
        before: Before::Messages { count: 98_000, expire_ms: Some(100) },
        strike: |attacker| {
            let calls = (0..2_000).map(|_| Call::Get(get())).collect();
            Box::pin(attacker.frame(calls))
        },
        ..PLAIN
    },
    Row {
        name: "gets-by-group",
        title: "9,000 gets by a group id that none of 98,000 messages has",
        before: Before::Messages { count: 98_000, expire_ms: None },
        strike: |attacker| {
            Box::pin(attacker.frame((0..9_000).map(|_| calls::by_group(Bytes::from_static(NO_ID))).collect()))
        },
        ..PLAIN
    },
    Row {
        name: "gets-by-two-ids",
        title: "500 gets by an id that all of 98,000 messages have and another that none has",
        before: Before::Messages { count: 98_000, expire_ms: None },
        strike: |attacker| {
            let both = || {
                let (correlation_id, group_id) = (Bytes::from_static(ID), Bytes::from_static(NO_ID));
                Call::Get(wire::Get { correlation_id, group_id, ..get() })
            };
            Box::pin(attacker.frame((0..500).map(|_| both()).collect()))
        },
        ..PLAIN
    },
    Row {
        name: "browse-by-correlation",
        title: "a browse of 20,000 messages by their correlation id",
        before: Before::Messages { count: 20_000, expire_ms: None },
        strike: |attacker| Box::pin(calls::browse(attacker)),
        ..PLAIN
    },
    Row {
        name: "browses",
        title: "9,000 browses of the first message in one frame",
        before: Before::Messages { count: 98_000, expire_ms: None },
        strike: |attacker| {
            let first = || Call::Get(wire::Get { browse: wire::Browse::First.into(), ..get() });
            Box::pin(attacker.frame((0..9_000).map(|_| first()).collect()))
        },
        ..PLAIN
    },
    Row {
        name: "listings",
        title: "listings of 30,000 queues",
        before: Before::Queues { count: 30_000 },
        strike: |attacker| {
            Box::pin(async move {
                attacker.connection.admin().show_queues("").await?;
                Ok(())
            })
        },
        ..PLAIN
    },
    Row {
        name: "puts-of-100m",
        title: "unary puts of 100 MiB",
        before: Before::Nothing,
        strike: |attacker| Box::pin(calls::put_once(attacker, 100 << 20)),
        ..PLAIN
    },
    Row {
        name: "back-outs",
        title: "units of 10,000 gets that are backed out, on 98,000 messages",
        before: Before::Messages { count: 98_000, expire_ms: None },
        strike: |attacker| Box::pin(calls::units_of_plain_gets(attacker, 9_990)),
        ..PLAIN
    },
    Row {
        name: "nightly-jobs",
        title: "100 jobs that put 10,000 messages each, by names of their own, and get them again",
        strike: |attacker| Box::pin(calls::nightly_jobs(attacker, 100, 10_000)),
        ..PLAIN
    },
    Row {
        name: "unread-browses",
        title: "9,900 browses of 1 MB in one frame; nothing is read",
        before: Before::LongMessage { bytes: 1_000_000 },
        strike: |attacker| Box::pin(unfinished::browse_and_not_read(attacker, 9_900)),
        ..PLAIN
    },
    Row {
        name: "waits-that-end-together",
        title: "60 sessions with 9,990 gets each that wait and end at the same moment",
        strike: |attacker| {
            Box::pin(unfinished::wait_in_many(attacker, 60, 9_990, Some(Duration::from_secs(5))))
        },
        ..PLAIN
    },
    Row {
        name: "waits-for-ever",
        title: "100 sessions with 9,990 gets each that wait for ever",
        strike: |attacker| Box::pin(unfinished::wait_in_many(attacker, 100, 9_990, None)),
        long_victim: true,
        ..PLAIN
    },
    Row {
        name: "open-units",
        title: "20 sessions with open units of 120 MB",
        strike: |attacker| Box::pin(unfinished::open_units(attacker, 20, 120)),
        long_victim: true,
        ..PLAIN
    },
    Row {
        name: "units-not-persistent",
        title: "20 sessions with open units of 120 MB that are not persistent, and as many outside of units",
        strike: |attacker| Box::pin(unfinished::put_not_persistent(attacker, 20, 120)),
        long_victim: true,
        ..PLAIN
    },
    Row {
        name: "half-sent-puts",
        title: "unary puts of 100 MiB on 16 connections, of which the last MiB does not come",
        strike: |attacker| Box::pin(unfinished::half_sent_puts(attacker, 16)),
        long_victim: true,
        ..PLAIN
    },
    Row {
        name: "half-sent-frames",
        title: "frames of sessions on 4 connections with 100 streams each, of which the last bytes do not come",
        strike: |attacker| Box::pin(unfinished::half_sent_frames(attacker, 4, 100)),
        long_victim: true,
        ..PLAIN
    },
    Row {
        name: "stopped-bodies",
        title: "six sessions begin bodies of 90 MiB and stop, four unary puts trickle a byte every 10 s",
        strike: |attacker| Box::pin(unfinished::stopped_bodies(attacker, 6, 4)),
        long_victim: true,
        ..PLAIN
    },
    Row {
        name: "idle-connections",
        title: "1,100 idle connections to each port of each node, which may open 1,024 files",
        strike: |attacker| Box::pin(strangers::say_nothing(attacker, 1_100)),
        open_files: Some(1024),
        ..PLAIN
    },
    Row {
        name: "unread-metrics",
        title: "64 connections to each node ask for /metrics 50 times and do not read",
        strike: |attacker| Box::pin(strangers::ask_for_metrics_and_not_read(attacker, 64, 50)),
        ..PLAIN
    },
    Row {
        name: "unfinished-snapshots",
        title: "20 connections to each peer port with snapshot frames of 16 MiB that do not come to their end",
        strike: |attacker| Box::pin(strangers::unfinished_snapshots(attacker, 20)),
        ..PLAIN
    },
    Row {
        name: "floods",
        title: "8 connections send HTTP/2 pings as fast as they can",
        strike: |attacker| Box::pin(strangers::flood_of_pings(attacker, 8)),
        ..PLAIN
    },
];
