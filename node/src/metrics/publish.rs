//! Plain counters put on a page under their names.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Page;
use super::catalog::{self, Metric};
use super::page::Label;
use crate::mqi::{QueueActivity, QueueView, StatusView};
use crate::replica::Stats;
use crate::types::definition::{CHANNEL_STATE, Definition, MAXDEPTH, MAXINST, MAXINSTC};
use crate::types::{Account, NodeId, NodeInfo, OutOfSync, Reason, Role, RoleView, Share, Version};

/// What is known of one queue manager on this node when the page is asked for.
#[derive(Debug)]
pub struct QueueManagerFigures<'a> {
    pub name: &'a str,
    pub role: &'a RoleView,
    pub stats: &'a Stats,
    /// None when the queue manager did not answer in time.
    pub status: Option<&'a StatusView>,
    /// Those that have lines of their own ([`super::Choice`]). Empty on a node that does not serve.
    pub queues: &'a [QueueView],
    /// Likewise.
    pub channels: &'a [ChannelLine],
    /// Listeners whose port is open here.
    pub listeners: u64,
    /// Commands on its queue are carried out here.
    pub command_server: bool,
    /// Names of nodes that the status does not know.
    pub nodes: &'a BTreeMap<NodeId, NodeInfo>,
}

/// A channel, and what goes through it.
#[derive(Clone, Debug)]
pub struct ChannelLine {
    pub definition: Definition,
    /// That there are now.
    pub instances: u64,
    /// Since this node began: calls of programs, bytes, and how often the sockets were written and read.
    pub calls: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub buffers_sent: u64,
    pub buffers_received: u64,
    /// None: none came.
    pub since_call: Option<Duration>,
}

/// Counts of the gRPC listener.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListenerFigures {
    pub connections: u64,
    pub connections_refused: u64,
    pub streams: u64,
    pub sessions_refused: u64,
    pub frames_received: u64,
    pub calls_received: u64,
    pub frames_sent: u64,
    pub answers_sent: u64,
    pub body_bytes_received: u64,
    pub body_bytes_sent: u64,
    pub unary_calls: u64,
    pub calls_in_flight: u64,
    pub bytes_in_flight: u64,
    pub violations: u64,
    pub hung_up: u64,
    pub failed: Vec<FailedCalls>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedCalls {
    pub reason: Reason,
    pub count: u64,
}

