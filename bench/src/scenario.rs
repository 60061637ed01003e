//! Work with a name: the rows of the matrix that systems are compared by.
//!
//! Two more rows have commands of their own, because they do more than put load on queues: `failover` (the client's gap
//! when the leader dies or hangs) and `restart` (memory a million queued messages take, and how long a start takes with
//! them). `soak` runs for hours.

use crate::work::{Kind, Work};

pub struct Scenario {
    pub name: &'static str,
    pub title: &'static str,
    pub work: Work,
}

/// Seconds that are measured, and before them, unless the command line says otherwise.
pub const DURATION_S: f64 = 8.0;
pub const WARMUP_S: f64 = 2.0;

const KIB: usize = 1024;
const MIB: usize = 1024 * 1024;

fn put(producers: usize, window: usize) -> Work {
    Work {
        kind: Kind::Put,
        size: KIB,
        producers,
        consumers: 4,
        queues: 1,
        window,
        depth: 0,
        rate: None,
        unit: 0,
        duration_s: DURATION_S,
        warmup_s: WARMUP_S,
        share_of_max: None,
        idle_queues: 0,
        idle_clients: 0,
    }
}

pub fn put_get(clients: usize, window: usize) -> Work {
    Work { kind: Kind::PutGet, consumers: clients, ..put(clients, window) }
}

pub fn all() -> Vec<Scenario> {
    let scenario = |name, title, work| Scenario { name, title, work };
    let sized = |size, work: Work| Work { size, ..work };
    let deep = |depth| Work { depth, ..put_get(4, 500) };
    let paced = |rate| Work { rate: Some(rate), ..put_get(4, 500) };
    let browse =
        |depth| Work { kind: Kind::Browse, consumers: 1, producers: 0, window: 1000, depth, ..put(1, 500) };
    let busy_queues = |idle_queues| Work { queues: 10, idle_queues, ..put_get(10, 500) };
    let idle_clients = |idle_clients| Work { idle_clients, ..put_get(4, 500) };
    vec![
        // How much, and at what cost.
        scenario("put-one", "durable puts, one client, one in flight", put(1, 1)),
        scenario("put-window", "durable puts, one client, window 100", put(1, 100)),
        scenario("put", "durable puts, saturated: 4 clients, window 500, one queue", put(4, 500)),
        scenario("put-100", "durable puts, 100 clients, one in flight each", put(100, 1)),
        scenario("put-get", "puts and gets, 4 + 4 clients, window 500, one queue", put_get(4, 500)),
        scenario("put-get-100", "puts and gets, 100 + 100 clients, one in flight each", put_get(100, 1)),
        scenario(
            "put-get-units",
            "puts and gets in units of work of 10, 4 + 4 clients, window 500",
            Work { unit: 10, ..put_get(4, 500) },
        ),
        scenario("put-get-queues", "puts and gets, 10 + 10 clients on 10 queues, window 500", busy_queues(0)),
        // How soon.
        scenario("put-get-paced", "puts and gets at 1,000/s, latency from the due time", paced(1000.0)),
        scenario(
            "put-get-half",
            "puts and gets at half of the most, latency from the due time",
            Work { share_of_max: Some(0.5), ..put_get(4, 500) },
        ),
        // How large.
        scenario("put-100b", "durable puts of 100 bytes", sized(100, put(4, 500))),
        scenario("put-2k", "durable puts of 2 KiB", sized(2 * KIB, put(4, 500))),
        scenario("put-64k", "durable puts of 64 KiB", sized(64 * KIB, put(4, 50))),
        scenario("put-1m", "durable puts of 1 MiB", sized(MIB, put(2, 8))),
        scenario("put-4m", "durable puts of 4 MiB", sized(4 * MIB, put(2, 2))),
        scenario("put-100m", "durable puts of 100 MiB", sized(100 * MIB, put(1, 1))),
        scenario("put-get-2k", "puts and gets of 2 KiB", sized(2 * KIB, put_get(4, 500))),
        scenario("put-get-64k", "puts and gets of 64 KiB", sized(64 * KIB, put_get(4, 50))),
        scenario("put-get-4m", "puts and gets of 4 MiB", sized(4 * MIB, put_get(2, 2))),
        // How deep.
        scenario("depth-1k", "puts and gets with 1,000 queued", deep(1_000)),
        scenario("depth-10k", "puts and gets with 10,000 queued", deep(10_000)),
        scenario("depth-100k", "puts and gets with 100,000 queued", deep(100_000)),
        scenario("depth-1m", "puts and gets with 1,000,000 queued", deep(1_000_000)),
        scenario("browse", "browsing 100,000 messages, one client", browse(100_000)),
        scenario("browse-1m", "browsing 1,000,000 messages, one client", browse(1_000_000)),
        scenario(
            "browse-beside",
            "browsing 100,000 messages beside 5,000 puts a second",
            Work { producers: 4, rate: Some(5_000.0), ..browse(100_000) },
        ),
        // How many.
        scenario("queues-1k", "puts and gets on 10 queues beside 1,000 idle ones", busy_queues(1_000)),
        scenario("queues-10k", "puts and gets on 10 queues beside 10,000 idle ones", busy_queues(10_000)),
        scenario("queues-100k", "puts and gets on 10 queues beside 100,000 idle ones", busy_queues(100_000)),
        scenario("clients-1k", "puts and gets beside 1,000 idle clients", idle_clients(1_000)),
        scenario("clients-10k", "puts and gets beside 10,000 idle clients", idle_clients(10_000)),
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
