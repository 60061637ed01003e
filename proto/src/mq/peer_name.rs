//! The name in a certificate as MQ writes it, and the patterns of names of SSLPEER (IBM MQ Reference, "IBM MQ rules for SSLPEER
//! values").
//!
//! ```text
//! CN=app,OU=Shipping,OU=Harbour,O=Sea,C=PT     a name; units of an organisation from the highest down
//! CN=app*,OU=Shipping;O="Sea, and Sons"        a pattern
//! ```
//!
//! Every attribute of a pattern has to be in the name; what else the name has does not matter. Case does not count.

use std::fmt;

/// Longest of what is shown of one name.
const SHOWN_CHARACTERS_MAX: usize = 1024;

/// The number of the certificate itself; a name has it under no OID.
const SERIAL: usize = 0;

/// What a name is made of, in the order in which it is shown: MQ's word, others that mean the same, and its OIDs.
const TYPES: &[(&str, &[&str], &[&str])] = &[
    ("SERIALNUMBER", &[], &[]),
    ("MAIL", &["E"], &["1.2.840.113549.1.9.1", "0.9.2342.19200300.100.1.3"]),
    ("UID", &["USERID"], &["0.9.2342.19200300.100.1.1"]),
    ("CN", &[], &["2.5.4.3"]),
    ("T", &[], &["2.5.4.12"]),
    ("OU", &[], &["2.5.4.11"]),
    ("DC", &[], &["0.9.2342.19200300.100.1.25"]),
    ("O", &[], &["2.5.4.10"]),
    ("STREET", &[], &["2.5.4.9"]),
    ("L", &[], &["2.5.4.7"]),
    ("ST", &["SP", "S"], &["2.5.4.8"]),
    ("PC", &[], &["2.5.4.17"]),
    ("C", &[], &["2.5.4.6"]),
    ("UNSTRUCTUREDNAME", &[], &["1.2.840.113549.1.9.2"]),
    ("UNSTRUCTUREDADDRESS", &[], &["1.2.840.113549.1.9.8"]),
    ("DNQ", &[], &["2.5.4.46"]),
];

/// What a name may have several of.
const SEVERAL: &[&str] = &["OU", "DC"];

/// Whom a certificate names. Attributes that MQ has no word for are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerName {
    /// Types by their place in the table, and values. In the table's order, those of one type as the certificate has them.
    parts: Vec<(usize, String)>,
}

/// What SSLPEER says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<(usize, Part)>,
}

/// A value of a pattern, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    text: String,
    /// Anything may stand before it.
    begins: bool,
    /// Anything may follow.
    ends: bool,
}

impl PeerName {
    /// From the certificate's number, as MQ writes it (`4C:D0:49`), and the subject's attributes by OID, as they lie in the
    /// certificate.
    pub fn new<'a>(serial: &str, subject: impl IntoIterator<Item = (String, &'a str)>) -> PeerName {
        let named = subject.into_iter().filter_map(|(oid, value)| {
            let place = TYPES.iter().position(|(_, _, oids)| oids.contains(&oid.as_str()))?;
            Some((place, value))
        });
        let named = std::iter::once((SERIAL, serial)).chain(named);
        let printable = |text: &str| text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let mut parts: Vec<(usize, String)> = named.map(|(place, value)| (place, printable(value))).collect();
        parts.sort_by_key(|(place, _)| *place);
        PeerName { parts }
    }

    fn values(&self, place: usize) -> impl Iterator<Item = &str> {
        self.parts.iter().filter(move |(of, _)| *of == place).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for PeerName {
    /// At most 1,024 characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts.iter().map(|(place, value)| {
            let is_plain = !value.contains([',', ';']);
            let name = TYPES[*place].0;
            if is_plain { format!("{name}={value}") } else { format!("{name}=\"{value}\"") }
        });
        let whole = parts.collect::<Vec<_>>().join(",");
        match whole.char_indices().nth(SHOWN_CHARACTERS_MAX) {
            None => f.write_str(&whole),
            Some((end, _)) => f.write_str(&whole[..end]),
        }
    }
}

impl Pattern {
    /// Reads what SSLPEER says.
    ///
    /// # Errors
    /// What is wrong with it, to go behind the attribute's name.
    pub fn read(text: &str) -> Result<Pattern, String> {
        let mut parts: Vec<(usize, Part)> = Vec::new();
        for said in separated(text)? {
            let Some((word, value)) = said.split_once('=') else {
                return Err(format!("{said:?} is no TYPE=value, like CN=app or OU=Ship*"));
            };
            let place = place_of(word).ok_or_else(|| {
                let words: Vec<&str> = TYPES.iter().map(|(word, ..)| *word).collect();
                format!("{word:?} is none of {}", words.join(", "))
            })?;
            let name = TYPES[place].0;
            if !SEVERAL.contains(&name) && parts.iter().any(|(other, _)| *other == place) {
                return Err(format!("{name} is there twice; only {} may be", SEVERAL.join(" and ")));
            }
            parts.push((place, Part::read(value)));
        }
        Ok(Pattern { parts })
    }

    /// Whether a certificate of this name is meant. Several units have to come in the pattern's order; others may stand between.
    pub fn matches(&self, name: &PeerName) -> bool {
        (0..TYPES.len()).all(|place| {
            let mut values = name.values(place);
            let mut wanted = self.parts.iter().filter(|(of, _)| *of == place).map(|(_, part)| part);
            wanted.all(|part| values.any(|value| part.matches(value)))
        })
    }
}

