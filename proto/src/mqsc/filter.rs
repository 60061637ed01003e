//! WHERE: which of the objects that were found are shown.

use super::words::Item;
use crate::admin::v1::Condition;
use crate::attribute::{Attribute, Form};

/// WHERE(attribute operator value).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub attribute: String,
    pub operator: Operator,
    pub value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Less,
    Greater,
    Equal,
    NotEqual,
    LessOrEqual,
    GreaterOrEqual,
    /// Like a name that may end in `*`.
    Like,
    NotLike,
    /// Among the members of a list.
    Contains,
    Excludes,
    /// Like one of the members of a list.
    ContainsLike,
    ExcludesLike,
    /// A profile that means this name; WHERE has no word for it.
    Covers,
}

const OPERATORS: &[(&str, Operator)] = &[
    ("LT", Operator::Less),
    ("GT", Operator::Greater),
    ("EQ", Operator::Equal),
    ("NE", Operator::NotEqual),
    ("LE", Operator::LessOrEqual),
    ("GE", Operator::GreaterOrEqual),
    ("LK", Operator::Like),
    ("NL", Operator::NotLike),
    ("CT", Operator::Contains),
    ("EX", Operator::Excludes),
    ("CTG", Operator::ContainsLike),
    ("EXG", Operator::ExcludesLike),
];

impl Filter {
    /// What stands in the brackets of WHERE.
    pub fn read(items: &[Item]) -> Option<Filter> {
        let [attribute, operator, value] = items else { return None };
        let (_, operator) = OPERATORS.iter().find(|(name, _)| *name == operator.text.to_ascii_uppercase())?;
        Some(Filter {
            attribute: attribute.text.to_ascii_uppercase(),
            operator: *operator,
            value: value.text.trim_end().to_string(),
        })
    }

    /// For another node to look at; None for what WHERE has no word for.
    pub fn condition(&self) -> Option<Condition> {
        let (word, _) = OPERATORS.iter().find(|(_, operator)| *operator == self.operator)?;
        let (attribute, value) = (self.attribute.clone(), self.value.clone());
        Some(Condition { attribute, operator: word.to_string(), value })
    }

    /// None where the operator is not one.
    pub fn of(condition: &Condition) -> Option<Filter> {
        let (_, operator) = OPERATORS.iter().find(|(word, _)| *word == condition.operator)?;
        let (attribute, value) = (condition.attribute.clone(), condition.value.clone());
        Some(Filter { attribute, operator: *operator, value })
    }

    /// # Errors
    /// In a sentence, why an attribute has no value that this could be.
    pub fn check(&self, attribute: &Attribute) -> Result<(), String> {
        let has_numbers = match attribute.form {
            Form::Text { .. } | Form::Name { .. } | Form::List { .. } => return Ok(()),
            Form::Number { .. } => true,
            Form::Word(_) | Form::Flag { .. } => false,
        };
        self.check_operator()?;
        match has_numbers && self.value.parse::<i64>().is_ok() {
            true => Ok(()),
            false => attribute.parse(attribute.name, &self.value).map(drop),
        }
    }

    /// # Errors
    /// As [`Filter::check`], of a field of status that is one of these words, or a number where there are none.
    pub fn check_field(&self, words: &[&str]) -> Result<(), String> {
        let (name, value) = (&self.attribute, &self.value);
        self.check_operator()?;
        match words {
            [] if value.parse::<i64>().is_err() => Err(format!("{name} is a number, not {value}.")),
            [] => Ok(()),
            words if !words.contains(&value.as_str()) => {
                Err(format!("{name} is one of {}, not {value}.", words.join(", ")))
            }
            _ => Ok(()),
        }
    }

    fn check_operator(&self) -> Result<(), String> {
        use Operator::{Contains, ContainsLike, Excludes, ExcludesLike, Like, NotLike};
        match self.operator {
            Like | NotLike => Err(format!("{} is no text, which LK and NL are for.", self.attribute)),
            Contains | Excludes | ContainsLike | ExcludesLike => {
                Err(format!("{} is no list, which CT, EX, CTG and EXG are for.", self.attribute))
            }
            _ => Ok(()),
        }
    }

