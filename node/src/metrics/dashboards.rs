//! Which names dashboards for IBM MQ ask for, and which of them have no meaning here: one table, for tests and
//! `node/docs/monitoring.md`.

use Answer::{Absent, Given};

/// What becomes of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is in the catalog.
    Given,
    /// Why nothing is said.
    Absent(&'static str),
}

const NO_TOPICS: &str = "there is no publish/subscribe";

/// The containers' exporter, the sample `mq_prometheus`, and the boards that come with it (for queue managers that are not on z/OS).
pub const ASKED_FOR: &[(&str, Answer)] = &[
    ("ibmmq_channel_attribute_max_inst", Given),
    ("ibmmq_channel_attribute_max_instc", Given),
    ("ibmmq_channel_buffers_rcvd", Given),
    ("ibmmq_channel_buffers_sent", Given),
    ("ibmmq_channel_bytes_rcvd", Given),
    ("ibmmq_channel_bytes_sent", Given),
    ("ibmmq_channel_cur_inst", Given),
    ("ibmmq_channel_messages", Given),
    ("ibmmq_channel_status", Given),
    ("ibmmq_channel_status_squash", Given),
    ("ibmmq_channel_time_since_msg", Given),
    ("ibmmq_nha_acknowledged_log_sequence_number_total", Given),
    ("ibmmq_nha_average_network_round_trip_time_seconds", Given),
    ("ibmmq_nha_backlog_bytes", Given),
    ("ibmmq_nha_catch_up_time_percentage", Given),
    ("ibmmq_nha_replication_backlog_bytes", Given),
    ("ibmmq_qmgr_active_listeners", Given),
    ("ibmmq_qmgr_command_server_status", Given),
    ("ibmmq_qmgr_commit_total", Given),
    ("ibmmq_qmgr_connection_count", Given),
    ("ibmmq_qmgr_destructive_get_total", Given),
    ("ibmmq_qmgr_expired_message_total", Given),
    ("ibmmq_qmgr_failed_mqget_total", Given),
    ("ibmmq_qmgr_interval_destructive_get_total_count", Given),
    ("ibmmq_qmgr_interval_mqput_mqput1_total_count", Given),
    ("ibmmq_qmgr_log_file_system_in_use_bytes", Given),
    ("ibmmq_qmgr_log_primary_space_in_use_percentage", Given),
    ("ibmmq_qmgr_log_sequence_number_quorum_total", Given),
    ("ibmmq_qmgr_log_write_latency_seconds", Given),
    ("ibmmq_qmgr_max_active_channels", Given),
    ("ibmmq_qmgr_max_channels", Given),
    ("ibmmq_qmgr_mqput_mqput1_total", Given),
    ("ibmmq_qmgr_queue_manager_file_system_in_use_bytes", Given),
    ("ibmmq_qmgr_rollback_total", Given),
    ("ibmmq_qmgr_status", Given),
    ("ibmmq_qmgr_uptime", Given),
    ("ibmmq_queue_attribute_max_depth", Given),
    ("ibmmq_queue_depth", Given),
    ("ibmmq_queue_input_handles", Given),
    ("ibmmq_queue_mqget_count", Given),
    ("ibmmq_queue_mqput_mqput1_count", Given),
    ("ibmmq_queue_oldest_message_age", Given),
    ("ibmmq_queue_output_handles", Given),
    ("ibmmq_queue_qtime_long", Given),
    ("ibmmq_queue_qtime_short", Given),
    ("ibmmq_queue_time_since_get", Given),
    ("ibmmq_queue_time_since_put", Given),
    ("ibmmq_queue_uncommitted_messages", Given),
    ("ibmmq_channel_batches", Absent("there are no sender channels")),
    ("ibmmq_channel_batchsz_long", Absent("there are no sender channels")),
    ("ibmmq_channel_batchsz_short", Absent("there are no sender channels")),
    ("ibmmq_channel_nettime_long", Absent("there are no sender channels")),
    ("ibmmq_channel_nettime_short", Absent("there are no sender channels")),
    ("ibmmq_channel_xmitq_time_long", Absent("there are no sender channels")),
    ("ibmmq_channel_xmitq_time_short", Absent("there are no sender channels")),
    ("ibmmq_cluster_suspend", Absent("there are no MQ clusters")),
    (
        "ibmmq_nha_backlog_average_bytes",
        Absent("a server that keeps series averages: `avg_over_time(ibmmq_nha_backlog_bytes[5m])`"),
    ),
    ("ibmmq_nha_recovery_backlog_bytes", Absent("there are no recovery groups")),
    ("ibmmq_nha_recovery_log_sent_bytes", Absent("there are no recovery groups")),
    ("ibmmq_nha_recovery_log_sequence_number", Absent("there are no recovery groups")),
    (
        "ibmmq_nha_synchronous_compressed_log_sent_bytes",
        Absent("one connection carries the log of all queue managers: `trimaran_peer_sent_bytes_total`"),
    ),
    (
        "ibmmq_nha_synchronous_log_sent_bytes",
        Absent("one connection carries the log of all queue managers: `trimaran_peer_sent_bytes_total`"),
    ),
    (
        "ibmmq_nha_throttling_time_percentage",
        Absent("nobody is slowed down for the sake of an instance that is behind"),
    ),
    (
        "ibmmq_qmgr_channel_initiator_status",
        Absent("there are no channels that a queue manager starts, and so there is no channel initiator"),
    ),
    ("ibmmq_qmgr_create_non_durable_subscription", Absent(NO_TOPICS)),
    ("ibmmq_qmgr_exporter_publications", Absent("there is no exporter that subscribes")),
    ("ibmmq_qmgr_mq_errors_file_system_free_space_percentage", Absent("the node has no file of errors")),
    ("ibmmq_qmgr_mq_fdc_file_count", Absent("there are no FDC files")),
    ("ibmmq_qmgr_non_durable_subscriber_high_water_mark", Absent(NO_TOPICS)),
    ("ibmmq_qmgr_non_durable_subscriber_low_water_mark", Absent(NO_TOPICS)),
    (
        "ibmmq_qmgr_non_persistent_message_browse_count",
        Absent("browses are counted together: `trimaran_browses_total`"),
    ),
    (
        "ibmmq_qmgr_persistent_message_browse_count",
        Absent("browses are counted together: `trimaran_browses_total`"),
    ),
    ("ibmmq_qmgr_published_to_subscribers_message_count", Absent(NO_TOPICS)),
    (
        "ibmmq_qmgr_put_non_persistent_messages_bytes",
        Absent("bytes are counted together: `ibmmq_qmgr_mqput_bytes_total`"),
    ),
    (
        "ibmmq_qmgr_put_persistent_messages_bytes",
        Absent("bytes are counted together: `ibmmq_qmgr_mqput_bytes_total`"),
    ),
    (
        "ibmmq_qmgr_system_cpu_time_percentage",
        Absent("a counter says more: `rate(trimaran_cpu_seconds_total[1m])`, of the process"),
    ),
    ("ibmmq_qmgr_topic_mqput_mqput1_interval_total", Absent(NO_TOPICS)),
    (
        "ibmmq_qmgr_user_cpu_time_percentage",
        Absent("a counter says more: `rate(trimaran_cpu_seconds_total[1m])`, of the process"),
    ),
    ("ibmmq_queue_qfile_current_size", Absent("queues have no files; they share the message store")),
    ("ibmmq_queue_qfile_max_size", Absent("queues have no files; they share the message store")),
    ("ibmmq_subscription_messsages_received", Absent(NO_TOPICS)),
    ("ibmmq_subscription_time_since_message_published", Absent(NO_TOPICS)),
    ("ibmmq_topic_messages_published", Absent(NO_TOPICS)),
    ("ibmmq_topic_messages_received", Absent(NO_TOPICS)),
    ("ibmmq_topic_publisher_count", Absent(NO_TOPICS)),
    ("ibmmq_topic_subscriber_count", Absent(NO_TOPICS)),
    ("ibmmq_topic_time_since_msg_published", Absent(NO_TOPICS)),
    ("ibmmq_topic_time_since_msg_received", Absent(NO_TOPICS)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::catalog;

    #[test]
    fn a_name_is_in_the_catalog_or_the_page_on_monitoring_says_why_not() {
        let page = include_str!("../../docs/monitoring.md");
        for (name, answer) in ASKED_FOR {
            let is_given = catalog::ALL.iter().any(|metric| metric.name == *name);
            assert_eq!(is_given, *answer == Given, "{name}");
            if let Absent(why) = answer {
                let line = format!("| `{name}` | {why} |");
                assert!(page.lines().any(|found| found == line), "missing: {line}");
            }
        }
    }
}
