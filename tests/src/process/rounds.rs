//! Rounds of faults: what a client had to wait for in each, against what it may be, and where that time went.
//!
//! The tests of `address.rs` note their rounds here, and each of them publishes all that there are so far: whatever ran last prints
//! the whole table, and leaves it in the target directory. Where the time went is what the record of the failover says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use trimaran_proto::admin::v1::FailoverAccount;
use trimaran_proto::admin::v1::moment::Step;

static ROUNDS: Mutex<Vec<Round>> = Mutex::new(Vec::new());

/// What a client may have to wait for at most: the median of all rounds, and the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub median: Duration,
    pub worst: Duration,
}

impl Bounds {
    pub const fn ms(median: u64, worst: u64) -> Bounds {
        Bounds { median: Duration::from_millis(median), worst: Duration::from_millis(worst) }
    }
}

#[derive(Clone, Debug)]
pub struct Round {
    /// Timing and mode of the address, and what the queue manager has beside the client.
    pub setting: String,
    pub fault: String,
    pub bounds: Bounds,
    /// From the last put that was acknowledged before to the first one after it.
    pub gap: Duration,
    /// All of the round, with the mending.
    pub took: Duration,
    pub way: Option<Way>,
}

/// Where the time of a failover went, in the order in which things happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way([Duration; PARTS.len()]);

const PARTS: [(&str, Step); 6] = [
    ("detect", Step::Stands),
    ("elect", Step::Elected),
    ("serve", Step::Serves),
    ("address", Step::Address),
    ("announce", Step::Announced),
    ("reconnect", Step::FirstPut),
];

impl Way {
    /// None where the record does not know when it was over.
    pub fn of(account: &FailoverAccount) -> Option<Way> {
        account.after_us(Step::FirstPut)?;
        let (mut way, mut before) = (Way::default(), 0);
        for ((_, step), part) in PARTS.iter().zip(&mut way.0) {
            // What was over before the step in front of it cost nothing.
            let at = account.after_us(*step).unwrap_or(before).max(before);
            *part = Duration::from_micros(at - before);
            before = at;
        }
        Some(way)
    }
}

pub fn note(round: Round) {
    ROUNDS.lock().expect("nobody panics with it").push(round);
}

/// Prints the table of all rounds so far. Panics where `TRIMARAN_ADDRESS_BOUNDS` is set and one was too long.
pub fn publish() {
    let rounds = ROUNDS.lock().expect("nobody panics with it").clone();
    let (text, over) = table(&rounds);
    println!("\n{text}");
    if let Some(path) = path() {
        std::fs::write(&path, &text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        println!("also in {}", path.display());
    }
    let is_strict = std::env::var_os("TRIMARAN_ADDRESS_BOUNDS").is_some();
    assert!(over == 0 || !is_strict, "{over} of the rows above are over their bounds");
}

fn path() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    Some(test.ancestors().nth(3)?.join("address-rounds.txt"))
}

