//! A channel has as many instances as MAXINST and MAXINSTC say: who finds a place gets it, who finds none is refused (2537), and a
//! connection that breaks gives its own back.

use std::collections::BTreeMap;

use trimaran_node::mqi::Refusal;
use trimaran_node::types::Reason;

use crate::sim::node::{OpenSession, Part};

pub const NAME: &str = "places of channels";

/// MAXINST and MAXINSTC of the channel of programs: of the first queue manager it is full soon, of the other one for a host.
pub fn limits(queue_manager: usize) -> (usize, usize) {
    if queue_manager == 0 { (2, 2) } else { (9, 1) }
}

/// This session's turn has come: whether there is a place for it, if it is an instance.
pub fn settle(sessions: &mut BTreeMap<u64, OpenSession>, session: u64) {
    let Some(asking) = sessions.get(&session) else { return };
    let (queue_manager, Part::Instance { host, of, .. }) = (asking.queue_manager, asking.part) else {
        return;
    };
    let of_queue_manager = sessions.values().filter(|open| open.queue_manager == queue_manager);
    let hosts: Vec<u8> = of_queue_manager
        .filter_map(|open| match open.part {
            Part::Instance { host, place: Some(true), .. } => Some(host),
            _ => None,
        })
        .collect();
    let own = hosts.iter().filter(|other| **other == host).count();
    let (maxinst, maxinstc) = limits(queue_manager);
    let place = Some(hosts.len() < maxinst && own < maxinstc);
    sessions.get_mut(&session).expect("just seen").part = Part::Instance { host, place, of };
}

/// It was let in, or refused like this.
pub fn answered(session: u64, place: Option<bool>, refused: Option<&Refusal>) -> Option<String> {
    match (place, refused.map(|refusal| refusal.reason)) {
        // A node that does not serve has places for nobody.
        (Some(true), None) | (Some(false), Some(Reason::ChannelNotAvailable)) => None,
        (_, Some(Reason::QMgrNotAvailable)) => None,
        (None, _) => Some(format!("instance {session} is answered, and did not ask")),
        (Some(_), None) => Some(format!("instance {session} was let in, and there was no place")),
        (Some(place), Some(reason)) => {
            let were = if place { "were places" } else { "was no place" };
            Some(format!("instance {session} was refused with {reason}, and there {were}"))
        }
    }
}
