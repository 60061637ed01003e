//! Systems side by side: the same scenarios on each, A B A B, so that a noisy minute hits all of them alike.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::failover::Gap;
use crate::load::{self, Measured};
use crate::machine;
use crate::scenario::Scenario;
use crate::system::{self, About, Place};

/// Everything of one comparison; what reports are made from.
#[derive(Serialize, Deserialize)]
pub struct Comparison {
    pub machine: String,
    pub rounds: usize,
    pub systems: Vec<About>,
    /// Systems that could not take part, with the reason.
    pub left_out: Vec<String>,
    pub scenarios: Vec<Compared>,
    pub gaps: Vec<Gap>,
}

#[derive(Serialize, Deserialize)]
pub struct Compared {
    pub name: String,
    pub title: String,
    /// For each system in the order of [`Comparison::systems`], one result a round.
    pub results: Vec<Vec<Measured>>,
    /// For each system, what stopped a round.
    pub failures: Vec<Vec<String>>,
}

/// Middle value and how far the others are from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Spread { median, low, high })
    }

    /// How many times `self` is of `other`, round against round at the extremes.
    pub fn ratio(self, other: Spread) -> Spread {
        Spread { median: self.median / other.median, low: self.low / other.high, high: self.high / other.low }
    }
}

pub async fn run(
    place: &Place,
    systems: &[String],
    scenarios: &[Scenario],
    rounds: usize,
    save: &Path,
) -> Result<Comparison> {
    let mut comparison = Comparison {
        machine: machine::describe(),
        rounds,
        systems: Vec::new(),
        left_out: Vec::new(),
        scenarios: Vec::new(),
        gaps: Vec::new(),
    };
    let mut names = Vec::new();
    for name in systems {
        match system::by_name(name, place) {
            Ok(system) => {
                comparison.systems.push(system.about());
                names.push(name.as_str());
            }
            Err(error) => comparison.left_out.push(format!("{name}: {error:#}")),
        }
    }
    for scenario in scenarios {
        comparison.scenarios.push(Compared {
            name: scenario.name.into(),
            title: scenario.title.into(),
            results: names.iter().map(|_| Vec::new()).collect(),
            failures: names.iter().map(|_| Vec::new()).collect(),
        });
    }
    // A cluster of its own for each system and round: nothing is warm from the scenario before the last, and at no time
    // do two clusters share the machine.
    let mut run = 0;
    for round in 1..=rounds {
        for (column, name) in names.iter().enumerate() {
            let mut system = system::by_name(name, place)?;
            let started = load::start_warm(system.as_mut()).await;
            for (row, scenario) in scenarios.iter().enumerate() {
                run += 1;
                let result = match &started {
                    Ok(()) => load::run(system.as_mut(), &scenario.work, run, &mut |_| {}).await,
                    Err(error) => Err(anyhow::anyhow!("{error:#}")),
                };
                let compared = &mut comparison.scenarios[row];
                match result {
                    Ok(measured) => {
                        eprintln!(
                            "round {round} {:<16} {name:<15} {:>9.0}/s {:>7.1} µs a message, p99 {:>8.2} ms; {}",
                            scenario.name,
                            measured.rate(),
                            measured.server_cpu_us(),
                            measured.put_latency.p99_ms,
                            measured.verdict.describe()
                        );
                        compared.results[column].push(measured);
                    }
                    Err(error) => {
                        eprintln!("round {round} {:<16} {name:<15} failed: {error:#}", scenario.name);
                        compared.failures[column].push(format!("round {round}: {error:#}"));
                    }
                }
            }
            system.stop()?;
            // What is there survives an interrupted comparison.
            std::fs::write(save, serde_json::to_vec_pretty(&comparison)?)?;
        }
    }
    Ok(comparison)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_spans_the_worst_and_the_best_pairing() {
        let ours = Spread::of([30.0, 10.0, 20.0]).unwrap();
        let theirs = Spread::of([5.0, 4.0]).unwrap();
        assert_eq!(ours, Spread { median: 20.0, low: 10.0, high: 30.0 });
        assert_eq!(ours.ratio(theirs), Spread { median: 20.0 / 4.5, low: 2.0, high: 7.5 });
        assert_eq!(Spread::of([]), None);
    }
}
