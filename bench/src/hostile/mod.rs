//! What one program can do to all others: a cluster, a victim that puts and gets now and then, and beside it an attack
//! from a process of its own. Says how long the victim waited, what the nodes took, and which bounds do not hold.
//!
//! An attack is a row of [`rows::ROWS`]: what it finds on its queue, and what it does again and again.

mod attacker;
mod calls;
mod rows;
mod strangers;
mod unfinished;
mod victim;
mod watch;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::machine;
use crate::system::trimaran::{Port, Trimaran};
use crate::system::{Place, System};
use attacker::{Attacker, Before, Target};
pub use rows::{ROWS, Row};
use victim::Suffered;
use watch::{Watch, Watched};

/// What the process of an attack says when its messages and queues are there.
const PREPARED: &str = "prepared";
/// How long an attack may take to put its messages and make its queues.
const PREPARED_WITHIN: Duration = Duration::from_secs(300);

pub struct Outcome {
    pub name: String,
    pub suffered: Suffered,
    pub elections: u64,
    pub watched: Watched,
    /// Of all nodes together, at the end.
    pub resident_bytes: u64,
    /// The longest turn of any node: looks at a message, and milliseconds of processor time.
    pub longest_turn: (u64, f64),
}

/// What nobody's call may add to a small put of somebody else, on a quiet machine.
const PROMISED_MS: f64 = 20.0;
/// What a put waits beside nothing is known after so long.
const ALONE_MAX: Duration = Duration::from_secs(60);
/// Of all puts but one in a thousand: the worst one is that of the machine.
const NEARLY_ALL: f64 = 99.9;

/// Whether the promise held. What a put waits beside nothing is the machine's, and is measured in the same run. What a turn
/// takes of a processor is the node's alone: where it says otherwise than the clock, the machine was busy.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Holds,
    /// It waited for longer, and no turn was long: for the machine.
    Busy,
    Broken,
}

impl Verdict {
    fn of(alone_ms: f64, beside_ms: f64, turn_cpu_ms: f64) -> Verdict {
        if turn_cpu_ms > PROMISED_MS {
            return Verdict::Broken;
        }
        if beside_ms - alone_ms > PROMISED_MS { Verdict::Busy } else { Verdict::Holds }
    }

    fn word(&self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Busy => "more, and no turn was long: the machine was busy",
            Verdict::Broken => "does not hold",
        }
    }
}

impl Outcome {
    /// The bounds that do not hold, each with what there was.
    pub fn broken_bounds(&self, memory_max: u64) -> Vec<String> {
        let Suffered { broken, lost, doubled, .. } = self.suffered;
        let Watched { ended, unanswered, .. } = self.watched;
        let peak = self.watched.peak_bytes.iter().sum::<u64>();
        let none = [
            (self.elections, "elections"),
            (ended, "processes ended"),
            (broken, "connections of the victim lost"),
            (unanswered, "times health did not answer"),
            (lost, "messages lost"),
            (doubled, "messages doubled"),
        ];
        let broken = none.into_iter().filter(|(count, _)| *count > 0);
        let mut bounds: Vec<String> = broken.map(|(count, what)| format!("{count} {what}")).collect();
        if peak > memory_max {
            bounds.push(format!("{} MB of memory, more than {}", mega(peak), mega(memory_max)));
        }
        bounds
    }

    const HEAD: &str = "\
                               put ms                 to get    long           peak of each   end of all  elec- ended  lost   no   messages
                         p50     p99    worst    worst   worst                     MB           MB  tions       conn health lost doubled";

    pub fn describe(&self) -> String {
        let Suffered { puts, gets, long_puts, broken, lost, doubled } = &self.suffered;
        let Watched { peak_bytes, ended, unanswered } = &self.watched;
        let peaks: Vec<String> = peak_bytes.iter().map(|bytes| format!("{:>6}", mega(*bytes))).collect();
        format!(
            "{:<21}{} {} {} {} {}   {}   {:>9}  {:>5} {:>5} {:>5} {:>6} {:>4} {:>7}",
            self.name,
            puts.describe(50.0),
            puts.describe(99.0),
            puts.describe(100.0),
            gets.describe(100.0),
            long_puts.describe(100.0),
            peaks.join(" "),
            mega(self.resident_bytes),
            self.elections,
            ended,
            broken,
            unanswered,
            lost,
            doubled,
        )
    }
}

