//! No get waits for longer than a tick beside a free message that it could have, or at a queue that is not open for gets; and none does where
//! the address goes in a planned move.

use std::collections::BTreeMap;

use trimaran_node::mqi::GetMode;
use trimaran_node::qmgr::{Queue, Slot};
use trimaran_node::replica::{Replica, WaitView};
use trimaran_node::types::{Position, RoleView, WhyNotServing};

use super::turns;
use crate::sim::clock::TICK_US;
use crate::sim::node::Node;
use crate::sim::world::SERVERS_FROM;

pub const NAME: &str = "no wait beside a message";

/// A tick, and the turn that may be under way.
const BESIDE_US_MAX: u64 = TICK_US + turns::TURN_US_MAX;

/// Which waits stood beside a message when they were last looked at, and since when.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    beside: BTreeMap<Wait, u64>,
}

/// Node and its incarnation, queue manager, session, token.
type Wait = (u64, u64, usize, u64, u64);

impl Waits {
    pub fn every_tick(&mut self, now: u64, nodes: &BTreeMap<u64, Node>) -> Option<String> {
        let mut beside = BTreeMap::new();
        for node in nodes.values().filter(|node| !node.is_paused(now)) {
            for (number, mind) in node.process.iter().flat_map(|process| &process.minds).enumerate() {
                for wait in mind.replica.waits() {
                    let Some(reason) = why_not(&mind.replica, wait) else { continue };
                    let key = (node.id, node.incarnation, number, wait.session.0, wait.token.0);
                    let since = self.beside.get(&key).copied().unwrap_or(now);
                    if since + BESIDE_US_MAX <= now {
                        return Some(format!(
                            "get {} of session {} waits on node {} though {reason}, for {} us",
                            wait.token,
                            wait.session,
                            node.id,
                            now - since
                        ));
                    }
                    beside.insert(key, since);
                }
            }
        }
        self.beside = beside;
        None
    }
}

/// In a planned move the connections go with the address, and a program that still waits by one cannot know whether it got a message.
pub fn on_role(node: u64, role: &RoleView, replica: &Replica) -> Option<String> {
    let is_planned = matches!(role, RoleView::Elected { why: WhyNotServing::HandingOver, .. });
    // A command server came by no address.
    let mut waits = replica.waits().filter(|wait| wait.session.0 <= SERVERS_FROM);
    let wait = waits.next().filter(|_| is_planned)?;
    Some(format!(
        "get {} of session {} waits on node {node}, which lets the address go in a planned move",
        wait.token, wait.session
    ))
}

/// Why it should not wait.
fn why_not(replica: &Replica, wait: WaitView<'_>) -> Option<String> {
    let Some(queue) = replica.queue_manager().queue(wait.queue) else {
        return Some("its queue is gone".into());
    };
    let name = &queue.name;
    if !queue.rules.get_enabled {
        return Some(format!("{name} is not open for gets"));
    }
    let behind: Option<Position> = wait.cursor.filter(|_| wait.get.mode == GetMode::BrowseNext);
    let (position, _) = queue.after(behind).find(|(position, slot)| {
        // One that expires comes back when the clock does, and nobody is told.
        slot.expires().is_none()
            && slot.matches(&wait.get.selection)
            // Of one that is in the store only, its selector does not know.
            && wait.selector.is_none_or(|selector| {
                slot.message.as_ref().is_some_and(|message| selector.judge(message).selects)
            })
            && replica.is_free(wait.queue, *position)
            && (!wait.get.selection.wants_whole() || is_whole(replica, queue, slot))
    })?;
    Some(format!("{position:?} of {name} is free and what it wants"))
}

/// Whether all messages of its group are there and free, found out by looking at all of them.
fn is_whole(replica: &Replica, queue: &Queue, slot: &Slot) -> bool {
    let Some(group) = slot.in_group() else { return true };
    let free = queue.iter().filter(|(position, _)| replica.is_free(queue.id, *position));
    let of_group = free.filter_map(|(_, slot)| slot.in_group()).filter(|of| of.group_id == group.group_id);
    let numbers: BTreeMap<u32, bool> = of_group.map(|of| (of.sequence_number, of.is_last)).collect();
    let has_all = numbers.keys().zip(1..).all(|(number, next)| *number == next);
    has_all && numbers.last_key_value().is_some_and(|(_, is_last)| *is_last)
}