    /// Numbers are compared as numbers; a value that is no number is neither less nor greater than one.
    pub fn holds(&self, value: &str) -> bool {
        let members = || value.split(',').map(str::trim);
        match self.operator {
            Operator::Equal => value == self.value,
            Operator::NotEqual => value != self.value,
            Operator::Like => is_like(value, &self.value),
            Operator::NotLike => !is_like(value, &self.value),
            Operator::Contains => members().any(|member| member == self.value),
            Operator::Excludes => members().all(|member| member != self.value),
            Operator::ContainsLike => members().any(|member| is_like(member, &self.value)),
            Operator::ExcludesLike => members().all(|member| !is_like(member, &self.value)),
            Operator::Covers => covers(value.as_bytes(), self.value.as_bytes()),
            Operator::Less => self.compared(value).is_some_and(|order| order.is_lt()),
            Operator::Greater => self.compared(value).is_some_and(|order| order.is_gt()),
            Operator::LessOrEqual => self.compared(value).is_some_and(|order| order.is_le()),
            Operator::GreaterOrEqual => self.compared(value).is_some_and(|order| order.is_ge()),
        }
    }

    fn compared(&self, value: &str) -> Option<std::cmp::Ordering> {
        match (value.parse::<i64>(), self.value.parse::<i64>()) {
            (Ok(value), Ok(other)) => Some(value.cmp(&other)),
            (Err(_), Err(_)) => Some(value.cmp(&self.value)),
            _ => None,
        }
    }
}

/// Whether a generic profile means a name: `?` is one character and `*` any number of them within a qualifier, `**` any number of
/// qualifiers (IBM MQ, "OAM wildcard characters").
fn covers(profile: &[u8], name: &[u8]) -> bool {
    // Whether what is left of the profile means what is left of the name, from the ends on.
    let mut means = vec![vec![false; name.len() + 1]; profile.len() + 1];
    for at in (0..=profile.len()).rev() {
        for from in (0..=name.len()).rev() {
            let next = name.get(from).copied();
            let in_qualifier = next.is_some_and(|next| next != b'.');
            means[at][from] = match &profile[at..] {
                [] => next.is_none(),
                [b'*', b'*', rest @ ..] => {
                    let no_qualifier = rest.first() == Some(&b'.') && means[at + 3][from];
                    means[at + 2][from] || no_qualifier || (next.is_some() && means[at][from + 1])
                }
                [b'*', ..] => means[at + 1][from] || (in_qualifier && means[at][from + 1]),
                [b'?', ..] => in_qualifier && means[at + 1][from + 1],
                b".**" if next.is_none() => true,
                [one, ..] => next == Some(*one) && means[at + 1][from + 1],
            };
        }
    }
    means[0][0]
}

/// Whether a name is the one that is meant, which may end in `*`.
pub fn is_like(name: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_means_names_by_its_wildcards() {
        for (profile, name, means) in [
            ("ORDERS", "ORDERS", true),
            ("ORDERS", "ORDERS.1", false),
            ("ORDERS.*", "ORDERS.1", true),
            ("ORDERS.*", "ORDERS.1.2", false),
            ("ORDERS.**", "ORDERS.1.2", true),
            ("ORDERS.**", "ORDERS", true),
            ("**.1", "ORDERS.X.1", true),
            ("**.1", "1", true),
            ("**", "ANY.THING", true),
            ("O?DERS", "ORDERS", true),
            ("O?DERS", "O.DERS", false),
            ("ORD*.NEW", "ORDERS.NEW", true),
            ("", "", true),
            ("", "X", false),
        ] {
            let filter =
                Filter { attribute: "PROFILE".into(), operator: Operator::Covers, value: name.into() };
            assert_eq!(filter.holds(profile), means, "{profile} {name}");
        }
        let (many, long) = ("*A".repeat(24), "A".repeat(48));
        assert!(covers(many.as_bytes(), long.as_bytes()), "it takes no longer than the names are long");
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_names_as_names() {
        let holds = |operator: &str, wanted: &str, value: &str| {
            let item = |text: &str| Item { text: text.into(), end: 0 };
            Filter::read(&[item("X"), item(operator), item(wanted)]).expect(operator).holds(value)
        };
        assert!(holds("GT", "9", "10") && !holds("GT", "9", "9") && holds("GE", "9", "9"));
        assert!(!holds("GT", "9", "NOLIMIT") && holds("NE", "9", "NOLIMIT"));
        assert!(holds("LT", "B", "A") && holds("LE", "A", "A"));
        assert!(holds("LK", "ORD*", "ORDERS") && holds("NL", "ORD*", "BILLS"));
        assert!(holds("CT", "GET", "PUT,GET") && holds("EX", "INQ", "PUT,GET"));
        assert!(holds("CTG", "G*", "PUT,GET") && holds("EXG", "X*", "PUT,GET"));
    }
}
