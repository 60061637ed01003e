//! One HTML page of a comparison, with nothing outside of it: for a manager on the first screen, for an engineer below.

mod plot;

use std::fmt::Write;

use crate::compare::{Compared, Comparison};
use crate::failover::Fault;
use crate::load::{Latency, Measured};
use crate::soak::Slope;
use crate::spread::Spread;
use crate::text::{median_of, ratios, spread_of};
use crate::work::Kind;
use plot::{Axes, Bar, Line, Scale, escape, short};

pub fn page(comparison: &Comparison) -> String {
    let mut page = String::from(HEAD);
    let mut add = |text: String| page.push_str(&text);
    add(heading(comparison));
    add(summary(comparison));
    add(bars_held(comparison));
    add(glance(comparison));
    if comparison.scenarios.iter().flat_map(|scenario| &scenario.results).any(|results| !results.is_empty()) {
        add(legend(comparison));
    }
    // Depths have plots of their own, all in one.
    let (deep, others): (Vec<&Compared>, Vec<&Compared>) =
        comparison.scenarios.iter().partition(|scenario| scenario.name.starts_with("depth-"));
    others.iter().for_each(|scenario| add(section(comparison, scenario)));
    add(depth(comparison));
    for scenario in deep {
        let title = escape(&scenario.title);
        add(format!("<details><summary>{title}</summary>{}</details>", section(comparison, scenario)));
    }
    add(gaps(comparison));
    add(caught_up(comparison));
    add(restarted(comparison));
    add(soaked(comparison));
    add(limits(comparison));
    add(setup(comparison));
    page.push_str("</main></body></html>\n");
    page
}

fn heading(comparison: &Comparison) -> String {
    let mut names = comparison.systems.iter().map(|about| escape(&about.name));
    let first = names.next().unwrap_or_else(|| "Measured".into());
    let others: Vec<String> = names.collect();
    let beside = if others.is_empty() { String::new() } else { format!(" beside {}", others.join(", ")) };
    let checked: u64 = all_results(comparison).map(|measured| measured.verdict.acknowledged).sum();
    let bad = all_results(comparison).filter(|measured| !measured.verdict.is_good()).count();
    let verdict = match (checked, bad) {
        (0, _) => String::new(),
        (_, 0) => format!(
            " {} acknowledged messages were checked one by one: none was lost, doubled, damaged or out of order.",
            short(checked as f64)
        ),
        (_, bad) => format!(
            " <b class=\"bad\">{bad} of the runs lost, doubled, damaged or disordered messages</b>; the tables below \
             say which."
        ),
    };
    format!(
        "<h1>{first}<small>{beside}</small></h1><p class=\"lead\">The same work on each, on one machine, up to {} \
         round{} taken in turns, with a cluster of its own for each system and round. Figures are medians; a range goes from the \
         lowest to the highest round.{verdict}</p><p class=\"what\">{}</p>",
        comparison.rounds(),
        if comparison.rounds() == 1 { "" } else { "s" },
        escape(&comparison.machine)
    )
}

fn all_results(comparison: &Comparison) -> impl Iterator<Item = &Measured> {
    comparison.scenarios.iter().flat_map(|scenario| scenario.results.iter().flatten())
}

fn card(title: &str, note: &str, svg: &str) -> String {
    format!("<figure><figcaption>{}<small>{}</small></figcaption>{svg}</figure>", escape(title), escape(note))
}

/// Name of a system, marked when its figures mean less.
fn marked(comparison: &Comparison, column: usize) -> String {
    let about = &comparison.systems[column];
    if about.durable { about.name.clone() } else { format!("{} *", about.name) }
}

/// A column of the first table.
struct Column<'a> {
    title: &'static str,
    unit: &'static str,
    /// More is better; otherwise less is.
    more: bool,
    value: Box<dyn Fn(usize) -> Option<Spread> + 'a>,
}

