//! What goes through channels: of each instance, for `DISPLAY CHSTATUS`, and of each channel since this node began, for metrics.
//!
//! Counted where bytes come and go, once for each read and write of a socket; a mind is not asked for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::counters::add;
use crate::types::{ObjectName, SessionId, WallTime};

/// Channels of which is remembered what went through them, of all queue managers. With more, those that nobody uses are forgotten.
const REMEMBERED_MAX: usize = 10_000;

type Channel = (ObjectName, ObjectName);

/// By queue manager.
#[derive(Debug, Default)]
pub struct Traffic(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    instances: BTreeMap<(ObjectName, SessionId), (ObjectName, Arc<Flow>)>,
    /// Of instances that have ended.
    ended: BTreeMap<Channel, Passed>,
}

/// What goes through one instance.
#[derive(Debug)]
pub struct Flow {
    messages: AtomicU64,
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
    buffers_sent: AtomicU64,
    buffers_received: AtomicU64,
    /// In milliseconds since 1970; 0: none yet.
    last_ms: AtomicI64,
    began: WallTime,
}

/// The same, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// MSGS: calls of programs, as MQ counts them for SVRCONN.
    pub messages: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub buffers_sent: u64,
    pub buffers_received: u64,
    /// When the last call came; None: none did.
    pub last: Option<WallTime>,
}

/// What one channel is, and what went through it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelFigures {
    /// That there are now.
    pub instances: u64,
    /// Through these, and those that were there before.
    pub passed: Passed,
}

/// An instance that is counted for as long as this lasts.
#[derive(Debug)]
pub struct Counted {
    flow: Arc<Flow>,
    of: (ObjectName, SessionId),
    traffic: Arc<Traffic>,
}

impl Traffic {
    pub fn begin(
        self: &Arc<Self>,
        of: (ObjectName, SessionId),
        channel: ObjectName,
        now: WallTime,
    ) -> Counted {
        let flow = Arc::new(Flow {
            messages: AtomicU64::new(0),
            bytes_sent: AtomicU64::new(0),
            bytes_received: AtomicU64::new(0),
            buffers_sent: AtomicU64::new(0),
            buffers_received: AtomicU64::new(0),
            last_ms: AtomicI64::new(0),
            began: now,
        });
        self.0.lock().instances.insert(of.clone(), (channel, flow.clone()));
        Counted { flow, of, traffic: self.clone() }
    }

    /// Since when an instance is there, and what went through it.
    pub fn of_instance(&self, queue_manager: &ObjectName, session: SessionId) -> Option<(WallTime, Passed)> {
        let all = self.0.lock();
        all.instances.get(&(queue_manager.clone(), session)).map(|(_, flow)| (flow.began, flow.passed()))
    }

    /// Channels of the queue manager that somebody came through.
    pub fn channels(&self, queue_manager: &ObjectName) -> BTreeMap<ObjectName, ChannelFigures> {
        let all = self.0.lock();
        let mut channels: BTreeMap<ObjectName, ChannelFigures> = BTreeMap::new();
        for ((_, channel), passed) in all.ended.iter().filter(|((of, _), _)| of == queue_manager) {
            channels.insert(channel.clone(), ChannelFigures { instances: 0, passed: *passed });
        }
        for ((of, _), (channel, flow)) in &all.instances {
            if of == queue_manager {
                let figures = channels.entry(channel.clone()).or_default();
                figures.instances += 1;
                figures.passed.add(flow.passed());
            }
        }
        channels
    }

    fn end(&self, of: &(ObjectName, SessionId)) {
        let mut all = self.0.lock();
        let Some((channel, flow)) = all.instances.remove(of) else { return };
        if all.ended.len() >= REMEMBERED_MAX {
            let All { instances, ended } = &mut *all;
            ended.retain(|(queue_manager, channel), _| {
                instances.iter().any(|((of, _), (name, _))| of == queue_manager && name == channel)
            });
        }
        all.ended.entry((of.0.clone(), channel)).or_default().add(flow.passed());
    }
}

impl Counted {
    pub fn received(&self, bytes: u64) {
        add(&self.flow.bytes_received, bytes);
        add(&self.flow.buffers_received, 1);
    }

    pub fn sent(&self, bytes: u64) {
        add(&self.flow.bytes_sent, bytes);
        add(&self.flow.buffers_sent, 1);
    }

    /// Programs made calls.
    pub fn called(&self, calls: u64, now: WallTime) {
        add(&self.flow.messages, calls);
        self.flow.last_ms.store(now.0, Relaxed);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.traffic.end(&self.of);
    }
}

impl Flow {
    fn passed(&self) -> Passed {
        Passed {
            messages: self.messages.load(Relaxed),
            bytes_sent: self.bytes_sent.load(Relaxed),
            bytes_received: self.bytes_received.load(Relaxed),
            buffers_sent: self.buffers_sent.load(Relaxed),
            buffers_received: self.buffers_received.load(Relaxed),
            last: Some(self.last_ms.load(Relaxed)).filter(|ms| *ms > 0).map(WallTime),
        }
    }
}

impl Passed {
    fn add(&mut self, other: Passed) {
        self.messages += other.messages;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.buffers_sent += other.buffers_sent;
        self.buffers_received += other.buffers_received;
        self.last = self.last.max(other.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_through_a_channel_is_known_after_its_instances_have_ended() {
        let name = |name: &str| ObjectName::new(name).unwrap();
        let (queue_manager, channel) = (name("QM"), name("APP"));
        let traffic = Arc::<Traffic>::default();
        let begin = |session| traffic.begin((name("QM"), SessionId(session)), name("APP"), WallTime(1000));
        let (one, other) = (begin(1), begin(2));
        one.received(100);
        one.called(3, WallTime(5000));
        other.received(10);
        other.sent(7);
        let (began, passed) = traffic.of_instance(&queue_manager, SessionId(1)).unwrap();
        assert_eq!((began, passed.messages, passed.last), (WallTime(1000), 3, Some(WallTime(5000))));
        drop(one);
        assert_eq!(traffic.of_instance(&queue_manager, SessionId(1)), None);
        let figures = traffic.channels(&queue_manager)[&channel];
        assert_eq!((figures.instances, figures.passed.messages), (1, 3));
        assert_eq!((figures.passed.bytes_received, figures.passed.bytes_sent), (110, 7));
        assert_eq!(figures.passed.last, Some(WallTime(5000)), "a call is remembered longer than who made it");
        assert!(traffic.channels(&name("OTHER")).is_empty());
    }
}