pub fn publish_queue_manager(page: &mut Page, figures: &QueueManagerFigures<'_>) {
    let labels = [("queue_manager", figures.name)];
    let mq = [("qmgr", figures.name)];
    let stats = figures.stats;

    for role in Role::ALL {
        let is_now = role == figures.role.role();
        page.add(&catalog::ROLE, &[labels[0], ("role", role.as_str())], f64::from(is_now));
    }
    page.add(&catalog::MQ_STATUS, &mq, if figures.role.is_serving() { 2.0 } else { 4.0 });

    let ours: &[(&'static Metric, u64)] = &[
        (&catalog::VERSION, stats.version),
        (&catalog::TERM, stats.term),
        (&catalog::COMMIT_INDEX, stats.commit_index),
        (&catalog::APPLIED_INDEX, stats.applied_index),
        (&catalog::ELECTIONS_WON, stats.elections_won),
        (&catalog::LEADER_CHANGES, stats.leader_changes),
        (&catalog::PUTS, stats.puts),
        (&catalog::PUT_BYTES, stats.put_bytes),
        (&catalog::DUPLICATES, stats.duplicates_suppressed),
        (&catalog::REPACKED, stats.packs_repacked),
        (&catalog::GETS, stats.gets),
        (&catalog::GET_BYTES, stats.get_bytes),
        (&catalog::BROWSES, stats.browses),
        (&catalog::WAITS, stats.waits),
        (&catalog::COMMITS, stats.commits),
        (&catalog::BACKOUTS, stats.backouts),
        (&catalog::EXPIRED, stats.expired),
        (&catalog::REPORTS, stats.reports),
        (&catalog::REPORTS_DROPPED, stats.reports_dropped),
        (&catalog::EVENT_MESSAGES, stats.event_messages),
        (&catalog::EVENT_MESSAGES_DROPPED, stats.event_messages_dropped),
        (&catalog::CALLS_FAILED, stats.calls_failed),
        (&catalog::TURNS, stats.turns),
        (&catalog::TURN_WORK_MAX, stats.turn_work_max),
        (&catalog::EVENTS, stats.events),
        (&catalog::ENTRIES_PROPOSED, stats.entries_proposed),
        (&catalog::COMMANDS_PROPOSED, stats.commands_proposed),
        (&catalog::LOG_BYTES_PROPOSED, stats.log_bytes_proposed),
        (&catalog::ENTRIES_APPLIED, stats.entries_applied),
        (&catalog::SESSIONS, stats.sessions),
        (&catalog::IN_MAINTENANCE, stats.in_maintenance.into()),
        (&catalog::FAIL_BACKS, stats.fail_backs),
    ];
    ours.iter().for_each(|(metric, value)| page.add(metric, &labels, *value as f64));
    // Of a node that does not serve they would be those of the entries that it happens to have.
    if figures.role.is_serving() {
        page.add(&catalog::MESSAGES, &labels, stats.messages as f64);
        page.add(&catalog::NOT_PERSISTENT, &labels, stats.not_persistent as f64);
    }
    if stats.version >= u64::from(Version::RECORDS.0) {
        page.add(&catalog::TAKEOVERS, &labels, stats.takeovers as f64);
    }
    if stats.canary_good_at_ms > 0 {
        page.add(&catalog::CANARY_OUTAGES, &labels, stats.canary_outages as f64);
        page.add(&catalog::CANARY_DOWN, &labels, stats.canary_down_ms as f64 / 1e3);
        page.add(&catalog::CANARY_GOOD_AT, &labels, stats.canary_good_at_ms as f64 / 1e3);
    }
    page.add(&catalog::TURN_CPU_MAX, &labels, stats.turn_cpu_us_max as f64 / 1e6);

    let theirs: &[(&'static Metric, u64)] = &[
        (&catalog::MQ_COMMITS, stats.commits),
        (&catalog::MQ_ROLLBACKS, stats.backouts),
        (&catalog::MQ_PUTS, stats.puts),
        (&catalog::MQ_PUT_BYTES, stats.put_bytes),
        (&catalog::MQ_GETS, stats.gets),
        (&catalog::MQ_GETS_FAILED, stats.gets_failed),
        (&catalog::MQ_PUTS_COUNT, stats.puts),
        (&catalog::MQ_GETS_COUNT, stats.gets),
        (&catalog::MQ_EXPIRED, stats.expired),
        (&catalog::MQ_LSN_QUORUM, stats.commit_index),
        (&catalog::MQ_CONNECTIONS, stats.sessions),
        (&catalog::MQ_LISTENERS, figures.listeners),
        (&catalog::MQ_COMMAND_SERVER, if figures.command_server { 2 } else { 0 }),
    ];
    theirs.iter().for_each(|(metric, value)| page.add(metric, &mq, *value as f64));

    page.add(&catalog::MIND_ANSWERS, &labels, f64::from(figures.status.is_some()));
    if let Some(status) = figures.status {
        publish_status(page, figures, status);
    }
    figures.queues.iter().for_each(|queue| publish_queue(page, figures.name, queue));
    figures.channels.iter().for_each(|channel| publish_channel(page, figures.name, channel));
}

fn publish_status(page: &mut Page, figures: &QueueManagerFigures<'_>, status: &StatusView) {
    let labels = [("queue_manager", figures.name)];
    page.add(&catalog::SERVING_SECONDS, &labels, status.serving_for.as_secs_f64());
    page.add(&catalog::MQ_UPTIME, &[("qmgr", figures.name)], status.serving_for.as_secs() as f64);
    page.add(&catalog::QUORUM_LIVE, &labels, f64::from(status.quorum_live));
    page.add(&catalog::QUORUM_OF, &labels, f64::from(status.quorum_of));
    let differ_ms = status.clocks_differ.as_ref().map_or(0, |differ| differ.by_ms);
    page.add(&catalog::CLOCKS_DIFFER, &labels, differ_ms as f64 / 1000.0);
    page.add(&catalog::PUTS_REFUSED, &labels, f64::from(status.puts_refused.is_some()));
    let shown = figures.queues.len() as u64;
    let not_shown = if figures.role.is_serving() { status.queues.saturating_sub(shown) } else { 0 };
    page.add(&catalog::QUEUES_NOT_SHOWN, &labels, not_shown as f64);
    if figures.role.is_serving() {
        page.add(&catalog::QUEUES, &labels, status.queues as f64);
    }

    for view in &status.instances {
        let info = status.membership.nodes.get(&view.node).or_else(|| figures.nodes.get(&view.node));
        let instance = info.map_or_else(|| view.node.to_string(), |info| info.name.clone());
        let labels = [labels[0], ("instance", instance.as_str())];
        page.add(&catalog::INSTANCE_IN_SYNC, &labels, f64::from(view.out_of_sync.is_none()));
        page.add(&catalog::INSTANCE_BACKLOG_BYTES, &labels, view.backlog_bytes as f64);
        page.add(&catalog::INSTANCE_BACKLOG_ENTRIES, &labels, view.backlog_entries as f64);
        page.add(&catalog::INSTANCE_BACKLOG_SECONDS, &labels, view.backlog.as_secs_f64());
        page.add(&catalog::INSTANCE_CLOCK_OFF, &labels, view.clock_off_ms as f64 / 1000.0);
        let is_another = matches!(
            view.out_of_sync,
            Some(OutOfSync::OtherHistory | OutOfSync::OtherState | OutOfSync::StatesDiffer)
        );
        page.add(&catalog::INSTANCE_ANOTHER, &labels, f64::from(is_another));
        let mq = [("qmgr", figures.name), ("instance", instance.as_str())];
        page.add(&catalog::MQ_BACKLOG, &mq, view.backlog_bytes as f64);
        page.add(&catalog::MQ_NHA_BACKLOG, &mq, view.backlog_bytes as f64);
        if let Some(round_trip) = view.round_trip {
            page.add(&catalog::MQ_ROUND_TRIP, &mq, round_trip.as_secs_f64());
        }
        if let Some(percent) = view.catching_up_percent {
            page.add(&catalog::MQ_CATCH_UP, &mq, percent);
        }
        // A follower knows this of itself only, and not how far the leader's log goes.
        if figures.role.leads() {
            let acknowledged = status.last.1.0.saturating_sub(view.backlog_entries);
            page.add(&catalog::MQ_ACKNOWLEDGED, &mq, acknowledged as f64);
        }
    }
}

fn publish_queue(page: &mut Page, queue_manager: &str, queue: &QueueView) {
    let name = queue.definition.object.name.as_str();
    let lines: [(&'static Metric, Option<&'static Metric>, f64); 7] = [
        (&catalog::QUEUE_DEPTH, Some(&catalog::MQ_QUEUE_DEPTH), queue.depth as f64),
        (
            &catalog::QUEUE_MAX_DEPTH,
            Some(&catalog::MQ_QUEUE_MAX_DEPTH),
            f64::from(queue.definition.number(MAXDEPTH)),
        ),
        (&catalog::QUEUE_UNCOMMITTED, Some(&catalog::MQ_QUEUE_UNCOMMITTED), queue.uncommitted as f64),
        (&catalog::QUEUE_NOT_PERSISTENT, None, queue.not_persistent as f64),
        (&catalog::QUEUE_OLDEST, Some(&catalog::MQ_QUEUE_OLDEST), queue.oldest_age.as_secs_f64()),
        (&catalog::QUEUE_OPEN_INPUT, Some(&catalog::MQ_QUEUE_INPUT), f64::from(queue.open_input)),
        (&catalog::QUEUE_OPEN_OUTPUT, Some(&catalog::MQ_QUEUE_OUTPUT), f64::from(queue.open_output)),
    ];
    for (ours, theirs, value) in lines {
        page.add(ours, &[("queue_manager", queue_manager), ("queue", name)], value);
        if let Some(theirs) = theirs {
            page.add(theirs, &[("qmgr", queue_manager), ("queue", name)], value);
        }
    }
    publish_activity(page, &[("qmgr", queue_manager), ("queue", name)], &queue.activity);
}

fn publish_activity(page: &mut Page, labels: &[Label<'_>], activity: &QueueActivity) {
    page.add(&catalog::MQ_QUEUE_PUTS, labels, activity.puts as f64);
    page.add(&catalog::MQ_QUEUE_GETS, labels, activity.gets as f64);
    let (short, long) = activity.lain.unzip();
    for (metric, seconds) in [
        (&catalog::MQ_QUEUE_SINCE_PUT, activity.since_put.map(|age| age.as_secs_f64())),
        (&catalog::MQ_QUEUE_SINCE_GET, activity.since_get.map(|age| age.as_secs_f64())),
        (&catalog::MQ_QUEUE_TIME_SHORT, short.map(|lain| lain.as_micros() as f64)),
        (&catalog::MQ_QUEUE_TIME_LONG, long.map(|lain| lain.as_micros() as f64)),
    ] {
        // What never happened has no time.
        seconds.into_iter().for_each(|seconds| page.add(metric, labels, seconds));
    }
}

fn publish_channel(page: &mut Page, queue_manager: &str, line: &ChannelLine) {
    /// MQCHS_*.
    const RUNNING: u64 = 3;
    const STOPPED: u64 = 6;
    const INACTIVE: u64 = 0;
    let channel = &line.definition;
    let is_stopped = channel.number(CHANNEL_STATE) == 1;
    let status = match (line.instances, is_stopped) {
        (1.., _) => RUNNING,
        (0, true) => STOPPED,
        (0, false) => INACTIVE,
    };
    let limit = |selector| channel.number(selector).max(0) as u64;
    let labels = [("qmgr", queue_manager), ("channel", channel.object.name.as_str()), ("type", "SVRCONN")];
    for (metric, value) in [
        (&catalog::MQ_CHANNEL_STATUS, status),
        (&catalog::MQ_CHANNEL_SQUASH, if line.instances > 0 { 2 } else { 0 }),
        (&catalog::MQ_CHANNEL_INSTANCES, line.instances),
        (&catalog::MQ_CHANNEL_MAXINST, limit(MAXINST)),
        (&catalog::MQ_CHANNEL_MAXINSTC, limit(MAXINSTC)),
        (&catalog::MQ_CHANNEL_MESSAGES, line.calls),
        (&catalog::MQ_CHANNEL_SENT, line.bytes_sent),
        (&catalog::MQ_CHANNEL_RECEIVED, line.bytes_received),
        (&catalog::MQ_CHANNEL_WRITES, line.buffers_sent),
        (&catalog::MQ_CHANNEL_READS, line.buffers_received),
    ] {
        page.add(metric, &labels, value as f64);
    }
    if let Some(since) = line.since_call {
        page.add(&catalog::MQ_CHANNEL_SINCE, &labels, since.as_secs_f64());
    }
}

/// What clients and peers make the node hold.
pub fn publish_account(page: &mut Page, account: &Account) {
    page.add(&catalog::MEMORY_LIMIT, &[], account.total() as f64);
    page.add(&catalog::PART_BYTES, &[], account.used(Share::Bodies) as f64);
    for figure in account.figures() {
        let labels = [("share", figure.share.name())];
        page.add(&catalog::MEMORY_SHARE_LIMIT, &labels, figure.limit as f64);
        page.add(&catalog::MEMORY_HELD, &labels, figure.used as f64);
        page.add(&catalog::MEMORY_PEAK, &labels, figure.peak as f64);
        page.add(&catalog::MEMORY_REFUSED, &labels, figure.refused as f64);
    }
}

pub fn publish_listener(page: &mut Page, figures: &ListenerFigures) {
    let lines: &[(&'static Metric, u64)] = &[
        (&catalog::CONNECTIONS, figures.connections),
        (&catalog::CONNECTIONS_REFUSED, figures.connections_refused),
        (&catalog::STREAMS, figures.streams),
        (&catalog::SESSIONS_REFUSED, figures.sessions_refused),
        (&catalog::FRAMES_RECEIVED, figures.frames_received),
        (&catalog::CALLS_RECEIVED, figures.calls_received),
        (&catalog::FRAMES_SENT, figures.frames_sent),
        (&catalog::ANSWERS_SENT, figures.answers_sent),
        (&catalog::BODY_BYTES_RECEIVED, figures.body_bytes_received),
        (&catalog::BODY_BYTES_SENT, figures.body_bytes_sent),
        (&catalog::UNARY_CALLS, figures.unary_calls),
        (&catalog::CALLS_IN_FLIGHT, figures.calls_in_flight),
        (&catalog::BYTES_IN_FLIGHT, figures.bytes_in_flight),
        (&catalog::VIOLATIONS, figures.violations),
        (&catalog::HUNG_UP, figures.hung_up),
    ];
    lines.iter().for_each(|(metric, value)| page.add(metric, &[], *value as f64));
    for failed in &figures.failed {
        let number = failed.reason.number().to_string();
        let labels = [("reason", number.as_str()), ("name", failed.reason.name())];
        page.add(&catalog::FAILED_BY_REASON, &labels, failed.count as f64);
    }
}

/// The process and what it is, from `/proc`; what cannot be read is left out.
pub fn publish_process(page: &mut Page, cluster: &str, node: &str, version: &str, uptime: Duration) {
    page.add(&catalog::BUILD_INFO, &[("cluster", cluster), ("node", node), ("version", version)], 1.0);
    page.add(&catalog::UPTIME, &[], uptime.as_secs_f64());
    if let Some((resident_bytes, cpu_seconds)) = process_figures() {
        page.add(&catalog::RESIDENT_BYTES, &[], resident_bytes);
        page.add(&catalog::CPU_SECONDS, &[], cpu_seconds);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        page.add(&catalog::OPEN_FILES, &[], files.count() as f64);
    }
}

fn process_figures() -> Option<(f64, f64)> {
    // SAFETY: sysconf reads a constant of the system.
    let (page_size, ticks) = unsafe { (libc::sysconf(libc::_SC_PAGESIZE), libc::sysconf(libc::_SC_CLK_TCK)) };
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The process' name is in parentheses and may have blanks; the fields behind it are counted from 3 in proc(5).
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    Some((field(24)? * page_size as f64, (field(14)? + field(15)?) / ticks as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqi::InstanceView;
    use crate::types::definition::{Definition, ObjectKind, ObjectRef};
    use crate::types::{Index, Membership, Term, Version};

    #[test]
    fn a_serving_queue_manager_has_our_names_and_the_ones_of_ibm() {
        let stats = Stats { puts: 5, commits: 2, commit_index: 9, ..Stats::default() };
        let role =
            RoleView::Serving { term: Term(3), since: Default::default(), lease_until: Default::default() };
        let nodes = [(NodeId(2), NodeInfo { name: "b".into(), ..NodeInfo::default() })];
        let status = StatusView {
            role: Role::Active,
            leader: Some(NodeId(1)),
            serving_for: Duration::from_secs(60),
            term: Term(3),
            commit: Index(9),
            applied: Index(9),
            quorum_live: 2,
            quorum_of: 3,
            membership: Membership { nodes: nodes.into_iter().collect(), ..Membership::default() },
            instances: vec![InstanceView {
                node: NodeId(2),
                voter: true,
                out_of_sync: Some(OutOfSync::CatchingUp),
                backlog_entries: 4,
                backlog_bytes: 4096,
                backlog: Duration::from_millis(1500),
                clock_off_ms: 0,
                speaks: None,
                in_maintenance: false,
                round_trip: Some(Duration::from_millis(2)),
                catching_up_percent: Some(12.5),
            }],
            queues: 1,
            messages: 7,
            not_persistent: 0,
            sessions: 1,
            dead_letter_queue: None,
            puts_refused: None,
            waits_for: Default::default(),
            last: (Term(3), Index(9)),
            acknowledged: Some(Index(9)),
            version: Version::FIRST,
            run: Default::default(),
            takeovers: 0,
            unserved_for: Duration::ZERO,
            clocks_differ: None,
            preferred: None,
            fail_back: String::new(),
            canary: false,
        };
        let queue = QueueView {
            definition: Definition::new(ObjectRef::new(ObjectKind::LocalQueue, "HA.QUEUE")),
            depth: 7,
            not_persistent: 0,
            uncommitted: 1,
            open_input: 1,
            open_output: 0,
            oldest_age: Duration::from_secs(3),
            activity: QueueActivity {
                puts: 9,
                gets: 2,
                since_put: Some(Duration::from_secs(4)),
                since_get: Some(Duration::from_secs(5)),
                lain: Some((Duration::from_millis(7), Duration::from_millis(8))),
                ..QueueActivity::default()
            },
        };
        let channel = ChannelLine {
            definition: Definition::new(ObjectRef::new(ObjectKind::Channel, "APP.SVRCONN")),
            instances: 2,
            calls: 11,
            bytes_sent: 100,
            bytes_received: 200,
            buffers_sent: 3,
            buffers_received: 4,
            since_call: Some(Duration::from_secs(6)),
        };
        let mut page = Page::default();
        let figures = QueueManagerFigures {
            name: "ha.queue.manager",
            role: &role,
            stats: &stats,
            status: Some(&status),
            queues: &[queue],
            channels: &[channel],
            listeners: 1,
            command_server: true,
            nodes: &BTreeMap::new(),
        };
        publish_queue_manager(&mut page, &figures);
        let text = page.into_text();
        for line in [
            "trimaran_puts_total{queue_manager=\"ha.queue.manager\"} 5",
            "ibmmq_qmgr_commit_total{qmgr=\"ha.queue.manager\"} 2",
            "ibmmq_queue_depth{qmgr=\"ha.queue.manager\",queue=\"HA.QUEUE\"} 7",
            "ibmmq_qmgr_status{qmgr=\"ha.queue.manager\"} 2",
            "trimaran_role{queue_manager=\"ha.queue.manager\",role=\"active\"} 1",
            "trimaran_role{queue_manager=\"ha.queue.manager\",role=\"replica\"} 0",
            "ibmmq_nha_replication_backlog_bytes{qmgr=\"ha.queue.manager\",instance=\"b\"} 4096",
            "trimaran_instance_backlog_seconds{queue_manager=\"ha.queue.manager\",instance=\"b\"} 1.5",
            "ibmmq_nha_acknowledged_log_sequence_number_total{qmgr=\"ha.queue.manager\",instance=\"b\"} 5",
            "ibmmq_nha_catch_up_time_percentage{qmgr=\"ha.queue.manager\",instance=\"b\"} 12.5",
            "ibmmq_nha_average_network_round_trip_time_seconds{qmgr=\"ha.queue.manager\",instance=\"b\"} 0.002",
            "ibmmq_queue_time_since_get{qmgr=\"ha.queue.manager\",queue=\"HA.QUEUE\"} 5",
            "ibmmq_queue_qtime_short{qmgr=\"ha.queue.manager\",queue=\"HA.QUEUE\"} 7000",
            "ibmmq_qmgr_active_listeners{qmgr=\"ha.queue.manager\"} 1",
            "ibmmq_channel_status{qmgr=\"ha.queue.manager\",channel=\"APP.SVRCONN\",type=\"SVRCONN\"} 3",
            "ibmmq_channel_messages{qmgr=\"ha.queue.manager\",channel=\"APP.SVRCONN\",type=\"SVRCONN\"} 11",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        // What a node has that does not serve is as old as its entries.
        let counts = ["trimaran_messages", "trimaran_not_persistent_messages", "trimaran_queues"];
        let told = |text: &str| counts.map(|name| text.contains(&format!("\n{name}{{")));
        assert_eq!(told(&text), [true; 3], "{text}");
        let role = RoleView::NotServing { term: Term(3), leader: None, recovering: false };
        let mut page = Page::default();
        publish_queue_manager(&mut page, &QueueManagerFigures { role: &role, ..figures });
        let text = page.into_text();
        assert_eq!(told(&text), [false; 3], "{text}");
        assert!(text.contains("trimaran_role{"), "that it does not serve is told");
    }

    #[test]
    fn the_process_knows_itself() {
        let mut page = Page::default();
        publish_process(&mut page, "demo", "a", "0.1.0", Duration::from_secs(2));
        let text = page.into_text();
        assert!(text.contains("trimaran_build_info{cluster=\"demo\",node=\"a\",version=\"0.1.0\"} 1"));
        assert!(text.contains("trimaran_resident_memory_bytes "));
    }
}