/// The table that says it all: systems from top to bottom, what people ask first from left to right.
fn summary(comparison: &Comparison) -> String {
    let of = |scenario: &'static str, value: fn(&Measured) -> f64| {
        Box::new(move |column: usize| {
            let found = comparison.scenarios.iter().find(|compared| compared.name == scenario)?;
            spread_of(&found.results[column], value)
        })
    };
    let gap = |fault: Fault| {
        Box::new(move |column: usize| {
            let name = &comparison.systems[column].name;
            let same = comparison.gaps.iter().filter(|gap| gap.fault == fault && gap.about.name == *name);
            Spread::of(same.map(|gap| gap.gap_ms / 1000.0))
        })
    };
    let cpu = Measured::server_cpu_us;
    let disk = Measured::device_bytes_per_body_byte;
    let p50 = |measured: &Measured| measured.put_latency.p50_ms;
    let p99 = |measured: &Measured| measured.latency().p99_ms;
    let columns = [
        Column { title: "puts", unit: "a second", more: true, value: of("put", Measured::rate) },
        Column { title: "server CPU", unit: "µs a put", more: false, value: of("put", cpu) },
        Column { title: "puts and gets", unit: "a second", more: true, value: of("put-get", Measured::rate) },
        Column { title: "server CPU", unit: "µs a put and get", more: false, value: of("put-get", cpu) },
        Column {
            title: "100 clients, one put in flight each",
            unit: "puts a second",
            more: true,
            value: of("put-100", Measured::rate),
        },
        Column { title: "one put in flight", unit: "ms, p50", more: false, value: of("put-one", p50) },
        Column {
            title: "at 1,000 puts and gets/s",
            unit: "ms, p99",
            more: false,
            value: of("put-get-paced", p99),
        },
        Column {
            title: "disk, puts that stay",
            unit: "bytes a body byte and node",
            more: false,
            value: of("put", disk),
        },
        Column {
            title: "disk, puts and gets",
            unit: "bytes a body byte and node",
            more: false,
            value: of("put-get", disk),
        },
        Column { title: "leader killed", unit: "s without a put", more: false, value: gap(Fault::Kill) },
        Column { title: "leader hangs", unit: "s without a put", more: false, value: gap(Fault::Stop) },
        Column { title: "leader cut off", unit: "s without a put", more: false, value: gap(Fault::Cut) },
    ];
    let systems = comparison.systems.len();
    let known = |column: &&Column| (0..systems).any(|system| (column.value)(system).is_some());
    let columns: Vec<&Column> = columns.iter().filter(known).collect();
    if columns.is_empty() {
        return String::new();
    }
    let mut text = String::from("<div class=\"scroll\"><table class=\"summary\"><thead><tr><th>");
    for column in &columns {
        let _ = write!(text, "<th>{}<small>{}</small>", column.title, column.unit);
    }
    text.push_str("</tr></thead><tbody>");
    for system in 0..systems {
        let dot = format!(
            "<svg viewBox=\"0 0 12 12\"><rect class=\"c{system}\" width=\"12\" height=\"12\" rx=\"3\"/></svg>"
        );
        let _ = write!(text, "<tr><td>{dot}{}", escape(&marked(comparison, system)));
        for column in &columns {
            let Some(spread) = (column.value)(system) else {
                text.push_str("<td class=\"none\">–");
                continue;
            };
            let range = match spread.low < spread.high {
                true => format!("{} – {}", short(spread.low), short(spread.high)),
                false => String::new(),
            };
            let _ = write!(text, "<td><b>{}</b><small>{range}</small>", short(spread.median));
            if let Some(first) = (column.value)(0).filter(|_| system > 0) {
                let better = if column.more { first.ratio(spread) } else { spread.ratio(first) };
                let class = match better.median {
                    times if times > 1.05 => "good",
                    times if times < 0.95 => "bad",
                    _ => "same",
                };
                let _ = write!(
                    text,
                    "<i class=\"{class}\" title=\"{} to {} ×\">{} ×</i>",
                    short(better.low),
                    short(better.high),
                    short(better.median)
                );
            }
        }
        text.push_str("</tr>");
    }
    let first = comparison.systems.first().map_or("", |about| &about.name);
    let _ = write!(
        text,
        "</tbody></table></div><p class=\"what\">Coloured: how many times better {} is, by medians (less than 1: how much \
         worse). Small: lowest and highest round.{}</p>",
        escape(first),
        match comparison.systems.iter().all(|about| about.durable) {
            true => "",
            false => " * is not durable: it acknowledges before a message is on any disk.",
        }
    );
    text
}

