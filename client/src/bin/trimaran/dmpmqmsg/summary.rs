//! Figures of messages (-ds), and how old each is (-dT).

use trimaran_client::{Message, hex};

use super::display::Display;
use crate::output::{bytes, duration};
use crate::say;

/// Below so much, as MQ counts them; the last one is the rest.
const AGES_S: [(&str, u64); 6] = [
    ("< 2  secs", 2),
    ("< 10 secs", 10),
    ("< 1   min", 60),
    ("< 1  hour", 3600),
    ("< 1   day", 86_400),
    ("> 1   day", u64::MAX),
];
const SIZES: [(&str, u64); 6] = [
    ("< 100b", 100),
    ("<  1Kb", 1024),
    ("<  4Kb", 4096),
    ("<100Kb", 100 << 10),
    ("<  1Mb", 1 << 20),
    (">  1Mb", u64::MAX),
];

/// A figure, and the ids of the message that it is of.
type Of = (u64, String, String);

#[derive(Debug, Default)]
pub struct Summary {
    ages: [u64; 6],
    sizes: [u64; 6],
    youngest: Option<Of>,
    oldest: Option<Of>,
    smallest: Option<Of>,
    biggest: Option<Of>,
}

impl Summary {
    pub fn add(&mut self, message: &Message, now_ms: i64) {
        let age = age_s(message, now_ms);
        let size = message.body.len() as u64;
        let place =
            |of: &[(&str, u64); 6], value: u64| of.iter().position(|(_, below)| value < *below).unwrap_or(5);
        self.ages[place(&AGES_S, age)] += 1;
        self.sizes[place(&SIZES, size)] += 1;
        let of = |value: u64| {
            (value, hex(&message.descriptor.message_id), hex(&message.descriptor.correlation_id))
        };
        let least = |known: &mut Option<Of>, value: u64| {
            if known.as_ref().is_none_or(|(least, ..)| value < *least) {
                *known = Some(of(value));
            }
        };
        least(&mut self.youngest, age);
        least(&mut self.smallest, size);
        let most = |known: &mut Option<Of>, value: u64| {
            if known.as_ref().is_none_or(|(most, ..)| value > *most) {
                *known = Some(of(value));
            }
        };
        most(&mut self.oldest, age);
        most(&mut self.biggest, size);
    }

    pub fn show(&self, display: &Display) {
        sieve("Message Ages", &AGES_S, &self.ages);
        line("Youngest", self.youngest.as_ref(), display, duration);
        line("Oldest  ", self.oldest.as_ref(), display, duration);
        sieve("Message Sizes", &SIZES, &self.sizes);
        line("Smallest", self.smallest.as_ref(), display, bytes);
        line("Biggest ", self.biggest.as_ref(), display, bytes);
    }
}

fn sieve(title: &str, names: &[(&str, u64); 6], counts: &[u64; 6]) {
    say!("{title}\n{}", "=".repeat(title.len()));
    let row = |cell: &dyn Fn(usize) -> String| (0..6).map(cell).collect::<Vec<_>>().join(" ");
    let width = names[0].0.len();
    say!("{}", row(&|at| names[at].0.to_string()));
    say!("{}", row(&|_| "-".repeat(width)));
    say!("{}\n", row(&|at| format!("{:width$}", counts[at])));
}

fn line(which: &str, of: Option<&Of>, display: &Display, shown: impl Fn(u64) -> String) {
    let Some((value, message_id, correlation_id)) = of else { return };
    say!("{which} Message : {}", shown(*value));
    if display.message_ids {
        say!("     Message Id:{message_id}");
    }
    if display.correlation_ids {
        say!("     Correl  Id:{correlation_id}");
    }
    say!("");
}

/// How long the message has been there; 0 where its file does not say when it was put.
fn age_s(message: &Message, now_ms: i64) -> u64 {
    match message.descriptor.put_time_ms {
        0 => 0,
        put => (now_ms - put).max(0) as u64 / 1000,
    }
}

pub fn write_age(out: &mut Vec<u8>, number: u64, message: &Message, now_ms: i64) {
    let head = format!("{number:5}. MsgId:");
    let id = hex(&message.descriptor.message_id).to_uppercase();
    let age = duration(age_s(message, now_ms));
    out.extend_from_slice(format!("{head}{id:0<48}\n{}{age}\n\n", " ".repeat(head.len())).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_age_and_by_size() {
        let mut summary = Summary::default();
        for (age_s, size) in [(1, 10), (90, 2000), (100_000, 99)] {
            let mut message = Message::new(vec![0; size]).message_id([size as u8]);
            message.descriptor.put_time_ms = 200_000_000 - age_s * 1000;
            summary.add(&message, 200_000_000);
        }
        assert_eq!((summary.ages, summary.sizes), ([1, 0, 0, 1, 0, 1], [2, 0, 1, 0, 0, 0]));
        assert_eq!(summary.oldest.unwrap(), (100_000, "63".into(), String::new()));
        assert_eq!(summary.biggest.unwrap().0, 2000);
    }
}
