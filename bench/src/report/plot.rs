//! Small SVG plots. Colours are classes, `c0` to `c7`, which the page's style sheet fills in.

use std::fmt::Write;

const WIDTH: f64 = 560.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 42.0;
const PLOT_HEIGHT: f64 = 250.0;

pub struct Line {
    pub name: String,
    /// Number of the colour.
    pub colour: usize,
    pub points: Vec<(f64, f64)>,
}

pub struct Bar {
    pub name: String,
    pub colour: usize,
    pub value: f64,
    pub low: f64,
    pub high: f64,
    pub label: String,
}

/// How values become places.
#[derive(Clone, Copy, PartialEq)]
pub enum Scale {
    Linear,
    Log,
}

pub struct Axes<'a> {
    pub x_title: &'a str,
    pub y_title: &'a str,
    pub x_ticks: Vec<(f64, String)>,
    pub x_scale: Scale,
    pub y_scale: Scale,
}

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Lines over a common x axis.
pub fn lines(axes: &Axes, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| line.points.iter().copied());
    let x_values = || points().map(|point| point.0).chain(axes.x_ticks.iter().map(|tick| tick.0));
    let (x_low, x_high) = bounds(x_values());
    let (mut y_low, mut y_high) = bounds(points().map(|point| point.1));
    let y_ticks = match axes.y_scale {
        Scale::Log => {
            y_low = 10f64.powf(y_low.max(1e-3).log10().floor());
            y_high = 10f64.powf(y_high.max(y_low * 10.0).log10().ceil());
            decades(y_low, y_high)
        }
        Scale::Linear => {
            let step = nice_step(y_high / 5.0);
            y_high = (y_high / step).ceil().max(1.0) * step;
            y_low = 0.0;
            (0..=(y_high / step).round() as usize).map(|index| index as f64 * step).collect()
        }
    };
    let x_of = |x: f64| LEFT + (WIDTH - LEFT - RIGHT) * fraction(axes.x_scale, x, x_low, x_high);
    let y_of = |y: f64| TOP + PLOT_HEIGHT * (1.0 - fraction(axes.y_scale, y, y_low, y_high));

    let height = TOP + PLOT_HEIGHT + BOTTOM;
    let mut svg = open(height, &format!("{} against {}", axes.y_title, axes.x_title));
    for y in y_ticks {
        let at = y_of(y);
        let end = WIDTH - RIGHT;
        let _ = write!(svg, r#"<line class="grid" x1="{LEFT}" x2="{end}" y1="{at:.1}" y2="{at:.1}"/>"#);
        let _ = write!(
            svg,
            r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            LEFT - 6.0,
            at + 4.0,
            short(y)
        );
    }
    let base = TOP + PLOT_HEIGHT;
    for (x, label) in &axes.x_ticks {
        let at = x_of(*x);
        let _ = write!(svg, r#"<line class="grid" x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{base}"/>"#);
        let _ = write!(
            svg,
            r#"<text class="tick" x="{at:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            base + 16.0,
            escape(label)
        );
    }
    let _ = write!(
        svg,
        r#"<text class="axis" x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
        (LEFT + WIDTH - RIGHT) / 2.0,
        base + 35.0,
        escape(axes.x_title)
    );
    let _ = write!(
        svg,
        r#"<text class="axis" transform="translate(13 {:.1}) rotate(-90)" text-anchor="middle">{}</text>"#,
        TOP + PLOT_HEIGHT / 2.0,
        escape(axes.y_title)
    );
    for line in lines {
        let path: Vec<String> =
            line.points.iter().map(|(x, y)| format!("{:.1},{:.1}", x_of(*x), y_of(*y))).collect();
        let _ = write!(
            svg,
            r#"<polyline class="s{}" points="{}"><title>{}</title></polyline>"#,
            line.colour,
            path.join(" "),
            escape(&line.name)
        );
        if line.points.len() <= 8 {
            for (x, y) in &line.points {
                let _ = write!(
                    svg,
                    r#"<circle class="c{}" cx="{:.1}" cy="{:.1}" r="3.5"><title>{}: {}</title></circle>"#,
                    line.colour,
                    x_of(*x),
                    y_of(*y),
                    escape(&line.name),
                    short(*y)
                );
            }
        }
    }
    svg.push_str("</svg>");
    svg
}

/// Bars from left to right, one below the other, with the range of rounds.
pub fn bars(title: &str, bars: &[Bar]) -> String {
    const ROW: f64 = 34.0;
    const NAME: f64 = 118.0;
    const LABEL: f64 = 92.0;
    let height = TOP + ROW * bars.len() as f64 + 4.0;
    let high = bars.iter().map(|bar| bar.high).fold(f64::MIN_POSITIVE, f64::max);
    let room = WIDTH - NAME - LABEL;
    let mut svg = open(height, title);
    for (row, bar) in bars.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        let width = (bar.value / high * room).max(1.0);
        let _ = write!(
            svg,
            r#"<text class="name" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            NAME - 8.0,
            y + 16.0,
            escape(&bar.name)
        );
        let _ = write!(
            svg,
            r#"<rect class="c{}" x="{NAME}" y="{y:.1}" width="{width:.1}" height="22" rx="3"/>"#,
            bar.colour
        );
        if bar.high > bar.low {
            let (low, high) = (NAME + bar.low / high * room, NAME + bar.high / high * room);
            let middle = y + 11.0;
            let _ = write!(
                svg,
                r#"<path class="range" d="M{low:.1} {middle:.1}H{high:.1}M{low:.1} {0:.1}V{1:.1}M{high:.1} {0:.1}V{1:.1}"/>"#,
                y + 7.0,
                y + 15.0
            );
        }
        let end = (NAME + bar.high / high * room).max(NAME + width) + 7.0;
        let _ = write!(
            svg,
            r#"<text class="value" x="{end:.1}" y="{:.1}">{}</text>"#,
            y + 16.0,
            escape(&bar.label)
        );
    }
    svg.push_str("</svg>");
    svg
}