/// What must hold, with what it was held against.
fn bars_held(comparison: &Comparison) -> String {
    if comparison.bars.is_empty() {
        return String::new();
    }
    let hold = comparison.bars.iter().filter(|held| held.holds()).count();
    let mut text = format!(
        "<h2>What must hold</h2><p class=\"what\">{hold} of {} do. Each was measured in turns with what it is held against, \
         so that a noisy minute hits both.</p><div class=\"scroll\"><table class=\"bars\"><thead><tr><th><th>measured\
         <th>lowest – highest<th>bar<th></tr></thead><tbody>",
        comparison.bars.len()
    );
    for held in &comparison.bars {
        let spread = held.spread();
        let parts = held.parts.iter().filter_map(|part| {
            let spread = Spread::of(part.values.iter().copied())?;
            Some(format!("{} <b>{}</b> {}", escape(&part.what), short(spread.median), escape(&part.unit)))
        });
        let parts: Vec<String> = parts.collect();
        let (class, word) = if held.holds() { ("good", "holds") } else { ("bad", "missed") };
        let _ = write!(
            text,
            "<tr><td>{}<small>{}</small><td><b>{}</b> {}<td>{} – {}<td>{}<td><span class=\"chip {class}\">{word}</span></tr>",
            escape(&held.title),
            parts.join(" · "),
            short(spread.median),
            escape(&held.unit),
            short(spread.low),
            short(spread.high),
            escape(&held.bar_text()),
        );
    }
    text.push_str("</tbody></table></div>");
    text
}

