//! Plain counters of one replica; `metrics` gives them names, units and help.

/// All counters grow from zero at start unless they say otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    pub puts: u64,
    pub put_bytes: u64,
    pub duplicates_suppressed: u64,
    pub gets: u64,
    pub get_bytes: u64,
    pub browses: u64,
    /// Gets that found no message, or were not given the one that they found.
    pub gets_failed: u64,
    pub commits: u64,
    pub backouts: u64,
    pub expired: u64,
    /// Reports of the queue manager that were put, and those that no queue took.
    pub reports: u64,
    pub reports_dropped: u64,
    /// Events that were put, and those that no queue took.
    pub event_messages: u64,
    pub event_messages_dropped: u64,
    pub calls_failed: u64,
    pub waits: u64,
    pub elections_won: u64,
    /// Leaders heard of, each time it was another one.
    pub leader_changes: u64,
    pub turns: u64,
    /// The most that a turn did since this process began, in looks at a message (`turn.rs`).
    pub turn_work_max: u64,
    /// The most processor time that a turn took since this process began, in microseconds.
    pub turn_cpu_us_max: u64,
    pub events: u64,
    pub entries_proposed: u64,
    pub commands_proposed: u64,
    pub entries_applied: u64,
    pub log_bytes_proposed: u64,
    pub packs_repacked: u64,
    /// Raises of the version that this node, leading, put into the log.
    pub raises_proposed: u64,
    /// Moves to the preferred node that this node, leading, began.
    pub fail_backs: u64,
    /// Now: this node is in maintenance.
    pub in_maintenance: bool,
    /// Now.
    pub sessions: u64,
    /// Now.
    pub messages: u64,
    /// Now; a failover would lose these.
    pub not_persistent: u64,
    /// Now.
    pub version: u64,
    /// As every node counts them.
    pub takeovers: u64,
    /// As every node counts them: how often and for how long no canary got through, and when one did last (in milliseconds, 0:
    /// never).
    pub canary_outages: u64,
    pub canary_down_ms: u64,
    pub canary_good_at_ms: u64,
    /// Now.
    pub term: u64,
    /// Now.
    pub commit_index: u64,
    /// Now.
    pub applied_index: u64,
    /// Now: bytes of log that were applied and are not in the message store on disk.
    pub unstored_bytes: u64,
}