fn open(height: f64, title: &str) -> String {
    format!(
        r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{0}"><title>{0}</title>"#,
        escape(title)
    )
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low.is_finite() { (low, high) } else { (0.0, 1.0) }
}

fn fraction(scale: Scale, value: f64, low: f64, high: f64) -> f64 {
    let (value, low, high) = match scale {
        Scale::Linear => (value, low, high),
        Scale::Log => (value.max(1e-9).log10(), low.max(1e-9).log10(), high.max(1e-9).log10()),
    };
    if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 }
}

fn decades(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = (low.log10().round() as i32, high.log10().round() as i32);
    (first..=last).map(|power| 10f64.powi(power)).collect()
}

/// 1, 2 or 5 times a power of ten, at least as large.
fn nice_step(least: f64) -> f64 {
    let power = 10f64.powf(least.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= least)
        .unwrap_or(power)
}

/// A number for people: 12.3 k, 0.05.
pub fn short(value: f64) -> String {
    let trim = |text: String| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text,
    };
    match value.abs() {
        0.0 => "0".into(),
        size if size >= 1e6 => format!("{} M", trim(format!("{:.1}", value / 1e6))),
        size if size >= 1e4 => format!("{} k", trim(format!("{:.1}", value / 1e3))),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => trim(format!("{value:.1}")),
        size if size >= 1.0 => trim(format!("{value:.2}")),
        _ => trim(format!("{value:.3}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (0.05, "0.05"),
            (3.0, "3"),
            (1.118, "1.12"),
            (12.34, "12.3"),
            (900.0, "900"),
            (61_234.0, "61.2 k"),
            (2e6, "2 M"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn steps_are_round() {
        assert_eq!(nice_step(0.7), 1.0);
        assert_eq!(nice_step(1300.0), 2000.0);
        assert_eq!(nice_step(23.0), 50.0);
    }

    #[test]
    fn a_plot_without_points_is_still_a_plot() {
        let axes =
            Axes { x_title: "x", y_title: "y", x_ticks: vec![], x_scale: Scale::Linear, y_scale: Scale::Log };
        assert!(lines(&axes, &[]).ends_with("</svg>"));
    }
}
