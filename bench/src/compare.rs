//! Systems side by side: the same scenarios on each, A B A B, so that a noisy minute hits all of them alike.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::bars::Held;
use crate::catch_up::CaughtUp;
use crate::failover::Gap;
use crate::load::{self, Measured};
use crate::machine;
use crate::raw;
use crate::restart::Restarted;
use crate::scenario::Scenario;
use crate::soak::Soaked;
use crate::system::{self, About, Place};

/// Everything that was measured; what reports are made from. Each command fills in its part, and parts are put together
/// with [`Comparison::add`].
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Comparison {
    pub machine: String,
    pub systems: Vec<About>,
    /// Systems that could not take part, with the reason.
    pub left_out: Vec<String>,
    pub scenarios: Vec<Compared>,
    pub gaps: Vec<Gap>,
    #[serde(default)]
    pub bars: Vec<Held>,
    #[serde(default)]
    pub caught_up: Vec<CaughtUp>,
    #[serde(default)]
    pub restarted: Vec<Restarted>,
    #[serde(default)]
    pub soaked: Vec<Soaked>,
    #[serde(default)]
    pub limits: Vec<raw::Limit>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Compared {
    pub name: String,
    pub title: String,
    /// For each system in the order of [`Comparison::systems`], one result a round.
    pub results: Vec<Vec<Measured>>,
    /// For each system, what stopped a round.
    pub failures: Vec<Vec<String>>,
}

impl Comparison {
    pub fn on_this_machine() -> Comparison {
        Comparison { machine: machine::describe(), ..Comparison::default() }
    }

    /// Most rounds of any system and scenario.
    pub fn rounds(&self) -> usize {
        let results = self.scenarios.iter().flat_map(|scenario| &scenario.results);
        results.map(Vec::len).max().unwrap_or(0)
    }

    /// Where results of a system are. It is added when it is new; another version is another system.
    fn column(&mut self, about: &About) -> usize {
        let same = |known: &About| known.name == about.name && known.version == about.version;
        if let Some(column) = self.systems.iter().position(same) {
            return column;
        }
        self.systems.push(about.clone());
        for scenario in &mut self.scenarios {
            scenario.results.push(Vec::new());
            scenario.failures.push(Vec::new());
        }
        self.systems.len() - 1
    }

    fn row(&mut self, name: &str, title: &str) -> usize {
        if let Some(row) = self.scenarios.iter().position(|scenario| scenario.name == name) {
            return row;
        }
        self.scenarios.push(Compared {
            name: name.into(),
            title: title.into(),
            results: vec![Vec::new(); self.systems.len()],
            failures: vec![Vec::new(); self.systems.len()],
        });
        self.scenarios.len() - 1
    }

    /// More rounds of the same, other scenarios, other systems, other parts.
    pub fn add(&mut self, other: Comparison) {
        if self.machine.is_empty() {
            self.machine = other.machine;
        }
        let columns: Vec<usize> = other.systems.iter().map(|about| self.column(about)).collect();
        for scenario in other.scenarios {
            let row = self.row(&scenario.name, &scenario.title);
            let own = &mut self.scenarios[row];
            for ((column, results), failures) in columns.iter().zip(scenario.results).zip(scenario.failures) {
                own.results[*column].extend(results);
                own.failures[*column].extend(failures);
            }
        }
        for reason in other.left_out {
            if !self.left_out.contains(&reason) {
                self.left_out.push(reason);
            }
        }
        self.gaps.extend(other.gaps);
        self.bars.extend(other.bars);
        self.caught_up.extend(other.caught_up);
        self.restarted.extend(other.restarted);
        self.soaked.extend(other.soaked);
        self.limits.extend(other.limits);
    }
}

/// Adds rounds to what is there, and saves after each of them.
pub async fn run(
    place: &Place,
    systems: &[String],
    scenarios: &[Scenario],
    rounds: usize,
    mut comparison: Comparison,
    save: &Path,
) -> Result<Comparison> {
    let mut names = Vec::new();
    for name in systems {
        match system::by_name(name, place) {
            Ok(system) => names.push((comparison.column(&system.about()), name.as_str())),
            Err(error) => comparison.left_out.push(format!("{name}: {error:#}")),
        }
    }
    let rows: Vec<usize> =
        scenarios.iter().map(|scenario| comparison.row(scenario.name, scenario.title)).collect();
    // A cluster of its own for each system and round: nothing is warm from the scenario before the last, and at no time
    // do two clusters share the machine.
    let mut run = 0;
    for round in 1..=rounds {
        for (column, name) in &names {
            let mut system = system::by_name(name, place)?;
            let started = load::start_warm(system.as_mut()).await;
            for (row, scenario) in rows.iter().zip(scenarios) {
                run += 1;
                let result = match &started {
                    Ok(()) => load::run(system.as_mut(), &scenario.work, run, &mut |_| {}).await,
                    Err(error) => Err(anyhow::anyhow!("{error:#}")),
                };
                let compared = &mut comparison.scenarios[*row];
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
                        compared.results[*column].push(measured);
                    }
                    Err(error) => {
                        eprintln!("round {round} {:<16} {name:<15} failed: {error:#}", scenario.name);
                        compared.failures[*column].push(format!("round {round}: {error:#}"));
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
    fn parts_are_put_together_by_the_names_of_systems_and_scenarios() {
        let about = |name: &str, version: &str| About {
            name: name.into(),
            version: version.into(),
            settings: String::new(),
            durable: true,
            copies: 3,
        };
        let part = |systems: &[About], scenario: &str, reason: &str| Comparison {
            machine: reason.into(),
            systems: systems.to_vec(),
            scenarios: vec![Compared {
                name: scenario.into(),
                title: scenario.into(),
                results: vec![Vec::new(); systems.len()],
                failures: vec![vec![reason.to_string()]; systems.len()],
            }],
            ..Comparison::default()
        };
        let mut whole = part(&[about("a", "1"), about("b", "1")], "put", "first");
        whole.add(part(&[about("b", "1"), about("c", "1")], "put", "second"));
        whole.add(part(&[about("a", "2")], "get", "third"));
        assert_eq!(whole.machine, "first");
        let names: Vec<&str> = whole.systems.iter().map(|about| about.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "a"]);
        assert_eq!(
            whole.scenarios[0].failures,
            [vec!["first"], vec!["first", "second"], vec!["second"], vec![]]
        );
        assert_eq!(whole.scenarios[1].failures, [vec![], vec![], vec![], vec!["third"]]);
    }
}
