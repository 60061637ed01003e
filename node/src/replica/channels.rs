//! Instances of channels: how many connections clients have through each, and how many they may have.
//!
//! A listener whose protocol has channels asks for a session for each connection ([`Purpose::Instance`]), and for one for
//! each program on it. All of them end when another node takes over, so there is nothing to hand on.
//!
//! Limits hold for who comes: a lower one ends nobody (IBM MQ Reference, "DEFINE CHANNEL", MAXINST).

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Replica;
use crate::mqi::{ChannelTerms, Connect, Identity, Purpose, Refusal};
use crate::types::definition::{self as selector, Definition, ObjectKind, ObjectRef};
use crate::types::{ObjectName, Reason};

#[derive(Debug, Default)]
pub(super) struct Channels(BTreeMap<ObjectName, Instances>);

/// Of one channel. A client is an address, whatever its port.
#[derive(Debug, Default)]
struct Instances {
    all: u32,
    of_clients: BTreeMap<Option<IpAddr>, u32>,
}

fn client(of: &Identity) -> Option<IpAddr> {
    of.address.map(|address| address.ip())
}

impl Channels {
    pub fn begin(&mut self, identity: &Identity) {
        let Some(channel) = &identity.channel else { return };
        let instances = self.0.entry(channel.clone()).or_default();
        instances.all += 1;
        *instances.of_clients.entry(client(identity)).or_default() += 1;
        debug_assert_eq!(
            instances.all,
            instances.of_clients.values().sum::<u32>(),
            "each instance is some client's"
        );
    }

    /// # Panics
    /// When none of this client had begun.
    pub fn end(&mut self, identity: &Identity) {
        let Some(channel) = &identity.channel else { return };
        let instances = self.0.get_mut(channel).expect("an instance that ends has begun");
        let own = instances.of_clients.get_mut(&client(identity)).expect("it was some client's");
        assert!(*own > 0 && instances.all > 0, "what is counted is there");
        *own -= 1;
        if *own == 0 {
            instances.of_clients.remove(&client(identity));
        }
        instances.all -= 1;
        if instances.all == 0 {
            self.0.remove(channel);
        }
    }

    /// All instances of the channel, and those of one client.
    fn count(&self, channel: &ObjectName, of: Option<IpAddr>) -> (u32, u32) {
        let Some(instances) = self.0.get(channel) else { return (0, 0) };
        let own = instances.of_clients.get(&of).copied().unwrap_or_default();
        debug_assert!(own <= instances.all, "the instances of one client are among all");
        (instances.all, own)
    }

    /// Instances of all channels.
    pub fn all(&self) -> u32 {
        self.0.values().map(|instances| instances.all).sum()
    }

    pub fn is_empty(&self) -> bool {
        debug_assert_eq!(self.0.is_empty(), self.all() == 0, "a channel without instances is not counted");
        self.0.is_empty()
    }
}

impl Replica {
    /// What the channel of an instance says; None for a session that is no instance.
    ///
    /// # Errors
    /// 2540 for a channel that is not defined, 2537 when it has as many instances as it may have, 2059 when this node
    /// does not serve.
    pub(super) fn admit_instance(&self, connect: &Connect) -> Result<Option<ChannelTerms>, Refusal> {
        let (Purpose::Instance, Some(name)) = (connect.purpose, &connect.identity.channel) else {
            return Ok(None);
        };
        if !self.is_serving() {
            return Err(Reason::QMgrNotAvailable.into());
        }
        let object = ObjectRef::new(ObjectKind::Channel, name.as_str());
        let Some(channel) = self.state.catalog().get(&object) else {
            let detail = format!("There is no channel {name}; names are case-sensitive.");
            return Err(Refusal::because(Reason::UnknownChannelName, detail));
        };
        let limit = |selector| channel.number(selector).max(0) as u32;
        let (all, own) = self.sessions.channels().count(name, client(&connect.identity));
        let full = |count: u32, limit: u32, attribute: &str, whose: &str| {
            let detail = format!(
                "Channel {name} has {count} connections{whose} and may have {limit} ({attribute}). Close some, or ALTER \
                 CHANNEL({name}) CHLTYPE(SVRCONN) {attribute}."
            );
            Err(Refusal::because(Reason::ChannelNotAvailable, detail))
        };
        if all >= limit(selector::MAXINST) {
            return full(all, limit(selector::MAXINST), "MAXINST", "");
        }
        if own >= limit(selector::MAXINSTC) {
            return full(own, limit(selector::MAXINSTC), "MAXINSTC", " of this client");
        }
        Ok(Some(terms_of(channel)))
    }
}

fn terms_of(channel: &Definition) -> ChannelTerms {
    debug_assert_eq!(channel.kind(), ObjectKind::Channel, "the terms of a channel");
    let number = |selector| channel.number(selector).max(0) as u32;
    ChannelTerms {
        message_bytes_max: number(selector::CHANNEL_MAXMSGL),
        heartbeat_seconds: number(selector::HBINT),
        conversations: number(selector::SHARECNV),
        user: Some(channel.text(selector::MCAUSER).trim().to_string()).filter(|user| !user.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(channel: &str, address: &str) -> Identity {
        Identity {
            channel: Some(ObjectName::new(channel).unwrap()),
            address: Some(address.parse().unwrap()),
            ..Identity::of("joe")
        }
    }

    #[test]
    fn instances_count_by_channel_and_by_host() {
        let mut channels = Channels::default();
        let (one, other) = (of("APP", "10.0.0.1:5000"), of("APP", "10.0.0.1:5001"));
        let elsewhere = of("APP", "10.0.0.2:5000");
        for identity in [&one, &other, &elsewhere, &of("ADM", "10.0.0.1:5002")] {
            channels.begin(identity);
        }
        let counted =
            |channels: &Channels, of: &Identity| channels.count(of.channel.as_ref().unwrap(), client(of));
        assert_eq!(counted(&channels, &one), (3, 2));
        assert_eq!(counted(&channels, &elsewhere), (3, 1));
        channels.end(&other);
        assert_eq!(counted(&channels, &one), (2, 1));
        for identity in [&one, &elsewhere, &of("ADM", "10.0.0.1:5002")] {
            channels.end(identity);
        }
        assert!(channels.is_empty());
    }
}
