//! message_store
