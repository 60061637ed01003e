//! Who is connected to which node through a floating address: the node that serves says it, the others remember it, and
//! the one among them that takes the address over tells those clients (`vip/tickle.rs`).
//!
//! Not in the log: it changes with every client that comes or goes, nobody's answer depends on it, and a connection that
//! is missing here is only one whose client notices the takeover later. The whole is said on every new connection between
//! nodes and now and then; in between only what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use trimaran_proto::replica::v1::{ClientConnections, ClientsOfAddress};

use crate::types::{Account, Ends, Held, NodeId, QueueManagerId, Share, Term};

/// Whoever lost something of what was said has it back after so long.
const WHOLE_EVERY: Duration = Duration::from_secs(30);
/// What a connection that is remembered takes.
const ENDS_BYTES: u64 = 128;

/// What this node says, and what it heard.
#[derive(Debug)]
pub struct Clients {
    account: Arc<Account>,
    told: Mutex<BTreeMap<QueueManagerId, Told>>,
    heard: Mutex<BTreeMap<QueueManagerId, Heard>>,
}

#[derive(Debug)]
struct Told {
    term: Term,
    number: u64,
    ends: BTreeSet<Ends>,
    whole_due: Instant,
}

#[derive(Debug)]
struct Heard {
    from: NodeId,
    term: Term,
    /// None after something was missed, until the whole is said again.
    number: Option<u64>,
    ends: BTreeSet<Ends>,
    held: Held,
}

/// What is to be said.
pub(super) struct News {
    queue_manager: QueueManagerId,
    term: Term,
    number: u64,
    ends: BTreeSet<Ends>,
    came: Vec<Ends>,
    gone: Vec<Ends>,
    /// Nobody knows anything of it, or has to be told anew.
    pub begins: bool,
}

impl Clients {
    pub fn new(account: Arc<Account>) -> Clients {
        Clients { account, told: Mutex::default(), heard: Mutex::default() }
    }

    /// What is to be said when these are connected.
    pub(super) fn tell(&self, queue_manager: QueueManagerId, term: Term, ends: BTreeSet<Ends>) -> News {
        let ends = bounded(ends);
        let now = Instant::now();
        let mut told = self.told.lock();
        let before = told.get(&queue_manager).filter(|told| told.term == term);
        let (mut number, nothing) = (before.map_or(0, |told| told.number), BTreeSet::new());
        let known = before.map_or(&nothing, |told| &told.ends);
        let came: Vec<Ends> = ends.difference(known).copied().collect();
        let gone: Vec<Ends> = known.difference(&ends).copied().collect();
        number += u64::from(!came.is_empty() || !gone.is_empty());
        let begins = before.is_none_or(|told| now >= told.whole_due);
        let whole_due = before.filter(|_| !begins).map_or(now + WHOLE_EVERY, |told| told.whole_due);
        told.insert(queue_manager, Told { term, number, ends: ends.clone(), whole_due });
        News { queue_manager, term, number, ends, came, gone, begins }
    }

    /// What a peer says. What makes no sense is forgotten with everything that it said before.
    pub fn hear(&self, from: NodeId, said: ClientConnections) {
        let queue_manager = QueueManagerId(said.queue_manager);
        let mut all = self.heard.lock();
        let heard = all.entry(queue_manager).or_insert_with(|| Heard {
            from,
            term: Term(said.term),
            number: None,
            ends: BTreeSet::new(),
            held: Held::nothing(self.account.clone(), Share::Connections),
        });
        // In one term one node leads.
        if Term(said.term) < heard.term || (Term(said.term) == heard.term && from != heard.from) {
            return;
        }
        if let Err(why) = heard.take_in(from, &said) {
            tracing::debug!(node = from.0, why, "what a peer said of its clients is forgotten");
            heard.forget();
        }
    }

    /// What is remembered of them, which nobody needs again.
    pub(super) fn take(&self, queue_manager: QueueManagerId) -> Vec<Ends> {
        let heard = self.heard.lock().get_mut(&queue_manager).map(Heard::forget);
        heard.unwrap_or_default().into_iter().collect()
    }
}

