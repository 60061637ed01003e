//! Work with a name: rows of the matrix that systems are compared by.

use crate::work::{Kind, Work};

pub struct Scenario {
    pub name: &'static str,
    pub title: &'static str,
    pub work: Work,
}

/// Seconds that are measured, and before them, unless the command line says otherwise.
pub const DURATION_S: f64 = 8.0;
pub const WARMUP_S: f64 = 2.0;

fn put(producers: usize, window: usize) -> Work {
    Work {
        kind: Kind::Put,
        size: 1024,
        producers,
        consumers: 4,
        queues: 1,
        window,
        depth: 0,
        rate: None,
        unit: 0,
        duration_s: DURATION_S,
        warmup_s: WARMUP_S,
    }
}

fn put_get(clients: usize, window: usize) -> Work {
    Work { kind: Kind::PutGet, consumers: clients, ..put(clients, window) }
}

pub fn all() -> Vec<Scenario> {
    let scenario = |name, title, work| Scenario { name, title, work };
    let sized = |size, work: Work| Work { size, ..work };
    let deep = |depth| Work { depth, ..put_get(4, 500) };
    let paced = |rate| Work { rate: Some(rate), ..put_get(4, 500) };
    vec![
        scenario("put-one", "durable puts, one client, one in flight", put(1, 1)),
        scenario("put-window", "durable puts, one client, window 100", put(1, 100)),
        scenario("put", "durable puts, saturated: 4 clients, window 500, one queue", put(4, 500)),
        scenario("put-get", "puts and gets, 4 + 4 clients, window 500, one queue", put_get(4, 500)),
        scenario(
            "put-get-queues",
            "puts and gets, 10 + 10 clients on 10 queues, window 500",
            Work { queues: 10, ..put_get(10, 500) },
        ),
        scenario("put-get-100", "puts and gets, 100 + 100 clients, one in flight each", put_get(100, 1)),
        scenario("put-get-paced", "puts and gets at 1,000/s, latency from the due time", paced(1000.0)),
        scenario("put-100b", "durable puts of 100 bytes", sized(100, put(4, 500))),
        scenario("put-64k", "durable puts of 64 KiB", sized(64 * 1024, put(4, 50))),
        scenario("put-1m", "durable puts of 1 MiB", sized(1024 * 1024, put(2, 8))),
        scenario("put-get-2k", "puts and gets of 2 KiB", sized(2048, put_get(4, 500))),
        scenario("depth-1k", "puts and gets with 1,000 queued", deep(1_000)),
        scenario("depth-100k", "puts and gets with 100,000 queued", deep(100_000)),
        scenario("depth-1m", "puts and gets with 1,000,000 queued", deep(1_000_000)),
    ]
}

/// Those with these names; none given: the ones that tell most in the least time.
pub fn choose(names: &[String]) -> anyhow::Result<Vec<Scenario>> {
    let default = ["put-one", "put", "put-get", "put-get-paced"].map(str::to_string);
    let names = if names.is_empty() { &default[..] } else { names };
    names
        .iter()
        .map(|name| {
            all().into_iter().find(|scenario| scenario.name == name).ok_or_else(|| {
                let names: Vec<&str> = all().iter().map(|scenario| scenario.name).collect();
                anyhow::anyhow!("there is no scenario \"{name}\"; choose from {}", names.join(", "))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_can_be_run_and_found() {
        for scenario in all() {
            scenario.work.check().unwrap();
            assert_eq!(choose(&[scenario.name.to_string()]).unwrap().len(), 1);
        }
        assert!(choose(&["nonsense".to_string()]).is_err());
        assert_eq!(choose(&[]).unwrap().len(), 4);
    }
}
