//! Structures of puts and gets: MQMD, MQPMO, MQGMO. Pointers have four bytes on the wire and mean nothing there.

use super::wire::{Raw, Text, versioned};

versioned! {
    /// MQMD, version 1 (324 bytes) or 2 (364 bytes).
    Md(b"MD  ", 2, "no MQMD of version 1 or 2 begins here") {
        report: u32, 1;
        message_type: u32, 1;
        expiry: i32, 1;
        feedback: u32, 1;
        encoding: i32, 1;
        ccsid: i32, 1;
        format: Text<8>, 1;
        priority: i32, 1;
        persistence: i32, 1;
        message_id: Raw<24>, 1;
        correlation_id: Raw<24>, 1;
        backout_count: i32, 1;
        reply_to_queue: Text<48>, 1;
        reply_to_queue_manager: Text<48>, 1;
        user: Text<12>, 1;
        accounting_token: Raw<32>, 1;
        identity_data: Text<32>, 1;
        put_application_type: i32, 1;
        put_application: Text<28>, 1;
        put_date: Text<8>, 1;
        put_time: Text<8>, 1;
        origin_data: Text<4>, 1;
        group_id: Raw<24>, 2;
        sequence_number: i32, 2;
        offset: i32, 2;
        message_flags: u32, 2;
        original_length: i32, 2;
    }
}

versioned! {
    /// MQMDE (72 bytes): what an MQMD of version 1 does not have, in front of the data. Encoding, CCSID and format are those of what follows.
    Mde(b"MDE ", 2, "no MQMDE of version 2 begins here") {
        length: i32, 1;
        encoding: i32, 1;
        ccsid: i32, 1;
        format: Text<8>, 1;
        flags: u32, 1;
        group_id: Raw<24>, 1;
        sequence_number: i32, 1;
        offset: i32, 1;
        message_flags: u32, 1;
        original_length: i32, 1;
    }
}

impl Mde {
    /// MQMDE_LENGTH_2.
    pub const BYTES: usize = 72;
    /// MQFMT_MD_EXTENSION.
    pub const FORMAT: &'static str = "MQHMDE";
}

impl Md {
    /// Bytes of version 2.
    pub const BYTES: usize = 364;
    /// Bytes of one of version 1, which ends before the group.
    pub const BYTES_1: usize = 324;
}

versioned! {
    /// MQPMO, version 1 (128 bytes), 2 (152 bytes) or 3 (176 bytes). Records of a distribution list are not read.
    Pmo(b"PMO ", 3, "no MQPMO of version 1 to 3 begins here") {
        options: u32, 1;
        timeout: i32, 1;
        /// A handle whose context is passed on.
        context: i32, 1;
        known_destinations: i32, 1;
        unknown_destinations: i32, 1;
        invalid_destinations: i32, 1;
        resolved_queue: Text<48>, 1;
        resolved_queue_manager: Text<48>, 1;
        records_present: i32, 2;
        record_fields: u32, 2;
        record_offset: i32, 2;
        response_offset: i32, 2;
        record_pointer: u32, 2;
        response_pointer: u32, 2;
        original_handle: i64, 3;
        new_handle: i64, 3;
        action: i32, 3;
        publish_level: i32, 3;
    }
}

versioned! {
    /// MQGMO, version 1 (72 bytes), 2 (80 bytes), 3 (100 bytes) or 4 (112 bytes).
    Gmo(b"GMO ", 4, "no MQGMO of version 1 to 4 begins here") {
        options: u32, 1;
        /// Milliseconds; -1 is for ever.
        wait_interval: i32, 1;
        signal1: i32, 1;
        signal2: i32, 1;
        resolved_queue: Text<48>, 1;
        match_options: u32, 2;
        group_status: u8, 2;
        segment_status: u8, 2;
        segmentation: u8, 2;
        reserved1: u8, 2;
        token: Raw<16>, 3;
        returned_length: i32, 3;
        reserved2: i32, 4;
        message_handle: i64, 4;
    }
}
