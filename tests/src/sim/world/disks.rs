//! What a node's disk does and when it says so: log writes, the store's moves and flushes, rows read, room that ends.

use std::collections::BTreeMap;

use trimaran_node::replica::Event;
use trimaran_node::types::{Index, RequestId, WriteNumber};

use super::{LOG_RETRY_US, STORE_RETRY_US, Step, World, room};
use crate::sim::disk::{Depth, Room};

impl World {
    pub(super) fn write_log(&mut self, id: u64) {
        let now = self.now;
        let mut rng = self.rng.fork(2);
        let node = self.node_mut(id);
        let incarnation = node.incarnation;
        let process = node.process.as_mut().expect("called for running nodes");
        if process.log_queue.is_empty() {
            process.log_busy = false;
            return;
        }
        process.log_busy = true;
        let (mut done, mut sync, mut bytes) = (Vec::new(), false, 0);
        while let Some((mind, write)) = process.log_queue.pop_front() {
            sync |= write.sync;
            bytes += write.entries.iter().map(|entry| entry.data.len()).sum::<usize>();
            done.push((mind, write.number));
            if let Err(failed) = node.disk.write_log(&write) {
                self.on_disk_failed(id, failed);
                return;
            }
        }
        let delay = if sync { rng.skewed(node.sync_us.0, node.sync_us.1) + bytes as u64 / 500 } else { 5 };
        self.schedule(now + delay, Step::LogWritten { node: id, incarnation, sync, done });
    }

    pub(super) fn on_log_written(&mut self, id: u64, sync: bool, done: Vec<(usize, WriteNumber)>) {
        match self.node_mut(id).disk.finish_log(sync) {
            Ok(Room::Enough) => {}
            Ok(Room::Lacking { .. }) => {
                self.counters.mark("log waited for room");
                let incarnation = self.nodes[&id].incarnation;
                let again = Step::LogWritten { node: id, incarnation, sync, done };
                return self.schedule(self.now + LOG_RETRY_US, again);
            }
            Err(failed) => return self.on_disk_failed(id, failed),
        }
        for (mind, write) in done {
            self.hand_in(id, mind, Event::LogPersisted { write });
        }
        self.write_log(id);
    }

    pub(super) fn start_store(&mut self, id: u64) {
        let delay = self.rng.skewed(30, 5_000);
        let node = self.node_mut(id);
        let incarnation = node.incarnation;
        let full = node.store_full;
        let Some(process) = node.process.as_mut() else { return };
        if process.store_busy || process.store_queue.is_empty() || full {
            return;
        }
        process.store_busy = true;
        self.schedule(self.now + delay, Step::Stored { node: id, incarnation });
    }

    pub(super) fn on_stored(&mut self, id: u64) {
        let now = self.now;
        let mut rng = self.rng.fork(3);
        let node = self.node_mut(id);
        let incarnation = node.incarnation;
        let full = node.store_full;
        let process = node.process.as_mut().expect("checked by the caller");
        process.store_busy = false;
        if full {
            return;
        }
        if let Some(batch) = process.store_queue.pop_front() {
            match node.disk.store(&batch, now) {
                Ok(Room::Enough) => {}
                Ok(Room::Lacking { is_news }) => {
                    process.store_busy = true;
                    let (queue_manager, upto) = (batch.meta.queue_manager, batch.meta.index);
                    process.store_queue.push_front(batch);
                    self.schedule(now + STORE_RETRY_US, Step::Stored { node: id, incarnation });
                    if is_news {
                        self.counters.mark("store refused for lack of space");
                        self.hand_in(id, queue_manager.0 as usize - 1, Event::StoreRefused { upto });
                    }
                    return;
                }
                Err(failed) => return self.on_disk_failed(id, failed),
            }
            if !process.flush_due {
                process.flush_due = true;
                let delay = rng.skewed(node.flush_us.0, node.flush_us.1);
                self.schedule(now + delay, Step::Flush { node: id, incarnation });
            }
        }
        self.start_store(id);
    }

    /// A flush that began on a slow disk would take as long as it was to take there.
    pub fn flush_soon(&mut self, id: u64) {
        let node = self.node_mut(id);
        let (incarnation, within) = (node.incarnation, node.flush_us.1);
        if node.process.as_ref().is_some_and(|process| process.flush_due) {
            self.schedule(self.now + within, Step::Flush { node: id, incarnation });
        }
    }

    pub(super) fn on_flush(&mut self, id: u64) {
        let node = self.node_mut(id);
        node.process.as_mut().expect("checked by the caller").flush_due = false;
        match node.disk.flush_store() {
            Ok(moved) => {
                for (queue_manager, upto) in moved {
                    self.hand_in(id, queue_manager.0 as usize - 1, Event::StoreFlushed { upto });
                }
                self.counters.mark("store flushed");
            }
            Err(failed) => self.on_disk_failed(id, failed),
        }
    }

    pub(super) fn on_rows_read(&mut self, id: u64, number: usize, request: RequestId) {
        let damage = self.nodes[&id].row_damage_per_mille;
        let damaged = damage > 0 && self.rng.chance(damage);
        let node = self.node_mut(id);
        let process = node.process.as_mut().expect("checked by the caller");
        let Some(load) = process.loads.remove(&(number, request)) else { return };
        let mut rows = match node.disk.load(&load) {
            Ok(rows) => rows,
            Err(reason) => return self.on_unreadable(id, reason),
        };
        let mut place = None;
        if damaged {
            rows[0] = None;
            place = Some(format!("node {id}: checksum of block 7 of the message store"));
            self.counters.mark("damaged row read");
        }
        self.hand_in(id, number, Event::RowsLoaded { request, rows, damaged: place });
    }

    pub fn set_disk_low(&mut self, id: u64, low: bool) {
        self.node_mut(id).disk_low = low;
        self.hand_in_all(id, || Event::Disk { room: room(low) });
    }

    /// Space for the message store ends, or is there again.
    pub fn set_store_full(&mut self, id: u64, full: bool) {
        if self.node_mut(id).disk.set_store_room(!full) {
            return;
        }
        self.node_mut(id).store_full = full;
        if full {
            let Some(process) = &self.node(id).process else { return };
            let refused: BTreeMap<u32, Index> = process
                .store_queue
                .iter()
                .map(|batch| (batch.meta.queue_manager.0, batch.meta.index))
                .collect();
            for (queue_manager, upto) in refused {
                self.counters.mark("store refused for lack of space");
                self.hand_in(id, queue_manager as usize - 1, Event::StoreRefused { upto });
            }
        } else {
            self.start_store(id);
        }
    }

    pub(super) fn tend_disk(&mut self, id: u64) {
        let now = self.now;
        let node = self.node_mut(id);
        if node.is_running()
            && !node.is_paused(now)
            && let Err(failed) = node.disk.tend(now)
        {
            self.on_disk_failed(id, failed);
        }
        let disk = &mut self.node_mut(id).disk;
        let (marks, complaint, calls) = (disk.take_marks(), disk.complaint(), disk.calls_made());
        if self.plan.depth == Depth::B {
            self.trace.number(calls);
        }
        marks.into_iter().for_each(|mark| self.counters.mark(mark));
        if let Some(sentence) = complaint {
            self.fail("stores", format!("node {id}: {sentence}"));
        }
    }
}
