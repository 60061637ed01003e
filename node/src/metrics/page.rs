//! A page of metrics in Prometheus' classic text format (version 0.0.4).
//!
//! Samples may be added in any order; the page keeps those of one metric together under its help, as the format
//! demands.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::catalog::{Kind, Metric};

/// The format's content type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A label and its value.
pub type Label<'a> = (&'static str, &'a str);

#[derive(Debug, Default)]
pub struct Page {
    samples: BTreeMap<&'static str, (&'static Metric, String)>,
}

impl Page {
    pub const CONTENT_TYPE: &'static str = CONTENT_TYPE;

    /// One sample of a counter or gauge.
    pub fn add(&mut self, metric: &'static Metric, labels: &[Label<'_>], value: f64) {
        debug_assert!(metric.kind != Kind::Histogram, "{} is a histogram", metric.name);
        let samples = self.samples_of(metric);
        write_sample(samples, metric.name, "", labels, None, value);
    }

    /// A histogram. `buckets` are upper bounds with how many observations were at or below each, rising.
    pub fn add_histogram(
        &mut self,
        metric: &'static Metric,
        labels: &[Label<'_>],
        buckets: impl IntoIterator<Item = (f64, u64)>,
        count: u64,
        sum: f64,
    ) {
        debug_assert!(metric.kind == Kind::Histogram, "{} is no histogram", metric.name);
        let samples = self.samples_of(metric);
        for (bound, cumulative) in buckets {
            write_sample(samples, metric.name, "_bucket", labels, Some(&number(bound)), cumulative as f64);
        }
        write_sample(samples, metric.name, "_bucket", labels, Some("+Inf"), count as f64);
        write_sample(samples, metric.name, "_sum", labels, None, sum);
        write_sample(samples, metric.name, "_count", labels, None, count as f64);
    }

    fn samples_of(&mut self, metric: &'static Metric) -> &mut String {
        &mut self.samples.entry(metric.name).or_insert_with(|| (metric, String::new())).1
    }

    pub fn into_text(self) -> String {
        let mut text = String::new();
        for (name, (metric, samples)) in self.samples {
            let help = metric.help.replace('\\', "\\\\").replace('\n', "\\n");
            let kind = metric.kind.as_str();
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            text.push_str(&samples);
        }
        text
    }
}

fn write_sample(
    out: &mut String,
    name: &str,
    suffix: &str,
    labels: &[Label<'_>],
    bound: Option<&str>,
    value: f64,
) {
    out.push_str(name);
    out.push_str(suffix);
    let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
    for (at, (label, value)) in all.enumerate() {
        out.push(if at == 0 { '{' } else { ',' });
        out.push_str(label);
        out.push_str("=\"");
        for character in value.chars() {
            match character {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                other => out.push(other),
            }
        }
        out.push('"');
    }
    if !labels.is_empty() || bound.is_some() {
        out.push('}');
    }
    out.push(' ');
    out.push_str(&number(value));
    out.push('\n');
}

fn number(value: f64) -> String {
    if value == f64::INFINITY { "+Inf".into() } else { format!("{value}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::catalog;

    #[test]
    fn samples_of_one_metric_stand_together_under_its_help() {
        let mut page = Page::default();
        page.add(&catalog::PUTS, &[("queue_manager", "A")], 3.0);
        page.add(&catalog::TERM, &[], 7.0);
        page.add(&catalog::PUTS, &[("queue_manager", "B\"\\")], 12345678901.0);
        let text = page.into_text();
        let puts = text.find("# TYPE trimaran_puts_total counter\n").unwrap();
        let samples = "trimaran_puts_total{queue_manager=\"A\"} 3\n\
                       trimaran_puts_total{queue_manager=\"B\\\"\\\\\"} 12345678901\n";
        assert_eq!(text[puts..].find(samples), Some("# TYPE trimaran_puts_total counter\n".len()));
        assert!(text.contains("trimaran_term 7\n"));
    }

    #[test]
    fn a_histogram_ends_with_infinity_sum_and_count() {
        let mut page = Page::default();
        page.add_histogram(&catalog::LOG_SYNC_SECONDS, &[("node", "a")], [(0.001, 2), (0.01, 5)], 6, 0.25);
        let text = page.into_text();
        let expected = "trimaran_log_sync_seconds_bucket{node=\"a\",le=\"0.001\"} 2\n\
                        trimaran_log_sync_seconds_bucket{node=\"a\",le=\"0.01\"} 5\n\
                        trimaran_log_sync_seconds_bucket{node=\"a\",le=\"+Inf\"} 6\n\
                        trimaran_log_sync_seconds_sum{node=\"a\"} 0.25\n\
                        trimaran_log_sync_seconds_count{node=\"a\"} 6\n";
        assert!(text.ends_with(expected), "{text}");
    }
}