impl Heard {
    fn take_in(&mut self, from: NodeId, said: &ClientConnections) -> Result<(), &'static str> {
        (self.from, self.term) = (from, Term(said.term));
        if said.whole {
            self.ends.clear();
        } else if self.number.is_none_or(|number| number.checked_add(1) != Some(said.number)) {
            return Err("something before it was missed");
        }
        self.number = Some(said.number);
        for of in &said.addresses {
            let address = read_address(&of.address).ok_or("not an address")?;
            for gone in read_all(address, &of.gone)? {
                self.ends.remove(&gone);
            }
            self.ends.extend(read_all(address, &of.came)?);
        }
        if self.ends.len() > Ends::TOLD_MAX {
            return Err("there are too many");
        }
        match self.held.hold(self.ends.len() as u64 * ENDS_BYTES) {
            true => Ok(()),
            false => Err("there is no memory for it"),
        }
    }

    /// Until the whole is said again.
    fn forget(&mut self) -> BTreeSet<Ends> {
        self.number = None;
        self.held.clear();
        std::mem::take(&mut self.ends)
    }
}

impl News {
    pub fn whole(&self) -> ClientConnections {
        let ends: Vec<Ends> = self.ends.iter().copied().collect();
        self.say(true, &ends, &[])
    }

    /// None when nothing changed.
    pub fn difference(&self) -> Option<ClientConnections> {
        let is_none = self.came.is_empty() && self.gone.is_empty();
        (!is_none).then(|| self.say(false, &self.came, &self.gone))
    }

    fn say(&self, whole: bool, came: &[Ends], gone: &[Ends]) -> ClientConnections {
        let mut addresses: BTreeMap<IpAddr, (Vec<u8>, Vec<u8>)> = BTreeMap::new();
        for ends in came {
            write(&mut addresses.entry(ends.local.ip()).or_default().0, ends);
        }
        for ends in gone {
            write(&mut addresses.entry(ends.local.ip()).or_default().1, ends);
        }
        let of = |(address, (came, gone)): (IpAddr, (Vec<u8>, Vec<u8>))| ClientsOfAddress {
            address: octets(address).into(),
            came: came.into(),
            gone: gone.into(),
        };
        ClientConnections {
            queue_manager: self.queue_manager.0,
            term: self.term.0,
            number: self.number,
            whole,
            addresses: addresses.into_iter().map(of).collect(),
        }
    }
}

fn bounded(mut ends: BTreeSet<Ends>) -> BTreeSet<Ends> {
    while ends.len() > Ends::TOLD_MAX {
        ends.pop_last();
    }
    ends
}

fn write(bytes: &mut Vec<u8>, ends: &Ends) {
    bytes.extend(ends.local.port().to_be_bytes());
    bytes.extend(ends.client.port().to_be_bytes());
    bytes.extend(octets(ends.client.ip()));
}

/// All connections of an address, as [`write`] wrote them.
fn read_all(address: IpAddr, bytes: &Bytes) -> Result<impl Iterator<Item = Ends> + '_, &'static str> {
    let length = 4 + octets(address).len();
    if !bytes.len().is_multiple_of(length) {
        return Err("not whole connections");
    }
    if bytes.len() / length > Ends::TOLD_MAX {
        return Err("there are too many");
    }
    Ok(bytes.chunks_exact(length).filter_map(move |one| {
        let port = |at: usize| u16::from_be_bytes([one[at], one[at + 1]]);
        let client = SocketAddr::new(read_address(&one[4..])?, port(2));
        Some(Ends { local: SocketAddr::new(address, port(0)), client })
    }))
}

fn read_address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    }
}

#[cfg(test)]
mod tests {
    use trimaran_proto::replica::v1::{PeerFrame, PeerMessage};

    use super::*;

    const ID: QueueManagerId = QueueManagerId(1);
    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    fn ends(local: &str, client: &str) -> Ends {
        Ends::new(local.parse().unwrap(), client.parse().unwrap())
    }

    fn client(number: u16) -> Ends {
        Ends::new(([10, 0, 0, 50], 7201).into(), ([10, 0, 0, 9], number).into())
    }

    fn clients() -> Clients {
        Clients::new(Account::new(1 << 30))
    }