/// Every scenario on one screen: messages a second and server CPU, the best of each row marked.
fn glance(comparison: &Comparison) -> String {
    if all_results(comparison).next().is_none() {
        return String::new();
    }
    let mut text = String::from(
        "<h2>Every scenario</h2><p class=\"what\">Messages a second, and below them microseconds of server CPU a message. \
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
    let millis = |value: f64| format!("{} ms", short(value));
    let what = match example.work.kind {
        Kind::Put => "puts",
        Kind::PutGet => "puts and gets",
        Kind::Browse => "messages browsed",
    };
    text.push_str(&match example.work.rate {
        None => card(
            &format!("{what} a second"),
            "more is better",
            &plot::bars("messages a second", &measure_bars(Measured::rate, per_second)),
        ),
        // All do the same then, unless they cannot.
        Some(_) => card(
            "99 of 100 messages were at least this fast",
            "from the due time; less is better",
            &plot::bars("latency, p99", &measure_bars(|measured| measured.latency().p99_ms, millis)),
        ),
    });
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
    let first = comparison.systems.first().map_or("", |about| &about.name);
    let mut text = format!(
        "<div class=\"scroll\"><table><thead><tr><th>system<th>rounds<th>messages<br>a second<th>server CPU<br>µs a \
         message<th>{0} does<br>messages<th>{0} takes<br>server CPU<th>load CPU<br>µs a message<th>p50<br>ms<th>p99<br>ms<th>p99.9<br>ms\
         <th>disk bytes<br>a body byte<br>and node<th>flushes<br>a message<th>switches<br>a message<th>memory<br>MB<th \
         class=\"check\">checked</tr></thead><tbody>",
        escape(first)
    );
    for (column, results) in scenario.results.iter().enumerate() {
        let name = escape(&marked(comparison, column));
        if results.is_empty() {
            let reasons = escape(&scenario.failures[column].join("; "));
            let _ = write!(text, "<tr><td>{name}<td colspan=\"14\" class=\"check\">{reasons}</tr>");
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
            true => format!("<span class=\"good\">✓</span> {}", short(messages as f64)),
            false => format!("<b class=\"bad\">{}</b>", bad.join("; ")),
        };
        let _ = write!(
            text,
            "<tr><td>{name}<td>{}<td>{}<td>{}{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td class=\"check\">{check}</tr>",
            results.len(),
            median(Measured::rate),
            median(Measured::server_cpu_us),
            ratio_cells(scenario, column),
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

/// The first system to another one, and the range from worst round against best to best against worst.
fn ratio_cells(scenario: &Compared, column: usize) -> String {
    let Some((rate, cpu)) = ratios(scenario, column).filter(|_| column > 0) else { return "<td><td>".into() };
    let cell = |ratio: Spread| {
        let range = format!("{} – {}", short(ratio.low), short(ratio.high));
        format!("<td><b>{} ×</b><br><small>{range}</small>", short(ratio.median))
    };
    format!("{}{}", cell(rate), cell(cpu))
}

/// Only with two depths at least, of bodies that are equally large.
fn depth(comparison: &Comparison) -> String {
    let example = |scenario: &Compared| {
        scenario
            .results
            .iter()
            .flatten()
            .next()
            .map(|measured| (measured.work.depth as f64, measured.work.size))
    };
    let all = comparison.scenarios.iter().filter(|scenario| scenario.name.starts_with("depth-"));
    let mut deep: Vec<(f64, usize, &Compared)> =
        all.filter_map(|scenario| example(scenario).map(|(depth, size)| (depth, size, scenario))).collect();
    deep.sort_by(|one, other| one.0.total_cmp(&other.0));
    let size = deep.first().map_or(0, |(_, size, _)| *size);
    deep.retain(|(_, other, _)| *other == size);
    if deep.len() < 2 {
        return String::new();
    }
    let lines = |value: fn(&Measured) -> f64| -> Vec<Line> {
        (0..comparison.systems.len())
            .map(|column| {
                let point = |(depth, _, scenario): &(f64, usize, &Compared)| {
                    Some((*depth, spread_of(&scenario.results[column], value)?.median))
                };
                Line {
                    name: marked(comparison, column),
                    colour: column,
                    points: deep.iter().filter_map(point).collect(),
                }
            })
            .filter(|line| !line.points.is_empty())
            .collect()
    };
    let axes = |y_title| Axes {
        x_title: "messages on the queue",
        y_title,
        x_ticks: deep.iter().map(|(depth, _, _)| (*depth, short(*depth))).collect(),
        x_scale: Scale::Log,
        y_scale: Scale::Linear,
    };
    let costs = lines(Measured::server_cpu_us);
    let mut text = format!(
        "<h2>Cost against depth</h2><p class=\"what\">Puts and gets of {size} bytes while so many messages wait on the queue. \
         A flat line is what one wants.</p><div class=\"cards\">{}{}</div>",
        card("server CPU a put and get", "all servers", &plot::lines(&axes("microseconds"), &costs)),
        card("puts and gets a second", "", &plot::lines(&axes("a second"), &lines(Measured::rate))),
    );
    text.push_str("<div class=\"scroll\"><table><thead><tr><th>server CPU, µs a put and get");
    deep.iter().for_each(|(depth, _, _)| text.push_str(&format!("<th>{} queued", short(*depth))));
    text.push_str("<th>deepest to shallowest</tr></thead><tbody>");
    for line in &costs {
        let _ = write!(text, "<tr><td>{}", escape(&line.name));
        for (depth, _, _) in &deep {
            let found = line.points.iter().find(|point| point.0 == *depth);
            let _ = write!(text, "<td>{}", found.map_or("–".into(), |point| short(point.1)));
        }
        let growth = line.points.last().expect("not empty").1 / line.points[0].1;
        let _ = write!(text, "<td><b>{growth:.2} ×</b></tr>");
    }
    text.push_str("</tbody></table></div>");
    text
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

fn caught_up(comparison: &Comparison) -> String {
    if comparison.caught_up.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<h2>When a server was away</h2><p class=\"what\">It is stopped, messages are put that stay, it is started: how long until \
         it has everything, once while nobody puts and once while others put as fast as they can.</p><div class=\"scroll\">\
         <table><thead><tr><th>system<th>missed<br>GB<th>nobody puts<br>s until in sync<th>MB/s<th>under load<br>s until in \
         sync<th>MB/s<th>puts/s<br>with all<th>puts/s<br>meanwhile<th>change</tr></thead><tbody>",
    );
    for away in &comparison.caught_up {
        let _ = write!(
            text,
            "<tr><td>{}<td>{:.2}<td>{:.1}<td>{}<td>{:.1}<td>{}<td>{}<td>{}<td>{:+.0} %</tr>",
            escape(&away.about.name),
            away.missed_bytes as f64 / 1e9,
            away.quiet_s,
            short(away.quiet_bytes_per_s() / 1e6),
            away.loaded_s,
            short(away.loaded_bytes_per_s() / 1e6),
            short(away.puts_before),
            short(away.puts_meanwhile),
            (away.puts_meanwhile / away.puts_before - 1.0) * 100.0
        );
    }
    text.push_str("</tbody></table></div>");
    text
}

fn restarted(comparison: &Comparison) -> String {
    if comparison.restarted.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<h2>What messages cost that wait</h2><p class=\"what\">A full queue rests, then all servers are stopped in good order and \
         started again.</p><div class=\"scroll\"><table><thead><tr><th>system<th>messages<th>bytes<br>each<th>memory, MB<br>a \
         million and node<th>disk bytes<br>a body byte and node<th>first message<br>s after the start</tr></thead><tbody>",
    );
    for full in &comparison.restarted {
        let copies = full.about.copies as f64;
        let bodies = full.messages as f64 * full.size as f64;
        let grown = full.resident_full as f64 - full.resident_empty as f64;
        let _ = write!(
            text,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            escape(&full.about.name),
            short(full.messages as f64),
            full.size,
            short(grown / full.messages as f64 / copies),
            short(full.disk_bytes as f64 / copies / bodies),
            short(full.first_get_s)
        );
    }
    text.push_str("</tbody></table></div>");
    text
}

fn soaked(comparison: &Comparison) -> String {
    let mut text = String::new();
    for soaked in &comparison.soaked {
        let _ = write!(
            text,
            "<h2>{} for {} hours</h2><p class=\"what\">{}</p><div class=\"scroll\"><table><thead><tr><th><th>mean<th>an \
             hour<th>±<th></tr></thead><tbody>",
            escape(&soaked.measured.about.name),
            short(soaked.measured.work.duration_s / 3600.0),
            escape(&soaked.measured.work.describe())
        );
        for trend in &soaked.trends {
            let number =
                |value: fn(&Slope) -> f64| trend.slope.as_ref().map_or("-".into(), |s| short(value(s)));
            let _ = write!(
                text,
                "<tr><td>{}, {}<td>{}<td>{}<td>{}<td>{}</tr>",
                escape(&trend.what),
                escape(&trend.unit),
                number(|slope| slope.mean),
                number(|slope| slope.per_hour),
                number(|slope| slope.error),
                trend.verdict()
            );
        }
        text.push_str("</tbody></table></div>");
    }
    text
}

fn limits(comparison: &Comparison) -> String {
    if comparison.limits.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<h2>What the machine allows</h2><p class=\"what\">Messages of 1 KiB without any queue.</p><div class=\"scroll\"><table>\
         <thead><tr><th><th>a second<th>p50<br>ms<th>p99<br>ms<th>CPU of all<br>µs a message<th>disk bytes<br>a body byte and \
         copy</tr></thead><tbody>",
    );
    for limit in &comparison.limits {
        let _ = write!(
            text,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            escape(&limit.name),
            short(limit.per_s),
            short(limit.p50_ms),
            short(limit.p99_ms),
            short(limit.cpu_us),
            short(limit.bytes_per_byte)
        );
    }
    text.push_str("</tbody></table></div>");
    text
}

fn setup(comparison: &Comparison) -> String {
    let mut text = String::from("<h2>How it was measured</h2><dl>");
    for (column, about) in comparison.systems.iter().enumerate() {
        let _ = write!(
            text,
            "<dt>{}</dt><dd>{}{}<br>{}</dd>",
            escape(&marked(comparison, column)),
            escape(&about.version),
            if about.durable { "" } else { ", not durable" },
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
         and latency counts from then.</li><li>Payloads are random bytes.</li><li>Ranges of ratios go from the worst round against the best to the best against the worst.</li></ul>",
    );
    text
}

const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Trimaran beside others</title>
<style>
:root { color-scheme:light dark; --ink:#17202a; --soft:#596673; --line:#e1e6eb; --back:#f4f6f8; --card:#fff; --own:#eef5fd; --good:#1a7f4b; --bad:#b3261e;
  --c0:#0b6bcb; --c1:#e07b1f; --c2:#3c9a5f; --c3:#8e5bb5; --c4:#c2405a; --c5:#6b7785; --c6:#a88a10; --c7:#1d949b; --c8:#7a4b2a; }
@media (prefers-color-scheme: dark) { :root { --ink:#e8edf2; --soft:#9aa7b4; --line:#2d3742; --back:#11161c; --card:#1a2129; --own:#1b2a3a; --good:#5fd39a;
  --bad:#ff8a80; --c0:#5aa9f5; --c1:#f29c4b; --c2:#62c189; --c3:#b58be0; --c4:#ee7790; --c5:#97a3b0; --c6:#d9c04f; --c7:#5cc9cf; --c8:#c99670; } }
* { box-sizing:border-box } body { margin:0; background:var(--back); color:var(--ink); font:16px/1.5 system-ui,"DejaVu Sans",sans-serif }
main { max-width:1400px; margin:0 auto; padding:36px 24px 64px }
h1 { font-size:34px; line-height:1.2; margin:0 0 10px; letter-spacing:-.01em } h1 small { font-size:20px; font-weight:400 } h2 { font-size:22px; margin:48px 0 4px }
.lead { max-width:96ch; margin:0 0 4px } .what { color:var(--soft); max-width:96ch; margin:0 0 14px; font-size:14.5px } small { color:var(--soft) }
.good { color:var(--good) } .bad { color:var(--bad) }
.scroll { overflow-x:auto; margin:14px 0 10px; background:var(--card); border:1px solid var(--line); border-radius:10px }
table { border-collapse:collapse; font-size:13.5px; width:100% }
th,td { padding:6px 9px; text-align:right; border-bottom:1px solid var(--line); vertical-align:middle; font-variant-numeric:tabular-nums }
tbody tr:last-child td { border-bottom:0 } th { vertical-align:bottom; color:var(--soft); font-weight:500; line-height:1.3; white-space:nowrap } .summary th,.glance th { white-space:normal } th:first-child,td:first-child,.check { text-align:left }
td:first-child { white-space:nowrap } .check { white-space:nowrap } .check .bad { white-space:normal }
.summary th { color:var(--ink); font-weight:600; font-size:13px } .summary th small { display:block; font-weight:400; line-height:1.25 }
.summary td { vertical-align:top; white-space:nowrap; padding:10px 12px } .summary td:first-child { font-weight:600; padding-top:13px } .summary td svg { width:11px; height:11px; margin-right:8px }
.summary b { font-size:18px; display:block; line-height:1.3 } .summary td small { display:block; font-size:11.5px; line-height:1.35 } .summary i { font-style:normal; font-weight:600; font-size:13.5px }
.summary tbody tr:first-child { background:var(--own) } .none { color:var(--soft) }
.bars td { vertical-align:top } .bars td:first-child { white-space:normal; font-weight:600; width:60% } .bars td small { display:block; font-weight:400; line-height:1.55 } .bars small b { color:var(--ink); font-weight:600 }
.chip { display:inline-block; padding:1px 10px; border-radius:20px; border:1px solid currentColor; font-size:12.5px; font-weight:600 }
.glance td:first-child { vertical-align:middle; white-space:normal; max-width:36ch; font-weight:600 }
.legend { display:flex; flex-wrap:wrap; gap:6px 20px; margin:32px 0 0; padding:10px 0; position:sticky; top:0; background:var(--back); border-bottom:1px solid var(--line); z-index:1 } .legend svg { width:12px; height:12px; margin-right:7px }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(min(560px,100%),1fr)); gap:16px }
figure { margin:0; background:var(--card); border:1px solid var(--line); border-radius:10px; padding:14px 16px }
figcaption { font-weight:600; margin-bottom:8px } figcaption small { font-weight:400; margin-left:10px }
figure svg { width:100%; height:auto; display:block } text { fill:var(--ink); font:13px system-ui,"DejaVu Sans",sans-serif }
.tick { fill:var(--soft); font-size:12px } .axis { fill:var(--soft); font-size:12.5px } .grid { stroke:var(--line) }
.value { font-weight:600 } .range { stroke:var(--ink); stroke-width:1.4; fill:none; opacity:.8 } polyline { fill:none; stroke-width:2.3; stroke-linejoin:round }
.c0{fill:var(--c0)} .c1{fill:var(--c1)} .c2{fill:var(--c2)} .c3{fill:var(--c3)} .c4{fill:var(--c4)} .c5{fill:var(--c5)} .c6{fill:var(--c6)} .c7{fill:var(--c7)} .c8{fill:var(--c8)}
.s0{stroke:var(--c0);stroke-width:3} .s1{stroke:var(--c1)} .s2{stroke:var(--c2)} .s3{stroke:var(--c3)} .s4{stroke:var(--c4)} .s5{stroke:var(--c5)} .s6{stroke:var(--c6)} .s7{stroke:var(--c7)} .s8{stroke:var(--c8)}
dt { font-weight:600; margin-top:12px } dd { margin:0; color:var(--soft); max-width:110ch } ul { color:var(--soft); padding-left:20px; max-width:110ch }
details { margin:10px 0 } summary { cursor:pointer; font-weight:600 } td br + small { font-size:11.5px; white-space:nowrap }
@media print { .legend { position:static } figure,.scroll { break-inside:avoid } }
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
            systems: vec![about("ours", true), about("theirs", false)],
            left_out: vec!["third: not installed".into()],
            scenarios: vec![Compared {
                name: "put".into(),
                title: "durable puts".into(),
                results: vec![Vec::new(), Vec::new()],
                failures: vec![Vec::new(), vec!["round 1: it did not start".into()]],
            }],
            ..Comparison::default()
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
