//! What programs do and what they saw: simulated MQ programs and the history the checkers judge.

pub mod body;
pub mod history;
pub mod tongue;
pub mod workload;
pub mod app;
pub mod operator;
pub mod registrar;
pub mod commander;
pub mod administrator;
pub mod canary;
