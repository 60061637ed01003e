//! The same load for hours, and whether anything grows: memory, disk, latency, and the rate itself.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::load::{self, Measured, Point};
use crate::system::System;
use crate::work::{Kind, Work};

/// A straight line through points over time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slope {
    pub mean: f64,
    pub per_hour: f64,
    /// Standard error of `per_hour`.
    pub error: f64,
}

impl Slope {
    /// Least squares. None with fewer than three points, which any line would fit.
    pub fn fit(points: &[(f64, f64)]) -> Option<Slope> {
        if points.len() < 3 {
            return None;
        }
        let count = points.len() as f64;
        let mean_x = points.iter().map(|point| point.0).sum::<f64>() / count;
        let mean = points.iter().map(|point| point.1).sum::<f64>() / count;
        let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
        if spread == 0.0 {
            return None;
        }
        let per_hour = points.iter().map(|(x, y)| (x - mean_x) * (y - mean)).sum::<f64>() / spread;
        let left: f64 = points.iter().map(|(x, y)| (y - mean - per_hour * (x - mean_x)).powi(2)).sum();
        let error = (left / (count - 2.0) / spread).sqrt();
        Some(Slope { mean, per_hour, error })
    }

    /// Twice its error away from zero, and more than a hundredth of the mean an hour.
    pub fn is_flat(&self) -> bool {
        self.per_hour.abs() <= 2.0 * self.error || self.per_hour.abs() <= self.mean.abs() / 100.0
    }
}

/// What one measure did over time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trend {
    pub what: String,
    pub unit: String,
    pub slope: Option<Slope>,
}

impl Trend {
    /// "flat", or which way it went.
    pub fn verdict(&self) -> &'static str {
        match &self.slope {
            None => "too few points",
            Some(slope) if slope.is_flat() => "flat",
            Some(slope) if slope.per_hour > 0.0 => "GROWS",
            Some(_) => "FALLS",
        }
    }

    pub fn describe(&self) -> String {
        let Some(slope) = self.slope else {
            return format!("  {:<18} too few points for a line", self.what);
        };
        format!(
            "  {:<18} {:>10.2} {:<5} {:>+10.3} an hour, ± {:.3}  {}",
            self.what,
            slope.mean,
            self.unit,
            slope.per_hour,
            slope.error,
            self.verdict()
        )
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Soaked {
    pub measured: Measured,
    pub trends: Vec<Trend>,
}

/// Puts and gets, at half of the most unless `work` says otherwise. Points go to `lines` as they come, one JSON object a
/// line, so that a soak that is broken off is not lost.
pub async fn run(system: &mut dyn System, work: &Work, lines: &Path) -> Result<Soaked> {
    anyhow::ensure!(work.kind == Kind::PutGet, "a soak puts and gets: a queue that only grows is not flat");
    let mut file = File::create(lines).with_context(|| format!("create {}", lines.display()))?;
    let mut unwritten = None;
    let mut observe = |point: &Point| {
        let line = serde_json::to_string(point).expect("numbers become JSON");
        if let Err(error) = writeln!(file, "{line}") {
            unwritten = Some(error);
        }
    };
    let measured = load::run(system, work, 1, &mut observe).await?;
    if let Some(error) = unwritten {
        eprintln!("{}: {error}", lines.display());
    }
    let trends = trends(&measured.series);
    Ok(Soaked { measured, trends })
}

fn trends(series: &[Point]) -> Vec<Trend> {
    let trend = |what: &str, unit: &str, value: fn(&Point) -> f64| {
        let points: Vec<(f64, f64)> =
            series.iter().map(|point| (point.at_s / 3600.0, value(point))).collect();
        Trend { what: what.into(), unit: unit.into(), slope: Slope::fit(&points) }
    };
    vec![
        trend("resident memory", "MB", |point| point.resident_bytes as f64 / 1e6),
        trend("disk", "MB", |point| point.disk_bytes as f64 / 1e6),
        trend("p99", "ms", |point| point.p99_ms),
        trend("messages", "/s", |point| point.gets_per_s),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_exactly() {
        let points: Vec<(f64, f64)> = (0..10).map(|x| (x as f64, 5.0 + 3.0 * x as f64)).collect();
        let slope = Slope::fit(&points).unwrap();
        assert!((slope.per_hour - 3.0).abs() < 1e-9 && slope.error < 1e-9, "{slope:?}");
        assert!((slope.mean - 18.5).abs() < 1e-9);
        assert!(!slope.is_flat());
    }

    #[test]
    fn the_error_is_that_of_the_textbook() {
        // y = 1, 3, 2, 5 over x = 0..4: slope 1.1, residuals sum to 2.7, error sqrt(2.7 / 2 / 5).
        let slope = Slope::fit(&[(0.0, 1.0), (1.0, 3.0), (2.0, 2.0), (3.0, 5.0)]).unwrap();
        assert!((slope.per_hour - 1.1).abs() < 1e-9);
        assert!((slope.error - (2.7f64 / 2.0 / 5.0).sqrt()).abs() < 1e-9, "{slope:?}");
    }

    #[test]
    fn noise_without_a_trend_is_flat_and_a_leak_in_noise_is_not() {
        let noise = |x: usize| ((x * 2_654_435_761) % 1000) as f64 / 10.0;
        let flat: Vec<(f64, f64)> = (0..500).map(|x| (x as f64 / 60.0, 1000.0 + noise(x))).collect();
        assert!(Slope::fit(&flat).unwrap().is_flat());
        let leak: Vec<(f64, f64)> =
            (0..500).map(|x| (x as f64 / 60.0, 1000.0 + noise(x) + x as f64)).collect();
        assert!(!Slope::fit(&leak).unwrap().is_flat());
    }

    #[test]
    fn two_points_are_not_a_trend() {
        assert_eq!(Slope::fit(&[(0.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(Slope::fit(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
    }
}
