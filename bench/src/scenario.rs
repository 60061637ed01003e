//! Work with a name, for each row of the matrix that systems are compared by.
//!
//! Some rows do more than put load on queues and have commands of their own, see [`COMMANDS`].

use crate::work::{Kind, Work};

pub struct Scenario {
    pub name: &'static str,
    /// Which rows of the matrix it answers; empty where it is only good to know.
    pub rows: &'static [u8],
    pub title: &'static str,
    pub work: Work,
}

/// Rows of the matrix, 1 to this. Rows 8 (server CPU a message) and 9 (bytes to the disk) are columns of every result.
#[cfg(test)]
const ROWS: u8 = 18;

/// Commands that answer rows by themselves.
pub const COMMANDS: [(&str, &[u8], &str); 6] = [
    ("bars", &[1, 5, 6, 14, 17], "what must hold, measured in turns with what it is held against"),
    ("channels", &[5, 16], "channels beside gRPC streams, NATS and idle connections"),
    ("restart", &[10, 13], "memory of a million queued messages, and the time a start takes with them"),
    ("failover", &[11], "the client's gap when the leader dies, hangs or is cut off"),
    (
        "catch-up",
        &[12],
        "how fast a server that was away gets what it missed, and what that costs the others",
    ),
    ("soak", &[18], "the same load for hours, and whether anything grows"),
];

/// Seconds that are measured, and before them, unless the command line says otherwise.
pub const DURATION_S: f64 = 8.0;
pub const WARMUP_S: f64 = 2.0;

const KIB: usize = 1024;
const MIB: usize = 1024 * 1024;

pub fn put(producers: usize, window: usize) -> Work {
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
        beside: 0,
    }
}

pub fn put_get(clients: usize, window: usize) -> Work {
    Work { kind: Kind::PutGet, consumers: clients, ..put(clients, window) }
}

