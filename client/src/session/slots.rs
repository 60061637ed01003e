//! What is under way, counted and found again by the token of its answer.

use std::time::Instant;

use super::{Answer, Done, Limits, Slot, SlotKind, State, UNANSWERED_SPAN};
use crate::error::Result;

impl State {
    pub(super) fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    pub(super) fn has_room(&self, limits: &Limits) -> bool {
        self.in_flight < limits.calls
            && self.in_flight_bytes < limits.bytes
            && self.puts.len() < UNANSWERED_SPAN
    }

    pub(super) fn count_call(&mut self, weight: usize, awaited: bool) {
        self.in_flight += 1;
        self.in_flight_bytes += weight;
        if awaited {
            if self.awaited == 0 {
                self.heard_at = Instant::now();
            }
            self.awaited += 1;
        }
    }

    pub(super) fn uncount_call(&mut self, weight: usize, awaited: bool) {
        self.in_flight -= 1;
        self.in_flight_bytes -= weight;
        if awaited {
            self.awaited -= 1;
        }
    }

    // Tokens: a sequenced put has its sequence in it, anything else its slot. The lowest bit tells them apart.

    pub(super) fn add_slot(&mut self, mut slot: Slot) -> u64 {
        self.serial = (self.serial + 1) & 0xff_ffff_ffff;
        slot.serial = self.serial;
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = Some(slot);
                index
            }
            None => {
                self.slots.push(Some(slot));
                self.slots.len() as u32 - 1
            }
        };
        token_of(self.serial, index)
    }

    pub(super) fn add_ignored(&mut self) -> u64 {
        let order = self.next_order();
        self.add_slot(Slot::internal(order, SlotKind::Ignored))
    }

    pub(super) fn slot_mut(&mut self, token: u64) -> Option<&mut Slot> {
        let (serial, index) = slot_of(token);
        self.slots.get_mut(index)?.as_mut().filter(|slot| slot.serial == serial)
    }

    pub(super) fn take_slot(&mut self, token: u64) -> Option<Slot> {
        self.slot_mut(token)?;
        let (_, index) = slot_of(token);
        self.free.push(index as u32);
        self.slots[index].take()
    }
}

impl Slot {
    pub(super) fn internal(order: u64, kind: SlotKind) -> Slot {
        Slot {
            serial: 0,
            order,
            kind,
            call: None,
            handle: None,
            repeat: false,
            waits: false,
            generation: None,
            deadline: None,
            weight: 0,
            parts: Vec::new(),
        }
    }

    pub(super) fn answer_with(self, result: Result<Answer>, done: &mut Vec<Done>) {
        if let SlotKind::Call(Some(sender)) = self.kind {
            done.push(Done::Call(sender, result));
        }
    }
}

pub(super) fn token_of(serial: u64, index: u32) -> u64 {
    debug_assert!(index < 1 << 20);
    ((serial << 20) | u64::from(index)) << 1
}

pub(super) fn slot_of(token: u64) -> (u64, usize) {
    (token >> 21, ((token >> 1) & 0xf_ffff) as usize)
}
