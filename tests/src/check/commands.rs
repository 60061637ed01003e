//! Commands that came as messages, against their replies and what is there in the end: each that was put has one answer, which says that it
//! was done, or that it was done before (a command is repeated when the session that carried it out was lost); and it was.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::commander::{Command, Does};

pub const NAME: &str = "commands";

const OK: i32 = 0;
/// MQRCCF_OBJECT_ALREADY_EXISTS.
const CREATED_BEFORE: i32 = 4001;
/// MQRC_UNKNOWN_OBJECT_NAME.
const DELETED_BEFORE: i32 = 2085;

/// How many commands are accounted for. `queues`: those that are there in the end.
///
/// # Errors
/// A sentence that names the command.
pub fn check(commands: &BTreeMap<u64, Command>, queues: &BTreeSet<String>) -> Result<u64, String> {
    for command in commands.values() {
        let Command { does, queue, is_put, replies } = command;
        let what = format!("the command to {does:?} queue {queue}");
        let before = if *does == Does::Create { CREATED_BEFORE } else { DELETED_BEFORE };
        match (replies.as_slice(), is_put) {
            ([], true) => return Err(format!("{what} was put, and has no reply")),
            ([_, _, ..], _) => return Err(format!("{what} has {} replies: {replies:?}", replies.len())),
            ([(code, reason)], _) if *code != OK && *reason != before => {
                return Err(format!("{what} was answered {reason}"));
            }
            _ => {}
        }
        let of_deletion = commands.values().find(|other| other.does == Does::Delete && other.queue == *queue);
        let is_there = queues.contains(queue);
        match (does, replies.is_empty(), of_deletion) {
            (Does::Create, false, None) if !is_there => {
                return Err(format!("queue {queue} was created, nobody deleted it, and it is not there"));
            }
            (Does::Delete, false, _) if is_there => {
                return Err(format!("queue {queue} was deleted, and it is there"));
            }
            _ => {}
        }
    }
    Ok(commands.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(commands: &[(Does, bool, &[(i32, i32)])], is_there: bool) -> Result<u64, String> {
        let command = |(number, (does, is_put, replies)): (usize, &(Does, bool, &[(i32, i32)]))| {
            let queue = "BY.1.1".to_string();
            (number as u64, Command { does: *does, queue, is_put: *is_put, replies: replies.to_vec() })
        };
        let commands = commands.iter().enumerate().map(command).collect();
        check(&commands, &is_there.then(|| "BY.1.1".to_string()).into_iter().collect())
    }

    #[test]
    fn each_command_has_one_answer_and_it_is_true() {
        let done: &[(i32, i32)] = &[(0, 0)];
        assert_eq!(told(&[(Does::Create, true, done)], true), Ok(1));
        assert_eq!(told(&[(Does::Create, true, &[(2, 4001)])], true), Ok(1), "it was repeated");
        assert!(told(&[(Does::Create, true, done)], false).unwrap_err().contains("is not there"));
        assert!(told(&[(Does::Create, true, &[])], true).unwrap_err().contains("no reply"));
        assert_eq!(told(&[(Does::Create, false, &[])], false), Ok(1), "nobody knows whether it was put");
        assert!(told(&[(Does::Create, true, &[(0, 0), (2, 4001)])], true).unwrap_err().contains("2 replies"));
        assert!(told(&[(Does::Create, true, &[(2, 2035)])], false).unwrap_err().contains("answered 2035"));
        let both = |is_there| told(&[(Does::Create, true, done), (Does::Delete, true, done)], is_there);
        assert_eq!(both(false), Ok(2));
        assert!(both(true).unwrap_err().contains("was deleted, and it is there"));
    }
}