pub fn all() -> Vec<Scenario> {
    let scenario = |name, rows, title, work| Scenario { name, rows, title, work };
    let sized = |size, work: Work| Work { size, ..work };
    let deep = |depth| Work { depth, ..put_get(4, 500) };
    let paced = |rate| Work { rate: Some(rate), ..put_get(4, 500) };
    let browse =
        |depth| Work { kind: Kind::Browse, consumers: 1, producers: 0, window: 1000, depth, ..put(1, 500) };
    let busy_queues = |queues, idle_queues| Work { queues, idle_queues, ..put_get(queues, 2000 / queues) };
    let idle_clients = |idle_clients| Work { idle_clients, ..put_get(50, 20) };
    vec![
        // How much, and at what cost.
        scenario("put-one", &[1], "durable puts, one client, one in flight", put(1, 1)),
        scenario("put-window", &[2], "durable puts, one client, window 100", put(1, 100)),
        scenario("put", &[3, 8, 9], "durable puts, saturated: 4 clients, window 500, one queue", put(4, 500)),
        scenario("put-100", &[5], "durable puts, 100 clients, one in flight each", put(100, 1)),
        scenario(
            "put-get",
            &[4, 8, 9],
            "puts and gets, 4 + 4 clients, window 500, one queue",
            put_get(4, 500),
        ),
        scenario(
            "put-get-100",
            &[5],
            "puts and gets, 100 + 100 clients, one in flight each",
            put_get(100, 1),
        ),
        scenario(
            "put-get-units",
            &[],
            "puts and gets in units of work of 10, 4 + 4 clients, window 500",
            Work { unit: 10, ..put_get(4, 500) },
        ),
        // How soon.
        scenario("put-get-paced", &[7], "puts and gets at 1,000/s, latency from the due time", paced(1000.0)),
        scenario(
            "put-get-half",
            &[7],
            "puts and gets at half of the most, latency from the due time",
            Work { share_of_max: Some(0.5), ..put_get(4, 500) },
        ),
        // How large.
        scenario("put-100b", &[], "durable puts of 100 bytes", sized(100, put(4, 500))),
        scenario("put-2k", &[], "durable puts of 2 KiB", sized(2 * KIB, put(4, 500))),
        scenario("put-64k", &[], "durable puts of 64 KiB", sized(64 * KIB, put(4, 50))),
        scenario("put-1m", &[17], "durable puts of 1 MiB", sized(MIB, put(2, 8))),
        scenario("put-4m", &[], "durable puts of 4 MiB", sized(4 * MIB, put(2, 2))),
        scenario("put-100m", &[17], "durable puts of 100 MiB", sized(100 * MIB, put(1, 1))),
        scenario("put-get-2k", &[], "puts and gets of 2 KiB", sized(2 * KIB, put_get(4, 500))),
        scenario("put-get-64k", &[], "puts and gets of 64 KiB", sized(64 * KIB, put_get(4, 50))),
        scenario("put-get-4m", &[], "puts and gets of 4 MiB", sized(4 * MIB, put_get(2, 2))),
        scenario(
            "beside-100m",
            &[17],
            "puts and gets of 1 KiB at 1,000/s beside messages of 100 MiB",
            Work { beside: 100 * MIB, ..paced(1000.0) },
        ),
        // How deep.
        scenario("depth-1k", &[14], "puts and gets with 1,000 queued", deep(1_000)),
        scenario("depth-10k", &[14], "puts and gets with 10,000 queued", deep(10_000)),
        scenario("depth-100k", &[14], "puts and gets with 100,000 queued", deep(100_000)),
        scenario("depth-1m", &[14], "puts and gets with 1,000,000 queued", deep(1_000_000)),
        // Bodies of 100 bytes: with those of 1 KiB three copies take 35 GB.
        scenario(
            "depth-10m",
            &[14],
            "puts and gets of 100 bytes with 10,000,000 queued",
            sized(100, deep(10_000_000)),
        ),
        scenario("browse", &[], "browsing 100,000 messages, one client", browse(100_000)),
        scenario("browse-1m", &[6], "browsing 1,000,000 messages, one client", browse(1_000_000)),
        scenario(
            "browse-beside",
            &[6],
            "browsing 100,000 messages beside 5,000 puts a second",
            Work { producers: 4, rate: Some(5_000.0), ..browse(100_000) },
        ),
        // How many.
        scenario("put-get-queues", &[], "puts and gets, 10 + 10 clients on 10 queues", busy_queues(10, 0)),
        scenario("queues-100", &[15], "puts and gets on 100 queues, none idle", busy_queues(100, 0)),
        scenario(
            "queues-1k",
            &[15],
            "puts and gets on 100 queues beside 1,000 idle ones",
            busy_queues(100, 1_000),
        ),
        scenario(
            "queues-10k",
            &[15],
            "puts and gets on 100 queues beside 10,000 idle ones",
            busy_queues(100, 10_000),
        ),
        scenario(
            "queues-100k",
            &[15],
            "puts and gets on 100 queues beside 100,000 idle ones",
            busy_queues(100, 100_000),
        ),
        scenario("clients-100", &[16], "puts and gets by 50 + 50 clients, none idle", idle_clients(0)),
        scenario(
            "clients-1k",
            &[16],
            "puts and gets by 50 + 50 clients beside 1,000 idle ones",
            idle_clients(1_000),
        ),
        scenario(
            "clients-10k",
            &[16],
            "puts and gets by 50 + 50 clients beside 10,000 idle ones",
            idle_clients(10_000),
        ),
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

    #[test]
    fn every_row_of_the_matrix_is_answered() {
        let scenarios = all();
        let rows =
            scenarios.iter().map(|scenario| scenario.rows).chain(COMMANDS.iter().map(|command| command.1));
        let mut answered: Vec<u8> = rows.flatten().copied().collect();
        answered.sort();
        answered.dedup();
        assert_eq!(answered, (1..=ROWS).collect::<Vec<u8>>());
    }
}