    #[test]
    fn what_is_said_in_differences_is_the_whole_in_the_end() {
        let (speaker, hearer) = (clients(), clients());
        let six = ends("[fd00::50]:7201", "[fd00::9]:4000");
        let tell = |all: &[Ends]| speaker.tell(ID, Term(3), all.iter().copied().collect());
        let first = tell(&[client(1), client(2), six]);
        assert!(first.begins);
        hearer.hear(A, first.whole());
        let second = tell(&[client(2), client(3), six]);
        assert!(!second.begins);
        hearer.hear(A, second.difference().unwrap());
        assert_eq!(hearer.account.used(Share::Connections), 3 * ENDS_BYTES);
        assert!(tell(&[client(2), client(3), six]).difference().is_none());
        assert_eq!(hearer.take(ID), [client(2), client(3), six]);
        assert_eq!((hearer.account.used(Share::Connections), hearer.take(ID)), (0, vec![]), "once");
    }

    #[test]
    fn after_something_was_missed_nothing_counts_but_the_whole() {
        let (speaker, hearer) = (clients(), clients());
        let tell = |numbers: &[u16]| speaker.tell(ID, Term(3), numbers.iter().map(|n| client(*n)).collect());
        hearer.hear(A, tell(&[1]).whole());
        tell(&[1, 2]);
        let third = tell(&[1, 2, 3]);
        hearer.hear(A, third.difference().unwrap());
        assert_eq!(hearer.take(ID), []);
        hearer.hear(A, third.whole());
        assert_eq!(hearer.take(ID), [client(1), client(2), client(3)]);
    }

    #[test]
    fn a_release_that_does_not_know_of_it_passes_over_it() {
        #[derive(Clone, PartialEq, prost::Message)]
        struct FrameBefore {
            #[prost(message, repeated, tag = "1")]
            messages: Vec<PeerMessage>,
        }
        let message = PeerMessage { queue_manager: 7, message: None };
        let said = clients().tell(ID, Term(3), BTreeSet::from([client(1)])).whole();
        let frame = PeerFrame { messages: vec![message.clone()], clients: vec![said], hardware: None };
        let read = <FrameBefore as prost::Message>::decode(prost::Message::encode_to_vec(&frame).as_slice());
        assert_eq!(read, Ok(FrameBefore { messages: vec![message] }));
    }

    #[test]
    fn whoever_led_before_says_nothing_more() {
        let (old, new, hearer) = (clients(), clients(), clients());
        let tell = |speaker: &Clients, term, number| {
            speaker.tell(ID, Term(term), BTreeSet::from([client(number)])).whole()
        };
        hearer.hear(A, tell(&old, 3, 1));
        hearer.hear(B, tell(&new, 4, 2));
        hearer.hear(A, tell(&old, 3, 3));
        hearer.hear(A, tell(&old, 4, 4));
        assert_eq!(hearer.take(ID), [client(2)]);
    }

    #[test]
    fn what_makes_no_sense_or_is_too_much_is_not_kept() {
        let hearer = clients();
        let whole = clients().tell(ID, Term(3), BTreeSet::from([client(1)])).whole();
        let spoilt = |spoil: fn(&mut ClientsOfAddress)| {
            let mut said = whole.clone();
            spoil(&mut said.addresses[0]);
            said
        };
        for said in [
            spoilt(|of| of.address = Bytes::from_static(b"abc")),
            spoilt(|of| of.came = of.came.slice(1..)),
            spoilt(|of| of.gone = Bytes::from_static(b"0123456")),
            spoilt(|of| of.came = vec![7; 8 * (Ends::TOLD_MAX + 1)].into()),
        ] {
            hearer.hear(A, whole.clone());
            hearer.hear(A, said);
            assert_eq!(hearer.take(ID), []);
        }
        let all =
            (0..=Ends::TOLD_MAX).map(|n| ends("10.0.0.50:1414", &format!("10.0.{}.9:{}", n >> 12, n & 4095)));
        let speaker = clients();
        hearer.hear(A, speaker.tell(ID, Term(3), all.collect()).whole());
        assert_eq!(hearer.take(ID).len(), Ends::TOLD_MAX);
    }
}
