//! The audit trail (`qmgr/trail.rs`), as operators ask for it.

use prost::Message as _;
use trimaran_proto::admin::v1::AuditRecord;
use trimaran_proto::audit::{A_PAGE, A_PAGE_BYTES};

use super::Replica;
use crate::mqi::{Completion, Data, KeptTrail};
use crate::types::{SessionId, Token, Version};

impl Replica {
    /// Whether what is proposed from now on may say what the audit trail needs.
    pub(super) fn keeps_trail(&self) -> bool {
        debug_assert!(
            self.version_published <= self.state.version(),
            "what is spoken follows what the queue manager has"
        );
        self.version_published >= Version::TRAIL
    }

    /// Every node has it.
    pub(super) fn on_trail(&mut self, session: SessionId, token: Token, after: u64) {
        let mut records: Vec<AuditRecord> = Vec::new();
        let (mut bytes, mut more) = (0, false);
        for record in self.state.trail(after.saturating_add(1)) {
            bytes += record.encoded_len();
            more = records.len() == A_PAGE || (bytes > A_PAGE_BYTES && !records.is_empty());
            if more {
                break;
            }
            records.push(record.clone());
        }
        debug_assert!(
            records.windows(2).all(|pair| pair[0].number + 1 == pair[1].number),
            "a page is in the order of numbers"
        );
        self.turn.spend(super::turn::DESCRIBE * records.len() as u64);
        self.turn.spend_bytes(bytes);
        self.answer(session, token, Completion::ok(Data::Trail(Box::new(KeptTrail { records, more }))));
    }
}
