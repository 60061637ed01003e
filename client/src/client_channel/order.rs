//! Which channels of a table are for a queue manager, and in which order they are tried.
//!
//! As MQ has it: those without a weight first, by name, then the others by chance and weight. Chance is a number for each
//! channel that comes from the host where all programs of it shall agree (AFFINITY), and otherwise from the connection.

use super::definition::{Affinity, Definition};

/// What chance goes by: two numbers, the same for one host, and of this connection only.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    /// The same for all programs of this host.
    pub host: u64,
    /// Of this connection only.
    pub connection: u64,
}

impl Chance {
    /// By the name of the host and a number that nobody else has.
    pub fn of(host: &str, connection: u64) -> Chance {
        Chance { host: mixed(host.as_bytes(), 0), connection }
    }

    /// From above 0 to 1, evenly.
    fn draw(&self, definition: &Definition) -> f64 {
        let seed = match definition.affinity {
            Affinity::Preferred => self.host,
            Affinity::None => self.connection,
        };
        let number =
            mixed(definition.addresses.join(",").as_bytes(), mixed(definition.channel.as_bytes(), seed));
        ((number >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}

/// FNV-1a, and the end of SplitMix64 so that near texts are far from each other.
fn mixed(bytes: &[u8], seed: u64) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// The name by which a table is searched, and the name that the queue manager must have; none behind an asterisk.
///
/// ```
/// use trimaran_client::client_channel::asked_of;
///
/// assert_eq!(asked_of("QM1"), ("QM1", "QM1"));
/// assert_eq!(asked_of("*SHOPS"), ("SHOPS", ""));
/// ```
pub fn asked_of(queue_manager: &str) -> (&str, &str) {
    match queue_manager.strip_prefix('*') {
        Some(group) => (group, ""),
        None => (queue_manager, queue_manager),
    }
}

/// Those that a table has for this queue manager, in the order in which they are tried.
pub(super) fn in_order(definitions: &[Definition], queue_manager: &str, chance: Chance) -> Vec<Definition> {
    let (group, _) = asked_of(queue_manager);
    let mut meant: Vec<Definition> =
        definitions.iter().filter(|definition| definition.queue_manager == group).cloned().collect();
    // A draw to the power of 1/weight puts each first as often as its weight is part of all (Efraimidis and Spirakis).
    let rank = |definition: &Definition| match definition.weight {
        0 => f64::INFINITY,
        weight => chance.draw(definition).powf(1.0 / f64::from(weight)),
    };
    meant.sort_by(|one, other| {
        let by_name =
            || if one.weight == 0 { one.channel.cmp(&other.channel) } else { std::cmp::Ordering::Equal };
        rank(other).total_cmp(&rank(one)).then_with(by_name)
    });
    meant
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(channel: &str, queue_manager: &str, weight: u8, affinity: Affinity) -> Definition {
        let addresses = vec![format!("{}:1414", channel.to_lowercase())];
        let plain = Definition::plain("a table", channel, addresses);
        Definition { queue_manager: queue_manager.into(), weight, affinity, ..plain }
    }

    fn names(definitions: &[Definition], queue_manager: &str, chance: Chance) -> Vec<String> {
        in_order(definitions, queue_manager, chance).into_iter().map(|found| found.channel).collect()
    }

    #[test]
    fn without_weights_the_alphabet_decides_and_then_the_table() {
        let mut table = ["C", "B", "A", "B"].map(|name| definition(name, "QM1", 0, Affinity::Preferred));
        table[3].addresses = vec!["second:1414".into()];
        let found = in_order(&table, "QM1", Chance { host: 1, connection: 2 });
        let found: Vec<&str> = found.iter().map(|found| found.addresses[0].as_str()).collect();
        assert_eq!(found, ["a:1414", "b:1414", "second:1414", "c:1414"]);
    }

    #[test]
    fn a_name_finds_its_own_an_asterisk_a_group_and_nothing_the_default() {
        let table = [
            definition("A", "QM1", 0, Affinity::Preferred),
            definition("B", "SHOPS", 0, Affinity::Preferred),
            definition("C", "", 0, Affinity::Preferred),
        ];
        let found = |name| names(&table, name, Chance { host: 1, connection: 1 });
        assert_eq!((found("QM1"), found("*SHOPS")), (vec!["A".to_string()], vec!["B".to_string()]));
        assert_eq!((found(""), found("*")), (vec!["C".to_string()], vec!["C".to_string()]));
        assert_eq!(found("qm1"), Vec::<String>::new());
    }

    #[test]
    fn weights_are_parts_of_chance_and_none_goes_first() {
        let table = [("W2", 2), ("W4", 4), ("W14", 14), ("ZERO", 0)]
            .map(|(name, weight)| definition(name, "Q", weight, Affinity::None));
        let mut first = std::collections::BTreeMap::new();
        for connection in 0..2000 {
            let found =
                names(&table, "*Q", Chance { host: 0, connection: mixed(b"a connection", connection) });
            assert_eq!((found[0].as_str(), found.len()), ("ZERO", 4));
            *first.entry(found[1].clone()).or_insert(0) += 1;
        }
        // 10, 20 and 70 of a hundred.
        for (name, expected) in [("W2", 200), ("W4", 400), ("W14", 1400)] {
            assert!((expected - 90..=expected + 90).contains(&first[name]), "{first:?}");
        }
    }

    #[test]
    fn programs_of_one_host_agree_where_the_channels_prefer_it() {
        let table = ["A", "B", "C", "D"].map(|name| definition(name, "Q", 10, Affinity::Preferred));
        let order = |host: &str, connection| names(&table, "Q", Chance::of(host, connection));
        assert!((1..20).all(|connection| order("here", connection) == order("here", 0)));
        let hosts: std::collections::BTreeSet<Vec<String>> =
            (0..20).map(|number| order(&format!("host{number}"), 0)).collect();
        assert!(hosts.len() > 5, "{hosts:?}");
    }
}