/// A row for each fault and setting, and how many are over their bounds.
fn table(rounds: &[Round]) -> (String, usize) {
    let mut text =
        format!("{:<24} {:<9} {:>6} {:>17} {:>17}", "", "", "", "median s (bound)", "worst s (bound)");
    PARTS.iter().for_each(|(name, _)| write!(text, " {name:>9}").expect("memory"));
    writeln!(text, " {:>8}", "a round").expect("memory");
    let (mut rows, mut over) = (BTreeMap::<(&str, usize), Vec<&Round>>::new(), 0);
    for round in rounds {
        let first =
            rounds.iter().position(|one| (&one.setting, &one.fault) == (&round.setting, &round.fault));
        rows.entry((&round.setting, first.expect("it is one of them"))).or_default().push(round);
    }
    for mut row in rows.into_values() {
        row.sort_by_key(|round| round.gap);
        let (median, worst) = (row[row.len() / 2], row[row.len() - 1]);
        let bounds = median.bounds;
        let is_over = median.gap > bounds.median || worst.gap > bounds.worst;
        over += usize::from(is_over);
        let bounded = |gap: Duration, bound: Duration| {
            let mark = if gap > bound { "!" } else { " " };
            format!("{:.3}{mark} ({:.1})", gap.as_secs_f64(), bound.as_secs_f64())
        };
        write!(
            text,
            "{:<24} {:<9} {:>6} {:>17} {:>17}",
            median.setting,
            median.fault,
            row.len(),
            bounded(median.gap, bounds.median),
            bounded(worst.gap, bounds.worst)
        )
        .expect("memory");
        let ways: Vec<Way> = row.iter().filter_map(|round| round.way).collect();
        let sum = |part: usize| ways.iter().map(|way| way.0[part]).sum::<Duration>().as_secs_f64();
        let all: f64 = (0..PARTS.len()).map(sum).sum();
        for part in 0..PARTS.len() {
            match all > 0.0 {
                true => write!(text, " {:>8.0}%", 100.0 * sum(part) / all),
                false => write!(text, " {:>9}", "-"),
            }
            .expect("memory");
        }
        let took = row.iter().map(|round| round.took).sum::<Duration>() / row.len() as u32;
        writeln!(text, " {:>6.1} s", took.as_secs_f64()).expect("memory");
        if let Some(Way(parts)) = worst.way.filter(|_| worst.gap > bounds.worst) {
            let parts =
                PARTS.iter().zip(parts).map(|((name, _), part)| format!("{name} {:.3}", part.as_secs_f64()));
            writeln!(text, "  the worst, in s: {}", parts.collect::<Vec<_>>().join(", ")).expect("memory");
        }
    }
    let all: Duration = rounds.iter().map(|round| round.took).sum();
    writeln!(
        text,
        "{} rounds in {:.0} s; shares of the time are by the records of the failovers",
        rounds.len(),
        all.as_secs_f64()
    )
    .expect("memory");
    (text, over)
}

#[cfg(test)]
mod tests {
    use trimaran_proto::admin::v1::Moment;

    use super::*;

    fn account(moments: &[(Step, u64)]) -> FailoverAccount {
        let moment = |(step, ms): &(Step, u64)| Moment { step: (*step).into(), after_us: ms * 1_000 };
        FailoverAccount { moments: moments.iter().map(moment).collect(), ..FailoverAccount::default() }
    }

    #[test]
    fn the_parts_of_a_way_are_what_came_after_the_part_before() {
        let moments = [
            (Step::Stands, 1_200),
            (Step::Elected, 1_230),
            (Step::Serves, 1_250),
            (Step::Announced, 1_252),
            (Step::Address, 1_251),
            (Step::FirstPut, 1_300),
        ];
        let ms = Duration::from_millis;
        assert_eq!(Way::of(&account(&moments)), Some(Way([ms(1_200), ms(30), ms(20), ms(1), ms(1), ms(48)])));
        assert_eq!(Way::of(&account(&moments[..5])), None, "nobody put");
        let early = [(Step::Stands, 100), (Step::Elected, 90), (Step::FirstPut, 120)];
        assert_eq!(Way::of(&account(&early)), Some(Way([ms(100), ms(0), ms(0), ms(0), ms(0), ms(20)])));
    }

    #[test]
    fn a_row_has_median_and_worst_and_says_which_is_over_its_bound() {
        let round = |fault: &str, gap: u64| Round {
            setting: "default".into(),
            fault: fault.into(),
            bounds: Bounds::ms(300, 600),
            gap: Duration::from_millis(gap),
            took: Duration::from_secs(2),
            way: Way::of(&account(&[(Step::Stands, 75), (Step::Elected, 100), (Step::FirstPut, 100)])),
        };
        let (text, over) =
            table(&[round("Kill", 100), round("Kill", 700), round("Kill", 200), round("Cut", 301)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), over), (5, 2), "{text}");
        assert!(lines[1].contains("0.200  (0.3)") && lines[1].contains("0.700! (0.6)"), "{text}");
        assert!(lines[1].contains("75%") && lines[1].contains("25%"), "{text}");
        assert!(lines[2].starts_with("  the worst, in s: detect 0.075, elect 0.025"), "{text}");
        assert!(lines[3].contains("0.301! (0.3)") && lines[3].contains("0.301  (0.6)"), "{text}");
        assert!(lines[4].starts_with("4 rounds in 8 s"), "{text}");
    }
}