/// The sentence below a row, and whether it is a good one.
fn judge(alone: &Outcome, beside: &Outcome) -> (String, bool) {
    let [alone_ms, beside_ms] =
        [alone, beside].map(|outcome| outcome.suffered.puts.percentile(NEARLY_ALL).unwrap_or(f64::INFINITY));
    let (work, cpu_ms) = beside.longest_turn;
    let verdict = Verdict::of(alone_ms, beside_ms, cpu_ms);
    let sentence = format!(
        "  {NEARLY_ALL} % of the puts within {beside_ms:.1} ms, {:.1} times {alone_ms:.1} beside nothing; the longest turn: {work} looks, \
         {cpu_ms:.1} ms of a processor; {PROMISED_MS} ms: {}",
        beside_ms / alone_ms,
        verdict.word()
    );
    (sentence, verdict != Verdict::Broken)
}

fn mega(bytes: u64) -> u64 {
    bytes / 1_000_000
}

/// The victim alone, then beside each of these rows, each on a cluster of its own; or beside all of them at once.
pub async fn measure(
    place: &Place,
    rows: &[&'static Row],
    all_at_once: bool,
    time: Duration,
    memory_max: u64,
) -> Result<bool> {
    println!("{}", machine::describe());
    let mut attacks: Vec<(String, Vec<&'static Row>)> = vec![("nothing".into(), Vec::new())];
    if all_at_once {
        attacks.push(("everything".into(), rows.to_vec()));
    } else {
        attacks.extend(rows.iter().map(|row| (row.name.to_string(), vec![*row])));
    }
    println!("{}", Outcome::HEAD);
    let mut is_good = true;
    let mut alone = None;
    for (name, rows) in attacks {
        let time = if rows.is_empty() { time.min(ALONE_MAX) } else { time };
        let outcome = beside(place, name, &rows, time).await?;
        println!("{}", outcome.describe());
        let bounds = outcome.broken_bounds(memory_max);
        if !bounds.is_empty() {
            println!("  does not hold: {}", bounds.join(", "));
        }
        is_good &= bounds.is_empty();
        match &alone {
            None => alone = Some(outcome),
            Some(alone) => {
                let (sentence, is_held) = judge(alone, &outcome);
                println!("{sentence}");
                is_good &= is_held;
            }
        }
    }
    Ok(is_good)
}

async fn beside(place: &Place, name: String, rows: &[&'static Row], time: Duration) -> Result<Outcome> {
    let mut system = Trimaran::new(place)?;
    if let [row] = rows {
        system.limit_files(row.open_files);
    }
    system.start().await?;
    let long = rows.iter().any(|row| row.long_victim);
    victim::prepare(&mut system).await?;
    let (_, active) = system.serving()?;
    let target = Target {
        active: active.clone(),
        clients: system.ports(Port::Clients)?,
        peers: system.ports(Port::Peers)?,
        monitors: system.ports(Port::Monitors)?,
    };
    let mut attacks = Vec::new();
    for row in rows {
        attacks.push(Attack::prepare(row, &target, time).await.with_context(|| row.name)?);
    }
    let term = term(&target.clients).await?;
    let watch = Watch::begin(system.servers(), target.monitors.clone());
    // They wait for the end of their input, so that all begin together.
    attacks.iter_mut().for_each(|Attack(child)| drop(child.stdin.take()));
    let suffered = victim::suffer(&system, time, long).await?;
    let resident_bytes = machine::resident_bytes(&system.servers());
    drop(attacks);
    let watched = watch.end();
    let longest_turn = watch::longest_turn(&target.monitors).await?;
    let elections = self::term(&target.clients).await?.saturating_sub(term);
    system.stop()?;
    Ok(Outcome { name, suffered, elections, watched, resident_bytes, longest_turn })
}

/// A process that attacks; it ends with this.
struct Attack(Child);

impl Attack {
    /// Returns when its messages and queues are there.
    async fn prepare(row: &Row, target: &Target, time: Duration) -> Result<Attack> {
        let mut command = Command::new(std::env::current_exe()?);
        let target = serde_json::to_string(target)?;
        command.args(["attack-of", row.name, &target, &time.as_secs_f64().to_string()]);
        let mut attack = Attack(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        let mut lines = BufReader::new(attack.0.stdout.take().context("it is piped")?).lines();
        let first = tokio::task::spawn_blocking(move || (lines.next(), lines));
        let (line, lines) =
            tokio::time::timeout(PREPARED_WITHIN, first).await.context("it takes too long")??;
        match line {
            Some(Ok(line)) if line == PREPARED => {}
            line => bail!("it cannot be prepared: {line:?}"),
        }
        tokio::task::spawn_blocking(move || {
            lines.map_while(Result::ok).for_each(|line| eprintln!("    {line}"))
        });
        Ok(attack)
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The highest that any node knows.
async fn term(addresses: &[String]) -> Result<u64> {
    let answers = trimaran_client::status(addresses, None, Duration::from_secs(10)).await;
    let managers =
        answers.into_iter().filter_map(|(_, answer)| answer.ok()).flat_map(|node| node.queue_managers);
    managers.map(|manager| manager.term).max().context("no node answers")
}

/// In the process of the attack: prepares the row with this name, waits for the end of its input, and strikes until the time
/// is over.
pub async fn attack(name: &str, target: &str, time: Duration) -> Result<()> {
    let row = ROWS.iter().find(|row| row.name == name).with_context(|| format!("there is no row {name}"))?;
    be_another_machine()?;
    let target = serde_json::from_str(target)?;
    let mut attacker = Attacker::begin(target, format!("HOSTILE.{name}").replace('-', "_")).await?;
    attacker.prepare(row.before).await?;
    println!("{PREPARED}");
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    attacker.strike_for(time);
    let mut failed = 0;
    while !attacker.is_over() {
        if let Before::Messages { expire_ms: Some(_), .. } = row.before {
            attacker.prepare(row.before).await?;
        }
        match (row.strike)(&mut attacker).await {
            Ok(()) => attacker.strikes += 1,
            Err(error) => {
                // Some of them want to be refused.
                if failed == 0 {
                    eprintln!("    {name}: {error:#}");
                }
                failed += 1;
                attacker.hold(Duration::from_millis(100)).await;
                let _ = attacker.begin_again().await;
            }
        }
    }
    println!("{name}: {} times in {:.1} s, {failed} failed", attacker.strikes, time.as_secs_f64());
    Ok(())
}

/// As far as it can be on the machine of the nodes: they and the victim go first, and connections do not run out.
fn be_another_machine() -> Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the calls read and write a structure that lives until they return, or no memory at all.
    let done = unsafe {
        libc::nice(10);
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 && {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit) == 0
        }
    };
    if done { Ok(()) } else { Err(std::io::Error::last_os_error()).context("raise the limit of open files") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_that_is_broken_is_named() {
        let watched = Watched { peak_bytes: vec![2_000_000_000, 1_500_000_000], ended: 1, unanswered: 0 };
        let suffered = Suffered { lost: 2, ..Suffered::default() };
        let outcome = Outcome {
            name: "x".into(),
            suffered,
            elections: 0,
            watched,
            resident_bytes: 0,
            longest_turn: (0, 0.0),
        };
        assert_eq!(outcome.broken_bounds(4_000_000_000), ["1 processes ended", "2 messages lost"]);
        assert_eq!(outcome.broken_bounds(3_000_000_000).last().unwrap(), "3500 MB of memory, more than 3000");
    }

    #[test]
    fn what_the_machine_does_is_not_held_against_the_node() {
        assert_eq!(Verdict::of(5.0, 24.0, 3.0), Verdict::Holds);
        assert_eq!(Verdict::of(90.0, 100.0, 3.0), Verdict::Holds);
        assert_eq!(Verdict::of(5.0, 80.0, 3.0), Verdict::Busy);
        assert_eq!(Verdict::of(5.0, 80.0, 60.0), Verdict::Broken);
    }

    #[test]
    fn rows_have_names_of_their_own() {
        let names: std::collections::BTreeSet<&str> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), ROWS.len());
    }
}
