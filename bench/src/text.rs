//! Results for the terminal.

use std::fmt::Write;

use crate::compare::{Compared, Comparison};
use crate::failover::Gap;
use crate::load::{Latency, Measured};
use crate::spread::Spread;
use crate::work::Kind;

/// Everything about one result.
pub fn details(measured: &Measured) -> String {
    let mut text = String::new();
    let mut line =
        |name: &str, value: String| writeln!(text, "  {name:<22}{value}").expect("a string takes all");
    let cost = &measured.cost;
    let what = match measured.work.kind {
        Kind::Put => "puts",
        Kind::PutGet => "puts and gets",
        Kind::Browse => "browsed",
    };
    line(
        what,
        format!(
            "{:.0}/s ({} puts, {} gets in {:.1} s)",
            measured.rate(),
            measured.puts,
            measured.gets,
            cost.seconds
        ),
    );
    let tenths = &measured.tenths;
    line(
        "in tenths of a second",
        format!(
            "median {:.0}/s, lowest {:.0}/s, {} of {} below half of the median",
            tenths.median, tenths.lowest, tenths.below_half, tenths.count
        ),
    );
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
    line(
        "pages dirtied",
        format!("{:.0} MB by the servers (not what reached the disk)", cost.dirtied_bytes as f64 / 1e6),
    );
    line("resident memory", format!("{:.0} MB, all servers", cost.resident_bytes as f64 / 1e6));
    line("context switches", format!("{:.2} a message", measured.switches_per_message()));
    if let Some(bytes) = measured.idle_bytes {
        let copies = measured.about.copies;
        line(
            "idle",
            format!("{:.1} KB for each idle queue or client, all servers ({copies} nodes)", bytes / 1e3),
        );
    }
    if let Some(bytes) = measured.beside_bytes_per_s {
        line("beside", format!("{:.0} MB/s of large bodies, put and got", bytes / 1e6));
    }
    line("check", measured.verdict.describe());
    text
}

fn latency(latency: &Latency) -> String {
    format!(
        "p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2} ms",
        latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p999_ms, latency.max_ms
    )
}

/// A table for each scenario, systems side by side; ratios are of the first system to each other one.
pub fn comparison(comparison: &Comparison) -> String {
    let mut text = format!(
        "\n{}\n{} rounds, interleaved; median [lowest .. highest]\n",
        comparison.machine,
        comparison.rounds()
    );
    let mut line = |value: String| writeln!(text, "{value}").expect("a string takes all");
    for about in &comparison.systems {
        let durable = if about.durable { "" } else { "  ** NOT DURABLE **" };
        line(format!("\n  {}: {}{durable}\n    {}", about.name, about.version, about.settings));
    }
    for reason in &comparison.left_out {
        line(format!("\n  left out: {reason}"));
    }
    for scenario in &comparison.scenarios {
        line(format!("\n{}: {}", scenario.name, scenario.title));
        if let Some(measured) = scenario.results.iter().flatten().next() {
            line(format!("  {}", measured.work.describe()));
        }
        line(format!(
            "  {:<16} {:>30} {:>26} {:>8} {:>8} {:>9} {:>7} {:>9} {:>8} {:>8}",
            "",
            "messages/s",
            "server CPU µs/message",
            "load µs",
            "p50 ms",
            "p99 ms",
            "B/B",
            "flushes",
            "RSS MB",
            "switches"
        ));
        for (column, results) in scenario.results.iter().enumerate() {
            let name = &comparison.systems[column].name;
            if results.is_empty() {
                line(format!("  {name:<16} no result: {}", scenario.failures[column].join("; ")));
                continue;
            }
            let median = |value: fn(&Measured) -> f64| median_of(results, value);
            line(format!(
                "  {name:<16} {:>30} {:>26} {:>8.1} {:>8.2} {:>9.2} {:>7.2} {:>9.4} {:>8.0} {:>8.2}",
                spread_of(results, Measured::rate).map_or_else(String::new, |spread| spread_text(spread, 0)),
                spread_of(results, Measured::server_cpu_us)
                    .map_or_else(String::new, |spread| spread_text(spread, 1)),
                median(Measured::client_cpu_us),
                median(|measured| measured.latency().p50_ms),
                median(|measured| measured.latency().p99_ms),
                median(Measured::device_bytes_per_body_byte),
                median(Measured::flushes_per_message),
                median(|measured| measured.cost.resident_bytes as f64 / 1e6),
                median(Measured::switches_per_message),
            ));
            for measured in results.iter().filter(|measured| !measured.verdict.is_good()) {
                line(format!("    CHECK: {}", measured.verdict.describe()));
            }
            scenario.failures[column].iter().for_each(|failure| line(format!("    FAILED: {failure}")));
        }
        for column in 1..scenario.results.len() {
            if let Some((rate, cpu)) = ratios(scenario, column) {
                line(format!(
                    "  {} to {}: {} × the messages, {} of the server CPU a message",
                    comparison.systems[0].name,
                    comparison.systems[column].name,
                    spread_text(rate, 2),
                    spread_text(cpu, 2),
                ));
            }
        }
    }
    text
}

/// Rate and server CPU a message of the first system to those of another.
pub fn ratios(scenario: &Compared, column: usize) -> Option<(Spread, Spread)> {
    let ratio = |value: fn(&Measured) -> f64| {
        Some(spread_of(&scenario.results[0], value)?.ratio(spread_of(&scenario.results[column], value)?))
    };
    Some((ratio(Measured::rate)?, ratio(Measured::server_cpu_us)?))
}

pub fn spread_of(results: &[Measured], value: fn(&Measured) -> f64) -> Option<Spread> {
    Spread::of(results.iter().map(value))
}

pub fn median_of(results: &[Measured], value: fn(&Measured) -> f64) -> f64 {
    spread_of(results, value).map_or(f64::NAN, |spread| spread.median)
}

pub fn spread_text(spread: Spread, digits: usize) -> String {
    format!("{:.digits$} [{:.digits$} .. {:.digits$}]", spread.median, spread.low, spread.high)
}

pub fn gaps(gaps: &[Gap]) -> String {
    let mut text = String::new();
    for gap in gaps {
        writeln!(
            text,
            "  {:<16} {:<24} {:>7.0} ms without a put (longest before: {:.0} ms)",
            gap.about.name,
            gap.fault.describe(),
            gap.gap_ms,
            gap.before_ms
        )
        .expect("a string takes all");
    }
    text
}
