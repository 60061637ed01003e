//! Every metric once: its name (the unit is in it), its kind, its help.
//!
//! `trimaran_*` are ours. `ibmmq_*` are the names that dashboards for IBM MQ ask for, given where we know the same
//! fact. Renaming one breaks somebody's alarm: add, do not rename.

#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

macro_rules! metrics {
    ($($constant:ident $kind:ident $name:literal $help:literal)*) => {
        $(pub static $constant: Metric = Metric { name: $name, kind: Kind::$kind, help: $help };)*
        /// The whole catalog, in the order it is written.
        pub static ALL: &[&Metric] = &[$(&$constant),*];
    };
}

metrics! {
    // The node.
    BUILD_INFO          Gauge   "trimaran_build_info" "Always 1; the labels say cluster, node and version."
    UPTIME              Gauge   "trimaran_uptime_seconds" "Seconds since this process started."
    RESIDENT_BYTES      Gauge   "trimaran_resident_memory_bytes" "Memory of this process."
    CPU_SECONDS         Counter "trimaran_cpu_seconds_total" "Processor time of this process, user and system."
    OPEN_FILES          Gauge   "trimaran_open_files" "File descriptors this process has open."
    WARNINGS            Gauge   "trimaran_warnings" "Standing warnings of this node; status says which."
    CERTIFICATE_NOT_AFTER Gauge "trimaran_certificate_not_after_seconds" "When the certificate in use ends, in seconds since 1970: this node's own (node), which clients and peers see, and of the authority's the one that ends first (authority). Without TLS there is none."
    ADDRESS_HELD        Gauge   "trimaran_address_held" "1 while the floating address is on this node; with mode dry-run it never is."
    ADDRESS_TAKEN       Counter "trimaran_address_taken_total" "How often the floating address came to this node."
    ADDRESS_CONFLICTS   Counter "trimaran_address_conflicts_total" "How often another machine claimed the floating address while it was here."
    ADDRESS_TICKLED     Counter "trimaran_address_tickled_total" "Connections of clients that were told that a floating address of the queue manager came to this node, all its addresses together."
    MIND_ANSWERS        Gauge   "trimaran_queue_manager_answers" "1 when the queue manager answered in time for this page; 0 means that depths and instances are missing here."

    // A queue manager on this node: its part in the cluster.
    ROLE                Gauge   "trimaran_role" "1 for the role this node has now: active, starting, no-quorum, handing-over, replica, recovering, no-leader or removed."
    SERVING_SECONDS     Gauge   "trimaran_serving_seconds" "Seconds since this node began to serve the queue manager; 0 when it does not."
    VERSION             Gauge   "trimaran_version" "What log, store and frames of the queue manager are written in; raised by trimaran cluster upgrade."
    TAKEOVERS           Counter "trimaran_takeovers_total" "Times another node than before began to serve, as the queue manager itself counts them; there is no line while its version is below 3, in which it does not count."
    IN_MAINTENANCE      Gauge   "trimaran_in_maintenance" "1 while this node is in maintenance (trimaran node drain), so that it leads only where no other node could."
    FAIL_BACKS          Counter "trimaran_fail_backs_total" "Moves to the preferred node of the queue manager that this node, serving it, began."
    CANARY_OUTAGES      Counter "trimaran_canary_outages_total" "Times that no canary of any node got a message through the queue manager for more than two seconds, as the queue manager itself counts them; there is no line before the first canary got through."
    CANARY_DOWN         Counter "trimaran_canary_down_seconds_total" "For how long no canary of any node got a message through, in all: each time from the last good round to the next one."
    CANARY_GOOD_AT      Gauge   "trimaran_canary_good_timestamp_seconds" "When a canary of any node got a message through last, in seconds since 1970."
    CANARY_ROUNDS       Counter "trimaran_canary_rounds_total" "Tries of this node's canary to put and get a message through the queue manager as clients do, by how they ended: good or failed."
    CANARY_ROUND        Gauge   "trimaran_canary_round_seconds" "What the last good round of this node's canary took, a new connection included where it needed one."
    TERM                Gauge   "trimaran_term" "Term of Raft in which the queue manager is: it grows with every election."
    COMMIT_INDEX        Gauge   "trimaran_commit_index" "Position in the queue manager's log up to which a majority of nodes has it on disk."
    APPLIED_INDEX       Gauge   "trimaran_applied_index" "Position in the queue manager's log up to which this node has applied it."
    ELECTIONS_WON       Counter "trimaran_elections_won_total" "Elections this node has won."
    LEADER_CHANGES      Counter "trimaran_leader_changes_total" "Times this node learned of a leader other than the one before."
    QUORUM_LIVE         Gauge   "trimaran_quorum_live" "Nodes with a vote in the queue manager that answered within the last election timeout; known where it is served."
    QUORUM_OF           Gauge   "trimaran_quorum_of" "Nodes with a vote in the queue manager."
    INSTANCE_IN_SYNC    Gauge   "trimaran_instance_in_sync" "1 when the instance could take over without losing anything."
    INSTANCE_BACKLOG_BYTES   Gauge "trimaran_instance_backlog_bytes" "Bytes of log that the instance has not acknowledged."
    INSTANCE_BACKLOG_ENTRIES Gauge "trimaran_instance_backlog_entries" "Log entries that the instance has not acknowledged."
    INSTANCE_BACKLOG_SECONDS Gauge "trimaran_instance_backlog_seconds" "Seconds since the instance last had everything."

    INSTANCE_CLOCK_OFF  Gauge   "trimaran_instance_clock_off_seconds" "By how much the instance's wall clock is ahead of (below 0: behind) what a majority says; 0 below 2 s, and where no majority agrees."
    CLOCKS_DIFFER       Gauge   "trimaran_clocks_differ_seconds" "How far the known clocks are apart where no majority of them agrees, so that nobody knows which is wrong; else 0."
    INSTANCE_ANOTHER    Gauge   "trimaran_instance_another_copy" "1 when the instance has another history, or another state, than the active one: the error log says which is right, where that is known, and what to do."

    // A queue manager's work on this node.
    PUTS                Counter "trimaran_puts_total" "Messages put."
    PUT_BYTES           Counter "trimaran_put_bytes_total" "Bytes of bodies put."
    DUPLICATES          Counter "trimaran_duplicates_suppressed_total" "Repeated puts that were answered with the original and not stored again."
    REPACKED            Counter "trimaran_packs_repacked_total" "Packs of messages in the store that were mostly gone and were written anew."
    GETS                Counter "trimaran_gets_total" "Messages got."
    GET_BYTES           Counter "trimaran_get_bytes_total" "Bytes of bodies got or browsed."
    BROWSES             Counter "trimaran_browses_total" "Messages browsed."
    WAITS               Counter "trimaran_get_waits_total" "Gets that had to wait for a message."
    COMMITS             Counter "trimaran_commits_total" "Units of work committed."
    BACKOUTS            Counter "trimaran_backouts_total" "Units of work backed out."
    EXPIRED             Counter "trimaran_expired_messages_total" "Messages whose expiry passed before anybody got them."
    REPORTS             Counter "trimaran_reports_total" "Reports of the queue manager that messages asked for (arrival, delivery, expiration, exception)."
    REPORTS_DROPPED     Counter "trimaran_reports_dropped_total" "Reports that neither the reply-to queue nor the dead-letter queue took, or that were to be discarded: whoever asked for them is not told."
    EVENT_MESSAGES      Counter "trimaran_event_messages_total" "Event messages (PERFMEV, CONFIGEV, CMDEV) that were put on their SYSTEM.ADMIN queues."
    EVENT_MESSAGES_DROPPED Counter "trimaran_event_messages_dropped_total" "Event messages that had no place there: the queue is full, is not there, or takes no messages."
    CALLS_FAILED        Counter "trimaran_calls_failed_total" "Calls answered with completion code 2."
    TURNS               Counter "trimaran_turns_total" "Turns of the queue manager's task."
    TURN_WORK_MAX       Gauge   "trimaran_turn_work_max" "The most work that a turn did since this process began, in looks at a message (about 50 ns each). No client can make it more than a few hundred thousand."
    TURN_CPU_MAX        Gauge   "trimaran_turn_cpu_seconds_max" "The most processor time that a turn took since this process began: what others waited for one client, at most."
    EVENTS              Counter "trimaran_events_total" "Events that the queue manager's task has handled; divided by trimaran_turns_total: how much one turn does."
    ENTRIES_PROPOSED    Counter "trimaran_entries_proposed_total" "Log entries this node proposed."
    COMMANDS_PROPOSED   Counter "trimaran_commands_proposed_total" "Commands in log entries this node proposed; divided by trimaran_entries_proposed_total: the batch size."
    LOG_BYTES_PROPOSED  Counter "trimaran_log_bytes_proposed_total" "Bytes of log entries this node proposed."
    ENTRIES_APPLIED     Counter "trimaran_entries_applied_total" "Log entries applied."
    MESSAGES            Gauge   "trimaran_messages" "Messages on all queues; of the node that serves."
    NOT_PERSISTENT      Gauge   "trimaran_not_persistent_messages" "Messages that a failover would lose; of the node that serves."
    SESSIONS            Gauge   "trimaran_sessions" "Sessions connected."
    QUEUES              Gauge   "trimaran_queues" "Queues defined; of the node that serves."
    PUTS_REFUSED        Gauge   "trimaran_puts_refused" "1 while this node serves and refuses puts, for example because a disk is full; status says why."

    // Queues, on the node that serves.
    QUEUE_DEPTH         Gauge   "trimaran_queue_depth" "Messages on the queue."
    QUEUE_MAX_DEPTH     Gauge   "trimaran_queue_max_depth" "MAXDEPTH of the queue."
    QUEUE_UNCOMMITTED   Gauge   "trimaran_queue_uncommitted_messages" "Messages of the queue in units of work."
    QUEUE_NOT_PERSISTENT Gauge  "trimaran_queue_not_persistent_messages" "Messages of the queue that a failover would lose."
    QUEUE_OLDEST        Gauge   "trimaran_queue_oldest_message_seconds" "Age of the oldest message of the queue."
    QUEUE_OPEN_INPUT    Gauge   "trimaran_queue_open_input" "Handles that have the queue open for input."
    QUEUE_OPEN_OUTPUT   Gauge   "trimaran_queue_open_output" "Handles that have the queue open for output."
    QUEUES_NOT_SHOWN    Gauge   "trimaran_queues_not_shown" "Queues without lines of their own on this page: there are too many, or [metrics] queues leaves them out."

    // The gRPC listener.
    CONNECTIONS         Gauge   "trimaran_connections" "Connections of clients."
    CONNECTIONS_REFUSED Counter "trimaran_connections_refused_total" "Connections closed because there were too many."
    STREAMS             Gauge   "trimaran_session_streams" "Session streams of clients, connected to a queue manager or not yet."
    SESSIONS_REFUSED    Counter "trimaran_sessions_refused_total" "Sessions refused because there were too many."
    FRAMES_RECEIVED     Counter "trimaran_frames_received_total" "Frames of sessions received."
    CALLS_RECEIVED      Counter "trimaran_calls_received_total" "Calls of sessions received; divided by trimaran_frames_received_total: how clients batch."
    FRAMES_SENT         Counter "trimaran_frames_sent_total" "Frames of answers sent."
    ANSWERS_SENT        Counter "trimaran_answers_sent_total" "Answers in the frames sent to sessions."
    BODY_BYTES_RECEIVED Counter "trimaran_body_bytes_received_total" "Bytes of bodies received from clients."
    BODY_BYTES_SENT     Counter "trimaran_body_bytes_sent_total" "Bytes of bodies sent to clients."
    UNARY_CALLS         Counter "trimaran_unary_calls_total" "Calls outside of sessions, administration included."
    FAILED_BY_REASON    Counter "trimaran_answers_failed_total" "Answers with completion code 2, by reason."
    CALLS_IN_FLIGHT     Gauge   "trimaran_calls_in_flight" "Calls of sessions that are not answered yet."
    BYTES_IN_FLIGHT     Gauge   "trimaran_in_flight_bytes" "Bytes that calls which are not answered yet hold of their sessions' budgets."
    PART_BYTES          Gauge   "trimaran_body_part_bytes" "Bytes of long bodies on their way in, or whose put is not answered."
    HUNG_UP             Counter "trimaran_clients_hung_up_total" "Connections closed by this node: the client did not take what waited for it, never finished what it began, or sent more control frames than any program needs."
    MEMORY_LIMIT        Gauge   "trimaran_memory_limit_bytes" "Memory that clients and peers may make this node hold (limits.memory_bytes)."
    MEMORY_SHARE_LIMIT  Gauge   "trimaran_memory_share_limit_bytes" "What may be held for the purpose in the label: a part of limits.memory_bytes, or, of definitions, as much as a quarter of it besides."
    MEMORY_HELD         Gauge   "trimaran_memory_held_bytes" "Memory that is held for the purpose in the label now."
    MEMORY_PEAK         Gauge   "trimaran_memory_peak_bytes" "The most memory that was held for the purpose in the label since the node began."
    MEMORY_REFUSED      Counter "trimaran_memory_refused_total" "Times that something did not fit into the share of the purpose in the label: it waited, was refused with 2102, or cost its connection."
    VIOLATIONS          Counter "trimaran_protocol_violations_total" "Sessions ended because the client broke the protocol."

    // The log, the message store and the disks.
    LOG_SYNC_SECONDS    Histogram "trimaran_log_sync_seconds" "Seconds that one write of the log takes, its sync included."
    LOG_WRITES          Counter "trimaran_log_writes_total" "Writes of the log thread; one covers all queue managers that had something."
    LOG_ENTRIES         Counter "trimaran_log_entries_written_total" "Log entries written; divided by trimaran_log_writes_total: how commits group."
    LOG_BYTES           Counter "trimaran_log_written_bytes_total" "Bytes of entries written to the log."
    LOG_DISK_BYTES      Gauge   "trimaran_log_disk_bytes" "Bytes the log's files take on disk, those that wait to be used again included."
    STORE_BATCHES       Counter "trimaran_store_batches_total" "Batches written to the message store; one moves a queue manager's rows over a window of log."
    STORE_BYTES         Counter "trimaran_store_written_bytes_total" "Bytes of rows written to the message store; less than what was put, because what is consumed soon is never written."
    STORE_UNFLUSHED     Gauge   "trimaran_store_unflushed_bytes" "Bytes of rows of the message store that are not on disk yet; the log is kept for them."
    STORE_DISK_BYTES    Gauge   "trimaran_store_disk_bytes" "Bytes the message store has on disk."
    DISK_FREE           Gauge   "trimaran_disk_free_bytes" "Room left where the directory is."
    DISK_TOTAL          Gauge   "trimaran_disk_size_bytes" "Size of the file system the directory is on."

    // Other nodes.
    PEER_CONNECTED      Gauge   "trimaran_peer_connected" "1 while the connection to the node is up."
    PEER_SENT           Counter "trimaran_peer_sent_messages_total" "Messages sent to the node."
    PEER_SENT_BYTES     Counter "trimaran_peer_sent_bytes_total" "Bytes sent to the node."
    PEER_RECEIVED       Counter "trimaran_peer_received_messages_total" "Messages received from the node."
    PEER_RECEIVED_BYTES Counter "trimaran_peer_received_bytes_total" "Bytes received from the node."
    PEER_DROPPED        Counter "trimaran_peer_dropped_messages_total" "Messages for the node that did not fit into its queue; Raft repeats them."
    PEER_CONNECTS       Counter "trimaran_peer_connects_total" "Times the stream to the node was made."

    // IBM's names.
    MQ_COMMITS          Counter "ibmmq_qmgr_commit_total" "Units of work committed. IBM MQ's name of trimaran_commits_total."
    MQ_ROLLBACKS        Counter "ibmmq_qmgr_rollback_total" "Units of work backed out. IBM MQ's name of trimaran_backouts_total."
    MQ_PUTS             Counter "ibmmq_qmgr_mqput_mqput1_total" "Messages put. IBM MQ's name of trimaran_puts_total."
    MQ_PUT_BYTES        Counter "ibmmq_qmgr_mqput_bytes_total" "Bytes of bodies put. IBM MQ's name of trimaran_put_bytes_total."
    MQ_GETS             Counter "ibmmq_qmgr_destructive_get_total" "Messages got. IBM MQ's name of trimaran_gets_total."
    MQ_GETS_FAILED      Counter "ibmmq_qmgr_failed_mqget_total" "Gets that found no message, or were not given the one that they found (2016, 2033, 2034, 2036, 2037, 2080)."
    MQ_PUTS_COUNT       Gauge   "ibmmq_qmgr_interval_mqput_mqput1_total_count" "Messages put since this process began, so that rate() says how many in an interval."
    MQ_GETS_COUNT       Gauge   "ibmmq_qmgr_interval_destructive_get_total_count" "Messages got since this process began, so that rate() says how many in an interval."
    MQ_EXPIRED          Counter "ibmmq_qmgr_expired_message_total" "Messages whose expiry passed before anybody got them. IBM MQ's name of trimaran_expired_messages_total."
    MQ_LSN_QUORUM       Counter "ibmmq_qmgr_log_sequence_number_quorum_total" "Position in the queue manager's log up to which a majority of nodes has it on disk. IBM MQ's name of trimaran_commit_index."
    MQ_STATUS           Gauge   "ibmmq_qmgr_status" "2 while this node serves the queue manager, 4 (standby) while it does not."
    MQ_UPTIME           Gauge   "ibmmq_qmgr_uptime" "Seconds since this node began to serve the queue manager."
    MQ_CONNECTIONS      Gauge   "ibmmq_qmgr_connection_count" "Sessions connected. IBM MQ's name of trimaran_sessions."
    MQ_LISTENERS        Gauge   "ibmmq_qmgr_active_listeners" "Listeners (LISTENER objects) of the queue manager whose port is open on this node."
    MQ_COMMAND_SERVER   Gauge   "ibmmq_qmgr_command_server_status" "2 while commands on SYSTEM.ADMIN.COMMAND.QUEUE are carried out by this node, else 0."
    MQ_MAX_CHANNELS     Gauge   "ibmmq_qmgr_max_channels" "Connections of clients that this node takes, over all protocols and queue managers (limits.connections)."
    MQ_MAX_ACTIVE       Gauge   "ibmmq_qmgr_max_active_channels" "Connections of clients that this node takes, over all protocols and queue managers (limits.connections)."
    MQ_LOG_LATENCY      Gauge   "ibmmq_qmgr_log_write_latency_seconds" "Seconds that a write of this node's log takes, its sync included, averaged over the last few; there is no line before the first."
    MQ_LOG_SPACE        Gauge   "ibmmq_qmgr_log_primary_space_in_use_percentage" "Of the room that this node's log has, the share that it takes: of its own files and what is free beside them."
    MQ_LOG_FILES        Gauge   "ibmmq_qmgr_log_file_system_in_use_bytes" "Bytes in use on the file system of the log directory."
    MQ_DATA_FILES       Gauge   "ibmmq_qmgr_queue_manager_file_system_in_use_bytes" "Bytes in use on the file system of the data directory."
    MQ_QUEUE_DEPTH      Gauge   "ibmmq_queue_depth" "Messages on the queue. IBM MQ's name of trimaran_queue_depth."
    MQ_QUEUE_MAX_DEPTH  Gauge   "ibmmq_queue_attribute_max_depth" "MAXDEPTH of the queue. IBM MQ's name of trimaran_queue_max_depth."
    MQ_QUEUE_OLDEST     Gauge   "ibmmq_queue_oldest_message_age" "Seconds since the oldest message of the queue was put. IBM MQ's name of trimaran_queue_oldest_message_seconds."
    MQ_QUEUE_UNCOMMITTED Gauge  "ibmmq_queue_uncommitted_messages" "Messages of the queue in units of work. IBM MQ's name of trimaran_queue_uncommitted_messages."
    MQ_QUEUE_INPUT      Gauge   "ibmmq_queue_input_handles" "Handles that have the queue open for input. IBM MQ's name of trimaran_queue_open_input."
    MQ_QUEUE_OUTPUT     Gauge   "ibmmq_queue_output_handles" "Handles that have the queue open for output. IBM MQ's name of trimaran_queue_open_output."
    MQ_QUEUE_PUTS       Gauge   "ibmmq_queue_mqput_mqput1_count" "Messages put to the queue since this node began to serve it."
    MQ_QUEUE_GETS       Gauge   "ibmmq_queue_mqget_count" "Messages got from the queue since this node began to serve it."
    MQ_QUEUE_SINCE_PUT  Gauge   "ibmmq_queue_time_since_put" "Seconds since a message was put to the queue; there is no line before the first that this node, serving it, takes."
    MQ_QUEUE_SINCE_GET  Gauge   "ibmmq_queue_time_since_get" "Seconds since a message was got from the queue; there is no line before the first that this node, serving it, gives."
    MQ_QUEUE_TIME_SHORT Gauge   "ibmmq_queue_qtime_short" "Microseconds that messages which were got had been on the queue, averaged over the last few (QTIME), to the millisecond of each."
    MQ_QUEUE_TIME_LONG  Gauge   "ibmmq_queue_qtime_long" "Microseconds that messages which were got had been on the queue, averaged over the last hundred or so (QTIME), to the millisecond of each."
    MQ_CHANNEL_STATUS   Gauge   "ibmmq_channel_status" "3 (running) while the channel has an instance, 6 while it is stopped, else 0 (inactive)."
    MQ_CHANNEL_SQUASH   Gauge   "ibmmq_channel_status_squash" "2 while the channel has an instance, else 0."
    MQ_CHANNEL_INSTANCES Gauge  "ibmmq_channel_cur_inst" "Instances of the channel."
    MQ_CHANNEL_MAXINST  Gauge   "ibmmq_channel_attribute_max_inst" "MAXINST of the channel."
    MQ_CHANNEL_MAXINSTC Gauge   "ibmmq_channel_attribute_max_instc" "MAXINSTC of the channel."
    MQ_CHANNEL_MESSAGES Gauge   "ibmmq_channel_messages" "Calls of programs that came through the channel since this node began."
    MQ_CHANNEL_SINCE    Gauge   "ibmmq_channel_time_since_msg" "Seconds since a call of a program came through the channel; there is no line before the first."
    MQ_CHANNEL_SENT     Gauge   "ibmmq_channel_bytes_sent" "Bytes sent to clients through the channel since this node began."
    MQ_CHANNEL_RECEIVED Gauge   "ibmmq_channel_bytes_rcvd" "Bytes received from clients through the channel since this node began."
    MQ_CHANNEL_WRITES   Gauge   "ibmmq_channel_buffers_sent" "Writes to sockets of the channel since this node began."
    MQ_CHANNEL_READS    Gauge   "ibmmq_channel_buffers_rcvd" "Reads of sockets of the channel since this node began."
    MQ_ROUND_TRIP       Gauge   "ibmmq_nha_average_network_round_trip_time_seconds" "Seconds from a heartbeat to the instance's answer, averaged over the last few, the turns of both nodes included."
    MQ_CATCH_UP         Gauge   "ibmmq_nha_catch_up_time_percentage" "Of the time for which this node leads, the share in which the instance was there and lacked more than it is about to get."
    MQ_NHA_BACKLOG      Gauge   "ibmmq_nha_backlog_bytes" "Bytes of log that the instance has not acknowledged. IBM MQ's name of trimaran_instance_backlog_bytes."
    MQ_ACKNOWLEDGED     Counter "ibmmq_nha_acknowledged_log_sequence_number_total" "Log position that the instance has acknowledged."
    MQ_BACKLOG          Gauge   "ibmmq_nha_replication_backlog_bytes" "Bytes of log that the instance has not acknowledged. IBM MQ's name of trimaran_instance_backlog_bytes."
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_metric_has_its_own_name_a_unit_in_it_and_a_sentence() {
        let mut names = BTreeSet::new();
        for metric in ALL {
            assert!(names.insert(metric.name), "{} stands twice in the catalog", metric.name);
            assert!(metric.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
            assert!(metric.help.ends_with('.'), "{} wants a sentence", metric.name);
            let leans = [" in them", "Bytes those ", "this purpose", "it has handled"]
                .iter()
                .find(|word| metric.help.contains(**word));
            assert_eq!(leans, None, "{} is read alone, without those that stand beside it here", metric.name);
            let counts = metric.name.ends_with("_total");
            assert_eq!(counts, metric.kind == Kind::Counter, "{}: counters end in _total", metric.name);
        }
    }
}
