//! Queue managers that operators created and deleted, against the records that the cluster has of them in the end.
//!
//! An acknowledged creation has a record of its own, and an acknowledged deletion is in one of its own: so two answers never claim one
//! change, nothing that was created is lost, and nothing that was deleted is back. What was not answered may or may not have been done.
//! The addresses of one that is there are what some request made them that no later one was acknowledged to have changed.

use std::collections::BTreeMap;

use trimaran_proto::replica::v1::Registered;

use crate::model::registrar::{Asked, Fate, Request};

pub const NAME: &str = "registered";

/// How many requests are accounted for.
///
/// # Errors
/// A sentence that names the queue manager.
pub fn check(requests: &[Request], records: &[Registered]) -> Result<u64, String> {
    let mut by_name: BTreeMap<&str, (Vec<&Request>, Vec<&Registered>)> = BTreeMap::new();
    for request in requests {
        by_name.entry(request.name).or_default().0.push(request);
    }
    for record in records {
        by_name.entry(&record.name).or_default().1.push(record);
    }
    for (name, (requests, records)) in by_name {
        let count = |asked: Asked, fate: fn(Fate) -> bool| {
            requests.iter().filter(|request| request.asked == asked && fate(request.fate)).count()
        };
        let deleted = records.iter().filter(|record| record.deleted).count();
        for (what, asked, found) in
            [("created", Asked::Create, records.len()), ("deleted", Asked::Delete, deleted)]
        {
            let done = count(asked, |fate| fate == Fate::Done);
            let perhaps = count(asked, |fate| fate == Fate::Unknown);
            if found < done || found > done + perhaps {
                return Err(format!(
                    "{name} was {what} {done} times, and perhaps {perhaps} times more, and the records have it {found} times"
                ));
            }
        }
        if let Some(record) = records.iter().find(|record| !record.deleted) {
            check_addresses(name, &requests, record)?;
        }
    }
    Ok(requests.len() as u64)
}

fn check_addresses(name: &str, requests: &[&Request], record: &Registered) -> Result<(), String> {
    let writes =
        |request: &&&Request| request.asked != Asked::Delete && !matches!(request.fate, Fate::Refused(_));
    let is_behind = |later: &Request, request: &Request| {
        later.fate == Fate::Done && request.ended.is_some_and(|ended| later.began > ended)
    };
    let newest = |request: &&&Request| !requests.iter().filter(writes).any(|later| is_behind(later, request));
    let mut may_be_it = requests.iter().filter(writes).filter(newest);
    match may_be_it.any(|request| request.addresses == record.addresses) {
        true => Ok(()),
        false => Err(format!(
            "{name} has the addresses {:?}, which nobody gave it, or somebody was acknowledged to have changed since",
            record.addresses
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(asked: Asked, began: u64, fate: Fate, addresses: &[&'static str]) -> Request {
        let ended = (fate != Fate::Unknown).then_some(began + 5);
        Request { asked, name: "ONE", addresses: addresses.to_vec(), began, ended, fate }
    }

    fn record(id: u32, deleted: bool, addresses: &[&str]) -> Registered {
        let addresses = addresses.iter().map(ToString::to_string).collect();
        Registered { id, name: "ONE".into(), deleted, addresses, ..Registered::default() }
    }

    #[test]
    fn a_lost_creation_a_deletion_that_is_undone_and_a_change_that_two_claim_are_seen() {
        let create = |began| request(Asked::Create, began, Fate::Done, &[]);
        let delete = |began| request(Asked::Delete, began, Fate::Done, &[]);
        let both = [create(0), delete(10)];
        assert_eq!(check(&both, &[record(1, true, &[])]), Ok(2));
        assert!(check(&both, &[record(1, false, &[])]).unwrap_err().contains("deleted 1 times"));
        assert!(check(&[create(0)], &[]).unwrap_err().contains("created 1 times"));
        let twice = [create(0), create(1)];
        assert!(check(&twice, &[record(1, false, &[])]).is_err(), "two were told that they created it");
        assert!(check(&twice, &[record(1, true, &[]), record(2, false, &[])]).is_err(), "nobody deleted it");
        let perhaps = [create(0), request(Asked::Create, 1, Fate::Unknown, &[])];
        assert!(check(&perhaps, &[record(1, false, &[])]).is_ok());
        assert!(check(&[], &[record(1, false, &[])]).is_err(), "nobody created it");
    }

    #[test]
    fn addresses_are_those_of_the_newest_change_or_of_one_beside_it() {
        let create = request(Asked::Create, 0, Fate::Done, &["a"]);
        let change = |began, fate, address| request(Asked::Arrange, began, fate, &[address]);
        let lost = [create.clone(), change(10, Fate::Done, "b")];
        assert!(check(&lost, &[record(1, false, &["b"])]).is_ok());
        assert!(
            check(&lost, &[record(1, false, &["a"])]).unwrap_err().contains("acknowledged to have changed")
        );
        let late = [create, change(10, Fate::Unknown, "b"), change(20, Fate::Done, "c")];
        assert!(check(&late, &[record(1, false, &["b"])]).is_ok(), "it may have come late");
        assert!(check(&late, &[record(1, false, &["d"])]).is_err());
    }
}
