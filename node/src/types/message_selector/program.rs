//! A selector as steps over a stack of values: nothing in it is nested, so nothing that looks at one is either.

use super::pattern::Pattern;
use super::value::{Arithmetic, Comparison, Value};
use crate::types::limits;

/// One step. Properties and literals put themselves on the stack; every other takes what it is about from there and leaves one value.
#[derive(Debug)]
pub enum Op {
    /// Puts the value of a property on the stack, by its number.
    Property(u16),
    Truth(bool),
    Integer(i64),
    Float(f64),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    /// Takes two values and puts what they come to.
    Compute(Arithmetic),
    /// 0 minus one value: unknown for what is no number.
    Negate,
    /// Of two values, the left one below; see [`Value::compare`].
    Compare(Comparison),
    /// Of two conditions: false when one is, whatever the other is.
    And,
    /// Of two conditions: true when one is, whatever the other is.
    Or,
    /// Of one; unknown stays unknown.
    Not,
    /// Takes three.
    Between {
        negated: bool,
    },
    /// Of one text; false, `negated` or not, of anything else that is there.
    In {
        negated: bool,
        among: Box<[Box<str>]>,
    },
    /// Of one text, likewise.
    Like {
        negated: bool,
        pattern: Pattern,
    },
    /// Of one value; never unknown itself.
    IsNull {
        negated: bool,
    },
}

/// The steps of a condition, operands before what is done with them: they leave one value.
#[derive(Debug, Default)]
pub struct Program(Vec<Op>);

/// Bytes of texts that are compared in the time of a step.
const BYTES_A_STEP: usize = 16;

impl Program {
    /// Behind the others.
    pub fn add(&mut self, op: Op) {
        debug_assert!(self.0.len() <= 2 * limits::SELECTOR_BYTES_MAX, "steps stand for characters");
        self.0.push(op);
    }

    /// Nothing is added any more.
    pub fn finish(&mut self) {
        self.0.shrink_to_fit();
    }

    /// In the order in which they are taken.
    pub fn ops(&self) -> &[Op] {
        &self.0
    }

    /// Bytes in memory, about.
    pub fn weight(&self) -> usize {
        let inner = |op: &Op| match op {
            Op::Text(text) => text.len(),
            Op::Bytes(bytes) => bytes.len(),
            Op::In { among, .. } => among.iter().map(|text| text.len() + size_of::<Box<str>>()).sum(),
            Op::Like { pattern, .. } => pattern.weight(),
            _ => 0,
        };
        self.0.iter().map(|op| size_of::<Op>() + inner(op)).sum()
    }

    /// With these values of properties. None is unknown, or that `steps` did not reach; it takes what it used of them.
    pub fn run(&self, properties: &[Value<'_>], steps: &mut u64) -> Option<bool> {
        debug_assert!(!self.0.is_empty(), "a condition has steps");
        let mut stack: Vec<Value<'_>> = Vec::new();
        for op in &self.0 {
            *steps = steps.checked_sub(1)?;
            let value = step(op, properties, &mut stack, steps)?;
            stack.push(value);
        }
        let result = stack.pop();
        debug_assert!(stack.is_empty(), "a condition comes to one value");
        result.and_then(|value| value.truth())
    }
}

/// What an op puts on the stack; None when it has not the steps for it.
fn step<'a>(
    op: &'a Op,
    properties: &'a [Value<'_>],
    stack: &mut Vec<Value<'a>>,
    steps: &mut u64,
) -> Option<Value<'a>> {
    debug_assert!(
        !matches!(op, Op::Property(number) if usize::from(*number) >= properties.len()),
        "a property has a value, or it is unknown"
    );
    let mut take = || stack.pop().expect("the parser counted what is on the stack");
    Some(match op {
        Op::Property(number) => properties[usize::from(*number)].borrowed(),
        Op::Truth(truth) => Value::Truth(*truth),
        Op::Integer(number) => Value::Integer(*number),
        Op::Float(number) => Value::Float(*number),
        Op::Text(text) => Value::Text((&**text).into()),
        Op::Bytes(bytes) => Value::Bytes((&**bytes).into()),
        Op::Compute(arithmetic) => {
            let right = take();
            take().compute(*arithmetic, &right)
        }
        Op::Negate => Value::Integer(0).compute(Arithmetic::Subtract, &take()),
        Op::Compare(comparison) => {
            let (right, left) = (take(), take());
            *steps = steps.checked_sub((left.weight().min(right.weight()) / BYTES_A_STEP) as u64)?;
            Value::of_truth(left.compare(*comparison, &right))
        }
        Op::And => Value::of_truth(both(take().truth(), take().truth())),
        Op::Or => {
            let (right, left) = (take().truth(), take().truth());
            Value::of_truth(both(left.map(|left| !left), right.map(|right| !right)).map(|neither| !neither))
        }
        Op::Not => Value::of_truth(take().truth().map(|truth| !truth)),
        Op::Between { negated } => {
            let (high, low, value) = (take(), take(), take());
            let above = value.compare(Comparison::GreaterOrEqual, &low);
            let below = value.compare(Comparison::LessOrEqual, &high);
            // What cannot be compared is not between, and not outside of, anything.
            let fit =
                [&high, &low, &value].iter().all(|value| value.is_number() || **value == Value::Unknown);
            Value::of_truth(both(above, below).map(|within| fit && within != *negated))
        }
        Op::In { negated, among } => {
            let value = take();
            *steps = steps.checked_sub(among.len() as u64 * (1 + (value.weight() / BYTES_A_STEP) as u64))?;
            of_text(&value, |text| Some(among.iter().any(|one| **one == *text) != *negated))?
        }
        Op::Like { negated, pattern } => {
            of_text(&take(), |text| Some(pattern.matches(text, steps)? != *negated))?
        }
        Op::IsNull { negated } => Value::Truth((take() == Value::Unknown) != *negated),
    })
}

/// False is stronger than unknown.
fn both(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// What is asked of a text is false of everything else, and unknown of what is unknown.
fn of_text<'a>(value: &Value<'_>, holds: impl FnOnce(&str) -> Option<bool>) -> Option<Value<'a>> {
    Some(match (value, value.text()) {
        (_, Some(text)) => Value::Truth(holds(text)?),
        (Value::Unknown, None) => Value::Unknown,
        _ => Value::Truth(false),
    })
}
