//! The parameters of a command, taken one by one: what is left over, or there twice, is a mistake.

use super::attributes::unknown;
use super::numbers::{Operator, parameter as id, reason};
use super::structure::{Fault, Parameter, Value};
use crate::mqsc::{self, Filter};

/// The parameters of a command that nobody has looked at yet.
pub(super) struct Said<'a> {
    pub left: Vec<&'a Parameter>,
}

impl<'a> Said<'a> {
    pub fn new(parameters: &'a [Parameter]) -> Result<Said<'a>, Fault> {
        let mut seen = std::collections::BTreeSet::new();
        for parameter in parameters.iter().filter(|parameter| !is_filter(parameter)) {
            if !seen.insert(parameter.id) {
                let reason = match parameter.value {
                    Value::Text(_) | Value::Texts(_) => reason::CFST_DUPLICATE_PARM,
                    _ => reason::CFIN_DUPLICATE_PARM,
                };
                let why = format!("The parameter {} is there twice.", parameter.id);
                return Err(Fault::new(reason, why).at(parameter.id));
            }
        }
        Ok(Said { left: parameters.iter().collect() })
    }

    pub fn take(&mut self, id: i32) -> Option<&'a Parameter> {
        let found = self.left.iter().position(|parameter| parameter.id == id && !is_filter(parameter))?;
        Some(self.left.remove(found))
    }

    pub fn number(&mut self, id: i32) -> Result<Option<i32>, Fault> {
        match self.take(id) {
            None => Ok(None),
            Some(Parameter { value: Value::Number(number), .. }) => Ok(Some(*number)),
            Some(other) => Err(unknown(other)),
        }
    }

    /// No (0) or yes (1).
    pub fn flag(&mut self, id: i32) -> Result<bool, Fault> {
        match self.number(id)? {
            None | Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(other) => Err(not_a_value(id, other)),
        }
    }

    pub fn text(&mut self, id: i32) -> Result<Option<String>, Fault> {
        match self.take(id) {
            None => Ok(None),
            Some(Parameter { value: Value::Text(text), .. }) => Ok(Some(text.clone())),
            Some(other) => Err(unknown(other)),
        }
    }

    /// A name without which there is no command.
    pub fn needed(&mut self, id: i32) -> Result<String, Fault> {
        match self.text(id)? {
            Some(text) => Ok(text),
            None => Err(self.missing(id)),
        }
    }

    /// Where something else stands in its place, that is what is wrong.
    pub fn missing(&self, id: i32) -> Fault {
        match self.left.first() {
            Some(other) => unknown(other),
            None => Fault::new(reason::PARM_MISSING, format!("The parameter {id} is missing.")).at(id),
        }
    }

    pub fn wanted(&mut self, id: i32) -> Result<Option<Vec<i32>>, Fault> {
        let ids = match self.take(id) {
            None => return Ok(None),
            Some(Parameter { value: Value::Numbers(ids), .. }) => ids.clone(),
            Some(Parameter { value: Value::Number(one), .. }) => vec![*one],
            Some(other) => return Err(unknown(other)),
        };
        Ok((!ids.contains(&id::ALL)).then_some(ids))
    }

    /// What is left may only be filters.
    pub fn filters(
        &mut self,
        of: impl Fn(&Parameter) -> Option<(&'static str, String)>,
    ) -> Result<Vec<Filter>, Fault> {
        let mut filters = Vec::new();
        for parameter in std::mem::take(&mut self.left) {
            let operator = match &parameter.value {
                Value::NumberFilter(operator, _) | Value::TextFilter(operator, _) => *operator,
                _ => return Err(unknown(parameter)),
            };
            let (attribute, value) = of(parameter).ok_or_else(|| unknown(parameter))?;
            filters.push(Filter { attribute: attribute.to_string(), operator: operator.into(), value });
        }
        Ok(filters)
    }

    pub fn nothing_left(&self) -> Result<(), Fault> {
        self.left.first().map_or(Ok(()), |other| Err(unknown(other)))
    }
}

pub(super) fn not_a_value(parameter: i32, value: i32) -> Fault {
    Fault::new(reason::PARM_VALUE_ERROR, format!("The parameter {parameter} cannot be {value}."))
        .at(parameter)
}

impl From<Operator> for mqsc::Operator {
    fn from(operator: Operator) -> mqsc::Operator {
        match operator {
            Operator::Less => mqsc::Operator::Less,
            Operator::Equal => mqsc::Operator::Equal,
            Operator::NotGreater => mqsc::Operator::LessOrEqual,
            Operator::Greater => mqsc::Operator::Greater,
            Operator::NotEqual => mqsc::Operator::NotEqual,
            Operator::NotLess => mqsc::Operator::GreaterOrEqual,
            Operator::Contains => mqsc::Operator::Contains,
            Operator::Excludes => mqsc::Operator::Excludes,
            Operator::Like => mqsc::Operator::Like,
            Operator::NotLike => mqsc::Operator::NotLike,
            Operator::ContainsGeneric => mqsc::Operator::ContainsLike,
            Operator::ExcludesGeneric => mqsc::Operator::ExcludesLike,
        }
    }
}

fn is_filter(parameter: &Parameter) -> bool {
    matches!(parameter.value, Value::NumberFilter(..) | Value::TextFilter(..) | Value::BytesFilter(..))
}
