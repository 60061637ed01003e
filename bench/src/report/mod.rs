//! One HTML page of a comparison, with nothing outside of it: for a manager on the first screen, for an engineer below.

mod plot;

use std::fmt::Write;

use crate::compare::{Compared, Comparison, Spread};
use crate::failover::Fault;
use crate::load::{Latency, Measured};
use crate::text::{median_of, ratios, spread_of};
use crate::work::Kind;
use plot::{Axes, Bar, Line, Scale, escape, short};

pub fn page(comparison: &Comparison) -> String {
    let mut page = String::from(HEAD);
    let mut add = |text: String| page.push_str(&text);
    let names: Vec<&str> = comparison.systems.iter().map(|about| about.name.as_str()).collect();
    add(format!("<h1>{}</h1>", escape(&names.join(", "))));
    add(format!(
        "<p class=\"lead\">The same work on each, on one machine, {} round{} taken in turns. Bars are medians, the thin \
         lines on them go from the lowest to the highest round. A cluster of its own for each; every acknowledged message was \
         checked.</p>",
        comparison.rounds,
        if comparison.rounds == 1 { "" } else { "s" }
    ));
    add(headline(comparison));
    add(glance(comparison));
    add(legend(comparison));
    for scenario in &comparison.scenarios {
        add(section(comparison, scenario));
    }
    add(depth(comparison));
    add(gaps(comparison));
    add(setup(comparison));
    page.push_str("</main></body></html>\n");
    page
}

fn card(title: &str, note: &str, svg: &str) -> String {
    format!("<figure><figcaption>{}<small>{}</small></figcaption>{svg}</figure>", escape(title), escape(note))
}

/// Name of a system, marked when its figures mean less.
fn marked(comparison: &Comparison, column: usize) -> String {
    let about = &comparison.systems[column];
    if about.durable { about.name.clone() } else { format!("{} *", about.name) }
}

/// The first system to each other one, in numbers large enough to be read from the back row.
fn headline(comparison: &Comparison) -> String {
    let telling: Vec<&Compared> = comparison
        .scenarios
        .iter()
        .filter(|scenario| ["put", "put-get"].contains(&scenario.name.as_str()))
        .collect();
    let Some(first) = comparison.systems.first().filter(|_| comparison.systems.len() > 1) else {
        return String::new();
    };
    if telling.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "<div class=\"scroll\"><table class=\"headline\"><thead><tr><th>{} does",
        escape(&first.name)
    );
    for scenario in &telling {
        let what = if scenario.name == "put" { "puts" } else { "puts and gets" };
        let _ = write!(text, "<th>{what} a second<th>server CPU for each");
    }
    text.push_str("</tr></thead><tbody>");
    for column in 1..comparison.systems.len() {
        let _ = write!(text, "<tr><td>compared to {}", escape(&marked(comparison, column)));
        for scenario in &telling {
            match ratios(scenario, column) {
                Some((rate, cpu)) => {
                    let _ = write!(
                        text,
                        "<td><b>{:.1} ×</b><small>{:.1} to {:.1} ×</small><td><b>{:.0} %</b><small>{:.0} to {:.0} %</small>",
                        rate.median,
                        rate.low,
                        rate.high,
                        cpu.median * 100.0,
                        cpu.low * 100.0,
                        cpu.high * 100.0
                    );
                }
                None => text.push_str("<td>–<td>–"),
            }
        }
        text.push_str("</tr>");
    }
    text.push_str("</tbody></table></div><p class=\"what\">Medians; beside them the range, worst round against best round.</p>");
    text
}

