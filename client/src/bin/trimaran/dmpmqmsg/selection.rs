//! Which messages are meant: -g, -r, -s, -S, -x, -X and -T.

use std::ops::RangeInclusive;

use bytes::Bytes;
use clap::Args;
use trimaran_client::{GetOptions, Message, unhex};

const MINUTE_MS: i64 = 60_000;

/// What -g says: MQ's ids have 24 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    Message(Vec<u8>),
    Correlation(Vec<u8>),
    Group(Vec<u8>),
}

impl Id {
    /// A letter, and the id as text, which MQ pads with blanks; behind x in hexadecimal.
    ///
    /// # Errors
    /// What it should have been.
    pub fn parse(text: &str) -> Result<Id, String> {
        let (in_hex, rest) = match text.strip_prefix('x') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut letters = rest.chars();
        let letter = letters.next();
        let value = letters.as_str();
        let id = match in_hex {
            true => unhex(value).ok_or("the id is not hexadecimal")?,
            false => format!("{value:24}").into_bytes(),
        };
        if id.len() > 24 || value.is_empty() {
            return Err("an id has 1 to 24 bytes".into());
        }
        match letter {
            Some('m') => Ok(Id::Message(id)),
            Some('c') => Ok(Id::Correlation(id)),
            Some('g') => Ok(Id::Group(id)),
            _ => {
                Err("it begins with m (message id), c (correlation id) or g (group id), or xm, xc, xg".into())
            }
        }
    }
}

/// Of messages as they come, from 1 on: `x`, `x..y`, `x..`, `..y`, `x#y` (y from x on) or `#y`.
pub fn parse_range(text: &str) -> Result<RangeInclusive<u64>, String> {
    let wrong = || format!("{text:?} is no range: write 5, 5..9, 5.., ..9, 5#9 (9 from 5 on) or #9");
    let number = |text: &str, otherwise: u64| match text {
        "" => Some(otherwise),
        digits => digits.parse::<u64>().ok().filter(|number| *number > 0),
    };
    let range = if let Some((from, to)) = text.split_once("..") {
        number(from, 1).zip(number(to, u64::MAX)).filter(|_| text != "..")
    } else if let Some((from, count)) = text.split_once('#') {
        let count = number(count, 0).filter(|count| *count > 0);
        number(from, 1).zip(count).map(|(from, count)| (from, from.saturating_add(count - 1)))
    } else {
        number(text, 0).filter(|number| *number > 0).map(|only| (only, only))
    };
    let (from, to) = range.ok_or_else(wrong)?;
    Ok(from.min(to)..=from.max(to))
}

/// How old: at least, and at most; in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Age {
    least: Option<i64>,
    most: Option<i64>,
}

impl Age {
    /// `[[days:]hours:]minutes`, and behind a comma the same for the age that is the most.
    ///
    /// # Errors
    /// What it should have been.
    pub fn parse(text: &str) -> Result<Age, String> {
        let time = |text: &str| -> Result<Option<i64>, String> {
            if text.is_empty() {
                return Ok(None);
            }
            let parts: Option<Vec<i64>> =
                text.split(':').map(|part| part.parse::<u32>().ok().map(i64::from)).collect();
            let minutes = match parts.as_deref() {
                Some([minutes]) => *minutes,
                Some([hours, minutes]) => hours * 60 + minutes,
                Some([days, hours, minutes]) => (days * 24 + hours) * 60 + minutes,
                _ => {
                    return Err(format!(
                        "{text:?} is no age: write [[days:]hours:]minutes, for example 1:30"
                    ));
                }
            };
            Ok(Some(minutes * MINUTE_MS))
        };
        let (least, most) = text.split_once(',').unwrap_or((text, ""));
        let (least, most) = (time(least)?, time(most)?);
        match (least, most) {
            (None, None) => Err("say an age, for example 5, or ,5".into()),
            (Some(one), Some(other)) => Ok(Age { least: Some(one.min(other)), most: Some(one.max(other)) }),
            (least, most) => Ok(Age { least, most }),
        }
    }

