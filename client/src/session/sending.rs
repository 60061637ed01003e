//! What goes to the outbox, for the first time and again, and leaves it in batches.

use std::{collections::VecDeque, time::Instant};

use trimaran_proto::queue::v1 as wire;

use super::{
    Done, HandleState, PART_BYTES, Producer, Slot, SlotKind, State, interrupted, slots::token_of, weight_of,
};

/// A `SessionRequest` is closed when it has grown past this.
const BATCH_BYTES: usize = 256 * 1024;
const BATCH_CALLS: usize = 1000;

impl State {
    pub(super) fn send(&mut self, token: u64, mut call: wire::call::Call, weight: usize) {
        if let wire::call::Call::Put(put) = &mut call {
            self.send_parts(token, put);
        }
        self.outbox_bytes += weight + 32;
        self.outbox.push_back(wire::Call { token, call: Some(call) });
    }

    /// A body over 1 MiB goes ahead in parts.
    pub(super) fn send_parts(&mut self, number: u64, put: &mut wire::Put) {
        let Some(message) = put.message.as_mut().filter(|message| message.body.len() > PART_BYTES) else {
            return;
        };
        let mut body = std::mem::take(&mut message.body);
        while !body.is_empty() {
            let data = body.split_to(body.len().min(PART_BYTES));
            self.outbox_bytes += data.len() + 32;
            let part = wire::BodyPart { number, data };
            self.outbox.push_back(wire::Call { token: 0, call: Some(wire::call::Call::BodyPart(part)) });
        }
        put.body_parts = number;
    }

    pub(super) fn send_put(&mut self, index: usize, producer: &Producer) {
        let sequence = self.first_put + index as u64;
        let slot = &mut self.puts[index];
        let repeated = std::mem::replace(&mut slot.sent, true) || producer.repeating;
        let producer = producer.name.clone();
        let (handle, weight) = (slot.handle, slot.weight);
        // A put that may go to the dead-letter queue needs no queue that can be opened (MQPUT1).
        let by_name = slot.dead_letter.then(|| self.handles.get(&handle)).flatten();
        let to = match by_name {
            Some(entry) => wire::put::To::Queue(entry.queue.clone()),
            None => wire::put::To::Handle(handle),
        };
        let open_first = by_name.is_none();
        let put = wire::Put {
            to: Some(to),
            message: Some(slot.message.clone()),
            syncpoint: false,
            producer_sequence: Some(wire::ProducerSequence { producer, sequence, repeated }),
            body_parts: 0,
            dead_letter: slot.dead_letter,
            logical_order: false,
        };
        if open_first {
            self.open_handle(handle);
        }
        self.send((sequence << 1) | 1, wire::call::Call::Put(put), weight);
    }

    pub(super) fn open_handle(&mut self, handle: u32) {
        let Some(entry) = self.handles.get_mut(&handle) else { return };
        if matches!(entry.state, HandleState::Open) {
            return;
        }
        let stale = matches!(entry.state, HandleState::Stale);
        entry.state = HandleState::Open;
        let open = wire::Open {
            handle,
            queue: entry.queue.clone(),
            output: entry.purpose.output,
            input: entry.purpose.input,
            exclusive: false,
            browse: entry.purpose.browse,
            inquire: entry.purpose.inquire,
            dynamic_queue: String::new(),
            selector: entry.selector.clone(),
        };
        if stale {
            self.close_handle(handle);
        }
        let order = self.next_order();
        let token = self.add_slot(Slot::internal(order, SlotKind::Open(handle)));
        self.count_call(0, true);
        self.send(token, wire::call::Call::Open(open), 0);
    }

    pub(super) fn close_handle(&mut self, handle: u32) {
        let token = self.add_ignored();
        self.count_call(0, true);
        self.send(token, wire::call::Call::Close(wire::Close { handle, ..wire::Close::default() }), 0);
    }

    pub(super) fn send_everything_again(&mut self, producer: &Producer, done: &mut Vec<Done>) {
        let mut handles: Vec<u32> = self.handles.keys().copied().collect();
        handles.sort_unstable();
        for handle in handles {
            let entry = self.handles.get_mut(&handle).expect("just listed");
            let was_open = matches!(entry.state, HandleState::Open | HandleState::Stale);
            entry.state = HandleState::Closed;
            if was_open {
                self.open_handle(handle);
            }
        }
        enum Item {
            Put(usize),
            Call(u64),
        }
        let mut items: Vec<(u64, Item)> = Vec::new();
        for (index, put) in self.puts.iter().enumerate() {
            if put.answer.is_some() {
                items.push((put.order, Item::Put(index)));
            }
        }
        for (index, slot) in self.slots.iter().enumerate() {
            if let Some(slot) = slot
                && matches!(slot.kind, SlotKind::Call(_))
            {
                items.push((slot.order, Item::Call(token_of(slot.serial, index as u32))));
            }
        }
        items.sort_unstable_by_key(|(order, _)| *order);
        let generation = self.generation;
        for (_, item) in items {
            match item {
                Item::Put(index) => self.send_put(index, producer),
                Item::Call(token) => {
                    let slot = self.slot_mut(token).expect("just listed");
                    if slot.generation.is_some_and(|wanted| wanted != generation) {
                        let slot = self.take_slot(token).expect("just listed");
                        self.uncount_call(slot.weight, !slot.waits);
                        slot.answer_with(Err(interrupted()), done);
                        continue;
                    }
                    slot.parts.clear();
                    let mut call = slot.call.clone().expect("a surviving session keeps its calls");
                    // A get and the like are repeated as long as they were never on the wire, not after.
                    slot.repeat = is_harmless(&call);
                    if let (wire::call::Call::Get(get), Some(deadline)) = (&mut call, slot.deadline) {
                        let left = deadline.saturating_duration_since(Instant::now());
                        get.wait_ms = left.as_millis().min(i32::MAX as u128) as i32;
                    }
                    let (handle, weight) = (slot.handle, slot.weight);
                    if let Some(handle) = handle {
                        self.open_handle(handle);
                    }
                    self.send(token, call, weight);
                }
            }
        }
    }

    pub(super) fn take_batch(&mut self) -> Vec<wire::Call> {
        if self.outbox_bytes <= BATCH_BYTES && self.outbox.len() <= BATCH_CALLS {
            self.outbox_bytes = 0;
            let next = VecDeque::with_capacity(self.outbox.len());
            return std::mem::replace(&mut self.outbox, next).into();
        }
        let mut calls = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH_BYTES && calls.len() < BATCH_CALLS {
            let Some(call) = self.outbox.pop_front() else { break };
            bytes += 32
                + match &call.call {
                    Some(wire::call::Call::BodyPart(part)) => part.data.len(),
                    Some(call @ wire::call::Call::Put(_)) => weight_of(call),
                    _ => 0,
                };
            calls.push(call);
        }
        self.outbox_bytes = if self.outbox.is_empty() { 0 } else { self.outbox_bytes.saturating_sub(bytes) };
        calls
    }
}

fn is_harmless(call: &wire::call::Call) -> bool {
    use wire::call::Call;
    matches!(call, Call::Ping(_) | Call::Inquire(_) | Call::UnitOutcome(_))
}
