//! The network between nodes: delay, loss, duplication, reordering, cuts of every shape, and streams on top.
//!
//! A stream is what `peer` has between two processes: messages arrive in order while it lasts, and vanish with it.
//! The world asks where and when a message arrives; what it does with the answer is the world's.

use std::collections::BTreeMap;

use super::rng::Rng;

/// How a direction of a link treats what it carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    pub delay_us_min: u64,
    pub delay_us_max: u64,
    pub loss_per_mille: u64,
    pub duplicate_per_mille: u64,
    pub reorder_per_mille: u64,
}

impl Quality {
    pub fn lan() -> Quality {
        Quality { delay_us_min: 40, delay_us_max: 900, ..Quality::default() }
    }
}

#[derive(Clone, Debug)]
struct Link {
    quality: Quality,
    /// How many faults cut this direction just now.
    cuts: u32,
    cut_since: u64,
    last_arrival: u64,
    /// Number of the stream that is up, and what it is up between (the incarnations of both processes).
    stream: Option<Stream>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    pub number: u64,
    pub from_incarnation: u64,
    pub to_incarnation: u64,
}

/// What became of one message that was sent.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    pub arrivals: Vec<u64>,
    pub lost: bool,
    pub duplicated: bool,
    pub reordered: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Net {
    links: BTreeMap<(u64, u64), Link>,
    base: Quality,
    streams_made: u64,
    /// Nodes that clients do not reach just now, and how many faults say so.
    clients_cut: BTreeMap<u64, u32>,
}

impl Net {
    pub fn new(base: Quality) -> Net {
        Net { base, ..Net::default() }
    }

    fn link(&mut self, from: u64, to: u64) -> &mut Link {
        let quality = self.base.clone();
        self.links.entry((from, to)).or_insert_with(|| Link {
            quality,
            cuts: 0,
            cut_since: 0,
            last_arrival: 0,
            stream: None,
        })
    }

    pub fn send(&mut self, from: u64, to: u64, now: u64, rng: &mut Rng) -> Sent {
        let link = self.link(from, to);
        let mut sent = Sent::default();
        if link.cuts > 0 || rng.chance(link.quality.loss_per_mille) {
            sent.lost = true;
            return sent;
        }
        let delay = rng.skewed(link.quality.delay_us_min, link.quality.delay_us_max);
        if rng.chance(link.quality.reorder_per_mille) {
            // Overtaken by what is sent within the next few delays.
            sent.reordered = true;
            sent.arrivals.push(now + delay + rng.between(1, 4 * link.quality.delay_us_max));
        } else {
            let arrival = (now + delay).max(link.last_arrival + 1);
            link.last_arrival = arrival;
            sent.arrivals.push(arrival);
        }
        if rng.chance(link.quality.duplicate_per_mille) {
            sent.duplicated = true;
            let last = sent.arrivals[0];
            sent.arrivals.push(last + rng.between(1, 10 * link.quality.delay_us_max));
        }
        sent
    }

    /// Nothing is cut, and every link is as good as it ever is.
    pub fn is_whole(&self) -> bool {
        self.links.values().all(|link| link.cuts == 0 && link.quality == self.base)
    }

    pub fn is_cut(&self, from: u64, to: u64) -> bool {
        self.links.get(&(from, to)).is_some_and(|link| link.cuts > 0)
    }

    /// Since when one of the two directions is cut.
    pub fn cut_since(&self, a: u64, b: u64) -> Option<u64> {
        [(a, b), (b, a)]
            .iter()
            .filter_map(|pair| self.links.get(pair))
            .filter(|link| link.cuts > 0)
            .map(|link| link.cut_since)
            .min()
    }

    pub fn cut(&mut self, from: u64, to: u64, now: u64) {
        let link = self.link(from, to);
        if link.cuts == 0 {
            link.cut_since = now;
        }
        link.cuts += 1;
    }

    pub fn mend(&mut self, from: u64, to: u64) {
        let link = self.link(from, to);
        link.cuts = link.cuts.saturating_sub(1);
    }

    pub fn set_quality(&mut self, from: u64, to: u64, quality: Quality) {
        self.link(from, to).quality = quality;
    }

    pub fn restore_quality(&mut self, from: u64, to: u64) {
        self.link(from, to).quality = self.base.clone();
    }

    pub fn set_base(&mut self, base: Quality) {
        self.links.values_mut().for_each(|link| link.quality = base.clone());
        self.base = base;
    }

    pub fn base(&self) -> &Quality {
        &self.base
    }

    pub fn mend_all(&mut self) {
        self.links.values_mut().for_each(|link| link.cuts = 0);
        self.clients_cut.clear();
    }

    pub fn cut_clients(&mut self, node: u64) {
        *self.clients_cut.entry(node).or_default() += 1;
    }

    pub fn mend_clients(&mut self, node: u64) {
        if let Some(cuts) = self.clients_cut.get_mut(&node) {
            *cuts = cuts.saturating_sub(1);
        }
    }

    pub fn clients_reach(&self, node: u64) -> bool {
        self.clients_cut.get(&node).is_none_or(|cuts| *cuts == 0)
    }

    pub fn stream(&self, from: u64, to: u64) -> Option<Stream> {
        self.links.get(&(from, to)).and_then(|link| link.stream)
    }

    pub fn connect(&mut self, from: u64, from_incarnation: u64, to: u64, to_incarnation: u64) -> Stream {
        self.streams_made += 1;
        let stream = Stream { number: self.streams_made, from_incarnation, to_incarnation };
        self.link(from, to).stream = Some(stream);
        stream
    }

    pub fn disconnect(&mut self, from: u64, to: u64) {
        self.link(from, to).stream = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_one_way_and_counts() {
        let mut net = Net::new(Quality::lan());
        let mut rng = Rng::new(3);
        net.cut(1, 2, 10);
        net.cut(1, 2, 20);
        assert!(net.send(1, 2, 30, &mut rng).lost);
        assert!(!net.send(2, 1, 30, &mut rng).lost);
        assert_eq!(net.cut_since(2, 1), Some(10));
        net.mend(1, 2);
        assert!(net.is_cut(1, 2));
        net.mend(1, 2);
        assert!(!net.send(1, 2, 40, &mut rng).lost);
    }

    #[test]
    fn messages_stay_in_order_unless_the_link_reorders() {
        let mut net = Net::new(Quality::lan());
        let mut rng = Rng::new(5);
        let arrivals: Vec<u64> = (0..500).flat_map(|at| net.send(1, 2, at, &mut rng).arrivals).collect();
        assert!(arrivals.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