/// Every scenario on one screen: messages a second and server CPU, the best of each row marked.
fn glance(comparison: &Comparison) -> String {
    let mut text = String::from(
        "<h2>At a glance</h2><p class=\"what\">Messages a second, and below them microseconds of server CPU a message. \
         Bold is the best of its row.</p><div class=\"scroll\"><table class=\"glance\"><thead><tr><th>",
    );
    for column in 0..comparison.systems.len() {
        let _ = write!(text, "<th>{}", escape(&marked(comparison, column)));
    }
    text.push_str("</tr></thead><tbody>");
    for scenario in &comparison.scenarios {
        let medians = |value: fn(&Measured) -> f64| -> Vec<Option<f64>> {
            let results = scenario.results.iter();
            results.map(|results| Some(spread_of(results, value)?.median)).collect()
        };
        let (rates, costs) = (medians(Measured::rate), medians(Measured::server_cpu_us));
        let most = rates.iter().flatten().copied().fold(f64::MIN, f64::max);
        let least = costs.iter().flatten().copied().fold(f64::MAX, f64::min);
        let _ = write!(text, "<tr><td>{}", escape(&scenario.title));
        for (rate, cost) in rates.into_iter().zip(costs) {
            let (Some(rate), Some(cost)) = (rate, cost) else {
                text.push_str("<td>–");
                continue;
            };
            // In an open loop all have the same rate.
            let paced = scenario.results.iter().flatten().any(|measured| measured.work.rate.is_some());
            let bold = |best: bool, value: String| if best { format!("<b>{value}</b>") } else { value };
            let _ = write!(
                text,
                "<td>{}<br><small>{}</small>",
                bold(rate == most && !paced, format!("{}/s", short(rate))),
                bold(cost == least, format!("{} µs", short(cost)))
            );
        }
        text.push_str("</tr>");
    }
    text.push_str("</tbody></table></div>");
    text
}

fn legend(comparison: &Comparison) -> String {
    let mut text = String::from("<p class=\"legend\">");
    for (column, about) in comparison.systems.iter().enumerate() {
        let durable = if about.durable { "" } else { " (not durable: acknowledged before it is on a disk)" };
        let _ = write!(
            text,
            "<span><svg viewBox=\"0 0 12 12\"><rect class=\"c{column}\" width=\"12\" height=\"12\" rx=\"2\"/></svg>{}{durable}</span>",
            escape(&marked(comparison, column))
        );
    }
    text.push_str("</p>");
    text
}

fn section(comparison: &Comparison, scenario: &Compared) -> String {
    let mut text = format!("<h2>{}</h2>", escape(&scenario.title));
    let Some(example) = scenario.results.iter().flatten().next() else {
        let reasons: Vec<String> = scenario.failures.iter().flatten().map(|reason| escape(reason)).collect();
        let _ = write!(text, "<p>No result: {}</p>", reasons.join("; "));
        return text;
    };
    let _ = write!(
        text,
        "<p class=\"what\">{}: {}</p><div class=\"cards\">",
        scenario.name,
        escape(&example.work.describe())
    );
    let measure_bars = |value: fn(&Measured) -> f64, label: fn(f64) -> String| -> Vec<Bar> {
        let results = scenario.results.iter().enumerate();
        results
            .filter_map(|(column, results)| {
                let spread = spread_of(results, value)?;
                Some(bar(marked(comparison, column), column, spread, label))
            })
            .collect()
    };
    let per_second = |value: f64| format!("{}/s", short(value));
    let micros = |value: f64| format!("{} µs", short(value));
    let what = match example.work.kind {
        Kind::Put => "puts",
        Kind::PutGet => "puts and gets",
        Kind::Browse => "messages browsed",
    };
    text.push_str(&card(
        &format!("{what} a second"),
        "more is better",
        &plot::bars("messages a second", &measure_bars(Measured::rate, per_second)),
    ));
    text.push_str(&card(
        "server CPU a message",
        "all servers of the cluster; less is better",
        &plot::bars("server CPU a message", &measure_bars(Measured::server_cpu_us, micros)),
    ));
    text.push_str(&card(
        "latency",
        match (example.end_to_end.is_some(), example.work.rate.is_some()) {
            (true, true) => "from when a put was due to the consumer's hands; last round",
            (true, false) => "from put to the consumer's hands; last round",
            (false, true) => "from when a put was due until it was safe; last round",
            (false, false) => "from put until it was safe; last round",
        },
        &latency_plot(comparison, scenario),
    ));
    text.push_str(&card("over time", "messages a second; last round", &series_plot(comparison, scenario)));
    text.push_str("</div>");
    text.push_str(&table(comparison, scenario));
    text
}

fn bar(name: String, colour: usize, spread: Spread, label: fn(f64) -> String) -> Bar {
    Bar {
        name,
        colour,
        value: spread.median,
        low: spread.low,
        high: spread.high,
        label: label(spread.median),
    }
}

fn last_rounds<'a>(
    comparison: &'a Comparison,
    scenario: &'a Compared,
) -> impl Iterator<Item = (usize, String, &'a Measured)> {
    let results = scenario.results.iter().enumerate();
    results.filter_map(|(column, results)| Some((column, marked(comparison, column), results.last()?)))
}

