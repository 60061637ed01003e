//! How many instances each channel has: connections of clients, counted by channel and by host.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::mqi::Identity;
use crate::types::ObjectName;

#[derive(Debug, Default)]
pub(super) struct Channels(BTreeMap<ObjectName, Instances>);

/// Of one channel. A client is an address, whatever its port.
#[derive(Debug, Default)]
struct Instances {
    all: u32,
    of_clients: BTreeMap<Option<IpAddr>, u32>,
}

pub(super) fn client(of: &Identity) -> Option<IpAddr> {
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
    pub fn count(&self, channel: &ObjectName, of: Option<IpAddr>) -> (u32, u32) {
        let Some(instances) = self.0.get(channel) else { return (0, 0) };
        let own = instances.of_clients.get(&of).copied().unwrap_or_default();
        debug_assert!(own <= instances.all, "the instances of one client are among all");
        (instances.all, own)
    }

    /// Instances of all channels.
    pub fn all(&self) -> u32 {
        self.0.values().map(|instances| instances.all).sum()
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
        assert!(channels.0.is_empty());
    }
}