impl Part {
    /// An asterisk at either end stands for anything; behind a backslash, or in the middle, for itself.
    fn read(value: &str) -> Part {
        let value = value.trim();
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = quoted.unwrap_or(value);
        let (head, begins, rest) = match (value.strip_prefix("\\*"), value.strip_prefix('*')) {
            (Some(rest), _) => ("*", false, rest),
            (None, Some(rest)) => ("", true, rest),
            (None, None) => ("", false, value),
        };
        let (rest, ends, tail) = match (rest.strip_suffix("\\*"), rest.strip_suffix('*')) {
            (Some(rest), _) => (rest, false, "*"),
            (None, Some(rest)) => (rest, true, ""),
            (None, None) => (rest, false, ""),
        };
        Part { text: format!("{head}{rest}{tail}").to_lowercase(), begins, ends }
    }

    fn matches(&self, value: &str) -> bool {
        let value = value.trim().to_lowercase();
        match (self.begins, self.ends) {
            (false, false) => value == self.text,
            (false, true) => value.starts_with(&self.text),
            (true, false) => value.ends_with(&self.text),
            (true, true) => value.contains(&self.text),
        }
    }
}

fn place_of(word: &str) -> Option<usize> {
    TYPES.iter().position(|(name, others, _)| *name == word || others.contains(&word))
}

/// What stands between commas and semicolons, those within double quotation marks aside.
fn separated(text: &str) -> Result<Vec<&str>, String> {
    let (mut found, mut begins, mut is_quoted) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            ',' | ';' if !is_quoted => {
                found.push(text[begins..at].trim());
                begins = at + 1;
            }
            _ => {}
        }
    }
    if is_quoted {
        return Err("a quotation mark is not closed".into());
    }
    found.push(text[begins..].trim());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CN: &str = "2.5.4.3";
    const OU: &str = "2.5.4.11";

    /// As it lies in a certificate: the country first.
    fn name() -> PeerName {
        let subject = [
            ("2.5.4.6", "PT"),
            ("2.5.4.10", "Sea, and Sons"),
            (OU, "Harbour"),
            (OU, "Shipping"),
            (OU, "Night"),
            (CN, "app*7"),
            ("1.2.3.4", "not MQ's"),
        ];
        PeerName::new("4C:D0", subject.map(|(oid, value)| (oid.to_string(), value)))
    }

    #[test]
    fn a_name_is_shown_as_mq_shows_it() {
        let shown = "SERIALNUMBER=4C:D0,CN=app*7,OU=Harbour,OU=Shipping,OU=Night,O=\"Sea, and Sons\",C=PT";
        assert_eq!(name().to_string(), shown);
        let long = PeerName::new("1", [(CN.to_string(), "ä".repeat(2000).as_str())]);
        assert_eq!(long.to_string().chars().count(), 1024);
        let odd = PeerName::new("1", [(CN.to_string(), "a\nb")]);
        assert_eq!(odd.to_string(), "SERIALNUMBER=1,CN=a?b");
    }

    #[test]
    fn everything_that_a_pattern_says_has_to_be_in_the_name() {
        for (pattern, matches) in [
            ("CN=app*7", true),
            ("CN=APP*", true),
            ("CN=*7", true),
            ("CN=*p\\*", false),
            ("CN=*P*", true),
            ("CN=*", true),
            ("CN=app", false),
            ("CN=b*", false),
            ("T=*", false),
            ("CN=app\\*", false),
            ("CN=\"app*7\" ; C=pt", true),
            ("CN=app*, C=DE", false),
            ("O=\"Sea, and Sons\"", true),
            ("O=Sea*,SERIALNUMBER=4c:d0", true),
            ("OU=Harbour", true),
            ("OU=Harbour,OU=Night", true),
            ("OU=Harbour,OU=Shipping,OU=Night", true),
            ("OU=*,OU=*,OU=N*", true),
            ("OU=Night,OU=Harbour", false),
            ("OU=*,OU=*,OU=*,OU=*", false),
            ("OU=Shipping,OU=Shipping", false),
        ] {
            let read = Pattern::read(pattern).unwrap();
            assert_eq!(read.matches(&name()), matches, "{pattern}");
        }
        let starred = PeerName::new("1", [(CN.to_string(), "*"), (OU.to_string(), "all*")]);
        assert!(Pattern::read("CN=\\*,OU=all\\*").unwrap().matches(&starred));
        assert!(!Pattern::read("CN=\\*").unwrap().matches(&name()));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_what_is_wrong() {
        for (pattern, why) in [
            ("", "no TYPE=value"),
            ("app", "no TYPE=value"),
            ("CN=app,", "no TYPE=value"),
            ("CN =app", "\"CN \" is none of SERIALNUMBER, MAIL, UID, CN"),
            ("cn=app", "\"cn\" is none of"),
            ("CN=a,CN=b", "CN is there twice; only OU and DC may be"),
            ("S=a,ST=b", "ST is there twice"),
            ("CN=\"app", "a quotation mark is not closed"),
        ] {
            let refused = Pattern::read(pattern).unwrap_err();
            assert!(refused.contains(why), "{pattern}: {refused}");
        }
    }
}
