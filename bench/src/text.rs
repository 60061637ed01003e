//! Results for the terminal.

use std::fmt::Write;

use crate::load::{Latency, Measured};
use crate::work::Kind;

/// Everything about one result.
pub fn details(measured: &Measured) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| writeln!(text, "  {name:<22}{value}").expect("a string takes all");
    let cost = &measured.cost;
    let what = match measured.work.kind {
        Kind::Put => "puts",
        Kind::PutGet => "puts and gets",
    };
    line(what, format!("{:.0}/s ({} puts, {} gets in {:.1} s)", measured.rate(), measured.puts, measured.gets, cost.seconds));
    let each: Vec<String> = cost.server_cpu_each_s.iter().map(|cpu| format!("{cpu:.1}")).collect();
    line(
        "server CPU",
        format!("{:.1} µs a message over all nodes ({} s)", measured.server_cpu_us(), each.join(" + ")),
    );
    line("load CPU", format!("{:.1} µs a message", measured.client_cpu_us()));
    line("put acknowledged", latency(&measured.put_latency));
    if let Some(end_to_end) = &measured.end_to_end {
        line("put to received", latency(end_to_end));
    }
    if let Some(lateness) = &measured.lateness {
        line("load was late by", latency(lateness));
    }
    line(
        "disk",
        format!(
            "{:.2} bytes a body byte and node ({:.0} MB to {} in all), {:.3} flushes a message",
            measured.device_bytes_per_body_byte(),
            cost.device_bytes as f64 / 1e6,
            measured.device,
            measured.flushes_per_message()
        ),
    );
    line("pages dirtied", format!("{:.0} MB by the servers (not what reached the disk)", cost.dirtied_bytes as f64 / 1e6));
    line("resident memory", format!("{:.0} MB, all servers", cost.resident_bytes as f64 / 1e6));
    line("context switches", format!("{:.2} a message", measured.switches_per_message()));
    line("check", measured.verdict.describe());
    text
}

fn latency(latency: &Latency) -> String {
    format!(
        "p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2} ms",
        latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p999_ms, latency.max_ms
    )
}