/// The horizontal axis counts nines: 90 %, 99 %, 99.9 %.
fn latency_plot(comparison: &Comparison, scenario: &Compared) -> String {
    let nines = |percentile: f64| -(1.0 - percentile.min(99.9999) / 100.0).log10();
    let lines: Vec<Line> = last_rounds(comparison, scenario)
        .map(|(colour, name, measured)| {
            let latency: &Latency = measured.latency();
            let points = latency.curve.iter().map(|(percentile, ms)| (nines(*percentile), *ms)).collect();
            Line { name, colour, points }
        })
        .collect();
    let highest = lines.iter().flat_map(|line| line.points.iter().map(|point| point.0)).fold(1.0, f64::max);
    let ticks = [(50.0, "50 %"), (90.0, "90 %"), (99.0, "99 %"), (99.9, "99.9 %"), (99.99, "99.99 %")];
    let axes = Axes {
        x_title: "share of the messages that were at least this fast",
        y_title: "milliseconds",
        x_ticks: ticks
            .iter()
            .map(|(percentile, label)| (nines(*percentile), label.to_string()))
            .filter(|(at, _)| *at <= highest + 0.01)
            .collect(),
        x_scale: Scale::Linear,
        y_scale: Scale::Log,
    };
    plot::lines(&axes, &lines)
}

fn series_plot(comparison: &Comparison, scenario: &Compared) -> String {
    let lines: Vec<Line> = last_rounds(comparison, scenario)
        .map(|(colour, name, measured)| {
            let value = |point: &crate::load::Point| match measured.work.kind {
                Kind::Put => point.puts_per_s,
                Kind::PutGet | Kind::Browse => point.gets_per_s,
            };
            let points = measured.series.iter().map(|point| (point.at_s, value(point))).collect();
            Line { name, colour, points }
        })
        .collect();
    let end = lines.iter().flat_map(|line| line.points.iter().map(|point| point.0)).fold(1.0, f64::max);
    let step = if end > 20.0 { 10 } else { 2 };
    let ticks =
        (0..=end.ceil() as usize).step_by(step).map(|second| (second as f64, second.to_string())).collect();
    let axes = Axes {
        x_title: "seconds",
        y_title: "messages a second",
        x_ticks: ticks,
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
    };
    plot::lines(&axes, &lines)
}

fn table(comparison: &Comparison, scenario: &Compared) -> String {
    let mut text = String::from(
        "<div class=\"scroll\"><table><thead><tr><th>system<th>messages/s<th>server CPU<br>µs/message<th>load \
         CPU<br>µs/message<th>p50<br>ms<th>p99<br>ms<th>p99.9<br>ms<th>disk bytes<br>a body byte<br>and node<th>flushes<br>a \
         message<th>switches<br>a message<th>memory<br>MB<th class=\"check\">check</tr></thead><tbody>",
    );
    for (column, results) in scenario.results.iter().enumerate() {
        let name = escape(&marked(comparison, column));
        if results.is_empty() {
            let reasons = escape(&scenario.failures[column].join("; "));
            let _ = write!(text, "<tr><td>{name}<td colspan=\"11\">{reasons}</tr>");
            continue;
        }
        let median = |value: fn(&Measured) -> f64| short(median_of(results, value));
        let bad: Vec<String> = results
            .iter()
            .filter(|measured| !measured.verdict.is_good())
            .map(|measured| escape(&measured.verdict.describe()))
            .chain(scenario.failures[column].iter().map(|reason| escape(reason)))
            .collect();
        let messages: u64 = results.iter().map(|measured| measured.verdict.acknowledged).sum();
        let check = match bad.is_empty() {
            true => format!("{} messages, once and in order", short(messages as f64)),
            false => format!("<b class=\"bad\">{}</b>", bad.join("; ")),
        };
        let _ = write!(
            text,
            "<tr><td>{name}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td class=\"check\">{check}</tr>",
            median(Measured::rate),
            median(Measured::server_cpu_us),
            median(Measured::client_cpu_us),
            median(|measured| measured.latency().p50_ms),
            median(|measured| measured.latency().p99_ms),
            median(|measured| measured.latency().p999_ms),
            median(Measured::device_bytes_per_body_byte),
            median(Measured::flushes_per_message),
            median(Measured::switches_per_message),
            median(|measured| measured.cost.resident_bytes as f64 / 1e6),
        );
    }
    text.push_str("</tbody></table></div>");
    text
}