    fn means(self, age_ms: i64) -> bool {
        self.least.is_none_or(|least| age_ms >= least) && self.most.is_none_or(|most| age_ms <= most)
    }
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Selection")]
pub struct Selection {
    /// Messages with an id: m (message), c (correlation), g (group) and a text, or xm, xc, xg and hexadecimal digits
    #[arg(short = 'g', value_name = "ID", value_parser = Id::parse)]
    pub ids: Vec<Id>,
    /// Which, counted from 1: 5, 5..9, 5.., 5#9 (9 from 5 on), #9
    #[arg(short = 'r', value_name = "RANGE", value_parser = parse_range)]
    pub range: Option<RangeInclusive<u64>>,
    /// At least so old, and behind a comma at most: [[days:]hours:]minutes
    #[arg(short = 'T', value_name = "AGE", value_parser = Age::parse)]
    pub age: Option<Age>,
    /// With this text in the body; said several times, with all of them
    #[arg(short = 's', value_name = "TEXT", value_parser = parse_text)]
    pub with: Vec<Bytes>,
    /// Without this text
    #[arg(short = 'S', value_name = "TEXT", value_parser = parse_text)]
    pub without: Vec<Bytes>,
    /// With these bytes, in hexadecimal
    #[arg(short = 'x', value_name = "HEX", value_parser = parse_hex)]
    pub with_hex: Vec<Bytes>,
    /// Without these bytes
    #[arg(short = 'X', value_name = "HEX", value_parser = parse_hex)]
    pub without_hex: Vec<Bytes>,
}

fn parse_text(text: &str) -> Result<Bytes, String> {
    Ok(Bytes::copy_from_slice(text.as_bytes()))
}

fn parse_hex(text: &str) -> Result<Bytes, String> {
    unhex(text).map(Bytes::from).ok_or_else(|| "write hexadecimal digits, two a byte".to_string())
}

impl Selection {
    /// For what the queue manager chooses by: the last id of each kind.
    pub fn options(&self) -> GetOptions {
        self.ids.iter().fold(GetOptions::new(), |options, id| match id {
            Id::Message(id) => options.message_id(id),
            Id::Correlation(id) => options.correlation_id(id),
            Id::Group(id) => options.group_id(id),
        })
    }

    /// Whether the message is meant that is the so-manieth of its source.
    pub fn means(&self, number: u64, message: &Message, now_ms: i64) -> bool {
        let contains = |wanted: &Bytes| contains(&message.body, wanted);
        self.range.as_ref().is_none_or(|range| range.contains(&number))
            && self.ids.iter().all(|id| is_of(id, message))
            && self.with.iter().chain(&self.with_hex).all(contains)
            && !self.without.iter().chain(&self.without_hex).any(contains)
            // Nobody knows how old a message is whose file does not say it.
            && self.age.is_none_or(|age| {
                let put = message.descriptor.put_time_ms;
                put != 0 && age.means(now_ms - put)
            })
    }

    /// Whether no message behind this one can be meant.
    pub fn ends_with(&self, number: u64) -> bool {
        self.range.as_ref().is_some_and(|range| number >= *range.end())
    }
}

fn is_of(wanted: &Id, message: &Message) -> bool {
    let md = &message.descriptor;
    let (wanted, found) = match wanted {
        Id::Message(id) => (id, &md.message_id),
        Id::Correlation(id) => (id, &md.correlation_id),
        Id::Group(id) => (id, &md.group_id),
    };
    let zero = std::iter::repeat(&0);
    wanted.iter().chain(zero.clone()).take(24).eq(found.iter().chain(zero).take(24))
}

fn contains(body: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || body.windows(wanted.len()).any(|part| part == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_written_in_mqs_ways() {
        for (text, range) in [
            ("5", 5..=5),
            ("5..9", 5..=9),
            ("9..5", 5..=9),
            ("5..", 5..=u64::MAX),
            ("..9", 1..=9),
            ("5#9", 5..=13),
            ("#9", 1..=9),
        ] {
            assert_eq!(parse_range(text), Ok(range), "{text}");
        }
        for wrong in ["", "0", "..", "#", "5#", "a", "1.2", "-1"] {
            assert!(parse_range(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_age_has_a_least_and_a_most() {
        let means = |text: &str, minutes: i64| Age::parse(text).unwrap().means(minutes * MINUTE_MS);
        assert!(means("5", 5) && !means("5", 4));
        assert!(means(",5", 5) && !means(",5", 6));
        assert!(means("1440,2880", 2000) && means("2:0:0,1:0:0", 2000) && !means("1:0,2:0", 121));
        for wrong in ["", ",", "a", "1:2:3:4", "-5"] {
            assert!(Age::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_id_is_text_padded_with_blanks_or_hexadecimal() {
        let id = |text: &str| Id::parse(text).unwrap();
        assert_eq!(id("mAB"), Id::Message(format!("{:24}", "AB").into_bytes()));
        assert_eq!((id("xc0aff"), id("xg01")), (Id::Correlation(vec![0x0a, 0xff]), Id::Group(vec![1])));
        for wrong in ["", "AB", "m", "xm0", "xq00", &format!("m{}", "A".repeat(25))] {
            assert!(Id::parse(wrong).is_err(), "{wrong}");
        }
        let message = Message::text("").message_id([0x0a, 0xff]);
        assert!(is_of(&id("xm0AFF00"), &message) && !is_of(&id("xm0A"), &message));
    }

    #[test]
    fn strings_have_to_be_there_or_not() {
        let selection = Selection {
            with: vec!["LIVERPOOL".into(), "CHELSEA".into()],
            without_hex: vec![parse_hex("44524157").unwrap()],
            ..Selection::default()
        };
        let means = |text: &str| selection.means(1, &Message::text(text), 0);
        assert!(means("LIVERPOOL CHELSEA") && !means("LIVERPOOL") && !means("CHELSEA LIVERPOOL DRAW"));
    }
}
