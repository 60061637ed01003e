//! The log on disk (L3).