/// Only with two depths at least.
fn depth(comparison: &Comparison) -> String {
    let deep: Vec<&Compared> =
        comparison.scenarios.iter().filter(|scenario| scenario.name.starts_with("depth-")).collect();
    if deep.len() < 2 {
        return String::new();
    }
    let depth_of = |scenario: &Compared| {
        scenario.results.iter().flatten().next().map(|measured| measured.work.depth as f64)
    };
    let lines = |value: fn(&Measured) -> f64| -> Vec<Line> {
        (0..comparison.systems.len())
            .map(|column| {
                let point = |scenario: &&Compared| {
                    Some((depth_of(scenario)?, spread_of(&scenario.results[column], value)?.median))
                };
                Line {
                    name: marked(comparison, column),
                    colour: column,
                    points: deep.iter().filter_map(point).collect(),
                }
            })
            .collect()
    };
    let axes = |y_title| Axes {
        x_title: "messages on the queue",
        y_title,
        x_ticks: deep
            .iter()
            .filter_map(|scenario| depth_of(scenario))
            .map(|depth| (depth, short(depth)))
            .collect(),
        x_scale: Scale::Log,
        y_scale: Scale::Linear,
    };
    format!(
        "<h2>Cost against depth</h2><div class=\"cards\">{}{}</div>",
        card(
            "server CPU a message",
            "a flat line is what one wants",
            &plot::lines(&axes("microseconds"), &lines(Measured::server_cpu_us))
        ),
        card(
            "puts and gets a second",
            "a flat line is what one wants",
            &plot::lines(&axes("messages a second"), &lines(Measured::rate))
        ),
    )
}

fn gaps(comparison: &Comparison) -> String {
    if comparison.gaps.is_empty() {
        return String::new();
    }
    let mut text = String::from("<h2>When the leader fails</h2><div class=\"cards\">");
    for (fault, title, note) in [
        (Fault::Kill, "its process dies (SIGKILL)", "longest time without a put; less is better"),
        (Fault::Stop, "its process hangs (SIGSTOP)", "longest time without a put; less is better"),
        (Fault::Cut, "its network is cut", "longest time without a put; less is better"),
    ] {
        let bars: Vec<Bar> = comparison
            .systems
            .iter()
            .enumerate()
            .filter_map(|(column, about)| {
                let same =
                    comparison.gaps.iter().filter(|gap| gap.fault == fault && gap.about.name == about.name);
                let spread = Spread::of(same.map(|gap| gap.gap_ms))?;
                Some(bar(marked(comparison, column), column, spread, |ms| match ms >= 1000.0 {
                    true => format!("{:.1} s", ms / 1000.0),
                    false => format!("{ms:.0} ms"),
                }))
            })
            .collect();
        text.push_str(&card(title, note, &plot::bars(title, &bars)));
    }
    text.push_str("</div>");
    text
}

fn setup(comparison: &Comparison) -> String {
    let mut text = format!("<h2>How it was measured</h2><p>{}</p><dl>", escape(&comparison.machine));
    for (column, about) in comparison.systems.iter().enumerate() {
        let _ = write!(
            text,
            "<dt>{}</dt><dd>{}<br>{}</dd>",
            escape(&marked(comparison, column)),
            escape(&about.version),
            escape(&about.settings)
        );
    }
    for reason in &comparison.left_out {
        let _ = write!(text, "<dt>left out</dt><dd>{}</dd>", escape(reason));
    }
    text.push_str(
        "</dl><ul><li>Servers and load share the machine, so messages a second depend on what the load costs, too; CPU a \
         message of the servers does not.</li><li>Server CPU is user and system time of all threads of all \
         servers.</li><li>Disk bytes and flushes are those of the whole block device.</li><li>In a closed loop the next \
         message is sent when the window allows; its latency hides stalls. In an open loop messages are due at fixed times, \
         and latency counts from then.</li><li>Payloads are random bytes.</li></ul>",
    );
    text
}

