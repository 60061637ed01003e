//! What one program can do to all others: a cluster, a victim that puts and gets now and then, and beside it an attack
//! from a process of its own. Says how long the victim waited, and whether anything ended or was elected.
//!
//! An attack is a row of [`rows::ROWS`]: what it finds on its queue, and what it does again and again.

mod attacker;
mod rows;
mod victim;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::machine;
use crate::system::trimaran::Trimaran;
use crate::system::{Place, System};
use attacker::{Attacker, Before};
pub use rows::{ROWS, Row};
use victim::Suffered;

/// What the process of an attack says when its messages and queues are there.
const PREPARED: &str = "prepared";
/// How long an attack may take to put its messages and make its queues.
const PREPARED_WITHIN: Duration = Duration::from_secs(300);

pub struct Outcome {
    pub name: String,
    pub suffered: Suffered,
    pub elections: u64,
    /// Of all nodes together, at the end.
    pub resident_bytes: u64,
}

impl Outcome {
    pub fn is_good(&self) -> bool {
        self.elections == 0 && self.suffered.broken == 0
    }

    pub fn describe(&self) -> String {
        let Suffered { puts, gets, broken } = &self.suffered;
        format!(
            "  {:<22} put {:>7.2} ms p50 {:>7.2} p99 {:>8.2} worst   put to get {:>8.2} worst   {} elections, {} broken, {:.0} MB",
            self.name,
            puts.percentile(50.0),
            puts.percentile(99.0),
            puts.worst(),
            gets.worst(),
            self.elections,
            broken,
            self.resident_bytes as f64 / 1e6
        )
    }
}

/// The victim alone, then beside each of these rows, each on a cluster of its own; or beside all of them at once.
pub async fn measure(
    place: &Place,
    rows: &[&'static Row],
    all_at_once: bool,
    time: Duration,
) -> Result<bool> {
    println!("{}", machine::describe());
    let mut attacks: Vec<(String, Vec<&'static Row>)> = vec![("nothing".into(), Vec::new())];
    if all_at_once {
        attacks.push(("everything".into(), rows.to_vec()));
    } else {
        attacks.extend(rows.iter().map(|row| (row.name.to_string(), vec![*row])));
    }
    let mut is_good = true;
    for (name, rows) in attacks {
        let outcome = beside(place, name, &rows, time).await?;
        println!("{}", outcome.describe());
        is_good &= outcome.is_good();
    }
    Ok(is_good)
}

async fn beside(place: &Place, name: String, rows: &[&'static Row], time: Duration) -> Result<Outcome> {
    let mut system = Trimaran::new(place)?;
    system.start().await?;
    system.create_queue(victim::QUEUE).await?;
    let (_, address) = system.serving()?;
    let mut attacks = Vec::new();
    for row in rows {
        attacks.push(Attack::prepare(row, &address, time).await.with_context(|| row.name)?);
    }
    let term = term(&address).await?;
    // They wait for the end of their input, so that all begin together.
    attacks.iter_mut().for_each(|Attack(child)| drop(child.stdin.take()));
    let suffered = victim::suffer(&mut system, time).await?;
    drop(attacks);
    system.cluster_mut().check_alive()?;
    let (_, address) = system.serving()?;
    let elections = self::term(&address).await? - term;
    let resident_bytes = machine::resident_bytes(&system.servers());
    system.stop()?;
    Ok(Outcome { name, suffered, elections, resident_bytes })
}

/// A process that attacks; it ends with this.
struct Attack(Child);

impl Attack {
    /// Returns when its messages and queues are there.
    async fn prepare(row: &Row, address: &str, time: Duration) -> Result<Attack> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["attack-of", row.name, address, &time.as_secs_f64().to_string()]);
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

async fn term(address: &str) -> Result<u64> {
    let answers = trimaran_client::status(&[address.to_string()], None, Duration::from_secs(10)).await;
    let status =
        answers.into_iter().find_map(|(_, answer)| answer.ok()).context("the node does not answer")?;
    Ok(status.queue_managers.iter().map(|manager| manager.term).max().unwrap_or(0))
}

/// In the process of the attack: prepares the row with this name, waits for the end of its input, and strikes until the time
/// is over.
pub async fn attack(name: &str, address: &str, time: Duration) -> Result<()> {
    let row = ROWS.iter().find(|row| row.name == name).with_context(|| format!("there is no row {name}"))?;
    let mut attacker = Attacker::begin(address, format!("HOSTILE.{name}").replace('-', "_")).await?;
    attacker.prepare(row.before).await?;
    println!("{PREPARED}");
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    let begun = Instant::now();
    let (mut strikes, mut failed) = (0, 0);
    while begun.elapsed() < time {
        if let Before::Messages { expire_ms: Some(_), .. } = row.before {
            attacker.prepare(row.before).await?;
        }
        match (row.strike)(&mut attacker).await {
            Ok(()) => strikes += 1,
            Err(error) => {
                eprintln!("    {name}: {error:#}");
                failed += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
                let _ = attacker.begin_again().await;
            }
        }
    }
    println!("{name}: {strikes} times in {:.1} s, {failed} failed", begun.elapsed().as_secs_f64());
    Ok(())
}
