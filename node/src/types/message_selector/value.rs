//! Values that a selector computes with, and how two of them compare.

use std::borrow::Cow;
use std::cmp::Ordering;

use trimaran_proto::mq::rfh2;

/// A property, a literal, or what was computed of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// NULL: a property that is not there, and whatever is computed from one.
    Unknown,
    Truth(bool),
    Integer(i64),
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// A number that has a name as well, and compares as what it is compared with.
    Named(i64, &'static str),
}

/// What is asked of two values; how kinds compare says [`Value::compare`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What is computed of two numbers: integers of 64 bits stay integers, and one with a float is a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    /// Of two integers without the rest; by the integer 0 unknown.
    Divide,
}

impl Comparison {
    /// Texts, truths and bytes are equal or not; only numbers have an order.
    pub fn is_of_any(self) -> bool {
        matches!(self, Comparison::Equal | Comparison::NotEqual)
    }

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::NotEqual => ordering.is_ne(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

impl<'a> Value<'a> {
    /// The same, for as long as this is there.
    pub fn borrowed(&self) -> Value<'_> {
        let same = match self {
            Value::Text(text) => Value::Text(Cow::Borrowed(text)),
            Value::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            other => other.without_text(),
        };
        debug_assert_eq!(same.weight(), self.weight(), "what is borrowed is the same");
        same
    }

    /// The same, with a text of its own.
    pub fn owned(&self) -> Value<'static> {
        let same = match self {
            Value::Text(text) => Value::Text(Cow::Owned(text.to_string())),
            Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.to_vec())),
            other => other.without_text(),
        };
        debug_assert_eq!(same.weight(), self.weight(), "what is copied is the same");
        same
    }

    fn without_text(&self) -> Value<'static> {
        debug_assert!(!matches!(self, Value::Text(_) | Value::Bytes(_)), "texts and bytes lie somewhere");
        match self {
            Value::Truth(truth) => Value::Truth(*truth),
            Value::Integer(number) => Value::Integer(*number),
            Value::Float(number) => Value::Float(*number),
            Value::Named(number, name) => Value::Named(*number, name),
            _ => Value::Unknown,
        }
    }

    /// As a condition: None is unknown.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Value::Truth(truth) => Some(*truth),
            _ => None,
        }
    }

    /// A condition; None is unknown.
    pub fn of_truth(truth: Option<bool>) -> Value<'a> {
        let value = truth.map_or(Value::Unknown, Value::Truth);
        debug_assert_eq!(value.truth(), truth, "a condition is a value, and back");
        value
    }

    /// Of a number with a name the name; None of what is no text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Named(_, name) => Some(name),
            _ => None,
        }
    }

    /// Whether it has an order and can be computed with.
    pub fn is_number(&self) -> bool {
        self.number().is_some()
    }

    fn number(&self) -> Option<Value<'static>> {
        match self {
            Value::Integer(number) | Value::Named(number, _) => Some(Value::Integer(*number)),
            Value::Float(number) => Some(Value::Float(*number)),
            _ => None,
        }
    }

    fn float(&self) -> Option<f64> {
        match self {
            Value::Integer(number) | Value::Named(number, _) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// Unknown when one of the two is. False, whatever was asked, when they are of kinds that do not compare.
    pub fn compare(&self, comparison: Comparison, other: &Value<'_>) -> Option<bool> {
        if matches!((self, other), (Value::Unknown, _) | (_, Value::Unknown)) {
            return None;
        }
        debug_assert!(!self.is_number() || self.truth().is_none(), "a value is of one kind");
        let equal = |equal: bool| match comparison {
            Comparison::Equal => equal,
            Comparison::NotEqual => !equal,
            _ => false,
        };
        Some(match (self, other) {
            (Value::Truth(one), Value::Truth(other)) => equal(one == other),
            (Value::Bytes(one), Value::Bytes(other)) => equal(one == other),
            _ => match (self.number(), other.number()) {
                (Some(Value::Integer(one)), Some(Value::Integer(other))) => comparison.holds(one.cmp(&other)),
                (Some(one), Some(other)) => {
                    let ordering =
                        one.float().zip(other.float()).and_then(|(one, other)| one.partial_cmp(&other));
                    ordering.map_or(comparison == Comparison::NotEqual, |ordering| comparison.holds(ordering))
                }
                _ => self.text().zip(other.text()).is_some_and(|(one, other)| equal(one == other)),
            },
        })
    }

    /// Unknown also where there is no result: what is no number, 1 / 0, more than 64 bits.
    pub fn compute(&self, arithmetic: Arithmetic, other: &Value<'_>) -> Value<'static> {
        let (Some(one), Some(other)) = (self.number(), other.number()) else { return Value::Unknown };
        if let (Value::Integer(one), Value::Integer(other)) = (&one, &other) {
            let result = match arithmetic {
                Arithmetic::Add => one.checked_add(*other),
                Arithmetic::Subtract => one.checked_sub(*other),
                Arithmetic::Multiply => one.checked_mul(*other),
                Arithmetic::Divide => one.checked_div(*other),
            };
            return result.map_or(Value::Unknown, Value::Integer);
        }
        debug_assert!(one.is_number() && other.is_number(), "only numbers are computed with");
        let (one, other) = (one.float().unwrap_or_default(), other.float().unwrap_or_default());
        Value::Float(match arithmetic {
            Arithmetic::Add => one + other,
            Arithmetic::Subtract => one - other,
            Arithmetic::Multiply => one * other,
            Arithmetic::Divide => one / other,
        })
    }

    /// What is compared when this is.
    pub fn weight(&self) -> usize {
        match self {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            _ => size_of::<Value<'_>>(),
        }
    }
}

impl<'a> From<rfh2::Value<'a>> for Value<'a> {
    fn from(value: rfh2::Value<'a>) -> Value<'a> {
        match value {
            rfh2::Value::Null => Value::Unknown,
            rfh2::Value::Boolean(truth) => Value::Truth(truth),
            rfh2::Value::Integer(number) => Value::Integer(number),
            rfh2::Value::Float(number) => Value::Float(number),
            rfh2::Value::Text(text) => Value::Text(text),
            rfh2::Value::Bytes(bytes) => Value::Bytes(bytes.into()),
        }
    }
}