const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Trimaran beside others</title>
<style>
:root { --ink:#17202a; --soft:#5b6875; --line:#dfe4ea; --back:#f5f7f9; --card:#fff; --bad:#b3261e;
  --c0:#0b6bcb; --c1:#e07b1f; --c2:#3c9a5f; --c3:#8e5bb5; --c4:#c2405a; --c5:#6b7785; --c6:#b59a1b; --c7:#2aa1a8; }
@media (prefers-color-scheme: dark) { :root { --ink:#e8edf2; --soft:#9aa7b4; --line:#313b46; --back:#12171d; --card:#1a2129;
  --bad:#ff8a80; --c0:#5aa9f5; --c1:#f29c4b; --c2:#62c189; --c3:#b58be0; --c4:#ee7790; --c5:#97a3b0; --c6:#d9c04f; --c7:#5cc9cf; } }
* { box-sizing:border-box } body { margin:0; background:var(--back); color:var(--ink); font:16px/1.5 system-ui,sans-serif }
main { max-width:1240px; margin:0 auto; padding:36px 24px 60px } h1 { font-size:30px; line-height:1.2; margin:0 0 8px }
h2 { font-size:21px; margin:44px 0 2px } .lead,.what { color:var(--soft); max-width:80ch; margin:0 0 16px }
.headline { margin-bottom:6px } .headline td { white-space:nowrap; vertical-align:middle } .headline b { font-size:26px; color:var(--c0); display:block; line-height:1.25 }
.headline td:first-child,.glance td:first-child { font-weight:600 } .glance td:first-child { max-width:34ch } td:first-child { white-space:nowrap } .glance td:first-child { white-space:normal } small { color:var(--soft) }
.legend { display:flex; flex-wrap:wrap; gap:6px 20px; margin:28px 0 0; padding:10px 0; position:sticky; top:0; background:var(--back); border-bottom:1px solid var(--line); z-index:1 } .legend svg { width:12px; height:12px; margin-right:7px }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr)); gap:16px }
figure { margin:0; background:var(--card); border:1px solid var(--line); border-radius:10px; padding:14px 16px }
figcaption { font-weight:600; margin-bottom:6px } figcaption small { font-weight:400; margin-left:10px }
figure svg { width:100%; height:auto; display:block } text { fill:var(--ink); font:13px system-ui,sans-serif }
.tick { fill:var(--soft); font-size:12px } .axis { fill:var(--soft); font-size:12.5px } .grid { stroke:var(--line) }
.value { font-weight:600 } .range { stroke:var(--ink); stroke-width:1.3; fill:none; opacity:.75 } polyline { fill:none; stroke-width:2.2; stroke-linejoin:round }
.c0{fill:var(--c0)} .c1{fill:var(--c1)} .c2{fill:var(--c2)} .c3{fill:var(--c3)} .c4{fill:var(--c4)} .c5{fill:var(--c5)} .c6{fill:var(--c6)} .c7{fill:var(--c7)}
.s0{stroke:var(--c0)} .s1{stroke:var(--c1)} .s2{stroke:var(--c2)} .s3{stroke:var(--c3)} .s4{stroke:var(--c4)} .s5{stroke:var(--c5)} .s6{stroke:var(--c6)} .s7{stroke:var(--c7)}
.scroll { overflow-x:auto; margin-top:14px } table { border-collapse:collapse; font-size:14px; width:100% }
th,td { padding:6px 10px; text-align:right; border-bottom:1px solid var(--line); vertical-align:bottom; font-variant-numeric:tabular-nums }
th { color:var(--soft); font-weight:500; line-height:1.25 } th:first-child,td:first-child,.check { text-align:left } .check { white-space:nowrap } .bad { white-space:normal } .bad { color:var(--bad) }
dt { font-weight:600; margin-top:10px } dd { margin:0; color:var(--soft) } ul { color:var(--soft); padding-left:20px }
</style></head><body><main>
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::About;

    #[test]
    fn what_could_not_be_measured_is_on_the_page_with_its_reason() {
        let about = |name: &str, durable| About {
            name: name.into(),
            version: "1 < 2".into(),
            settings: "all of them".into(),
            durable,
            copies: 3,
        };
        let comparison = Comparison {
            machine: "a machine".into(),
            rounds: 1,
            systems: vec![about("ours", true), about("theirs", false)],
            left_out: vec!["third: not installed".into()],
            scenarios: vec![Compared {
                name: "put".into(),
                title: "durable puts".into(),
                results: vec![Vec::new(), Vec::new()],
                failures: vec![Vec::new(), vec!["round 1: it did not start".into()]],
            }],
            gaps: Vec::new(),
        };
        let page = page(&comparison);
        for text in
            ["third: not installed", "round 1: it did not start", "theirs *", "not durable", "1 &lt; 2"]
        {
            assert!(page.contains(text), "{text} is not on the page");
        }
        assert!(!page.contains("src=") && !page.contains("href="), "a page that stands alone");
    }
}
