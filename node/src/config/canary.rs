//! The canaries of a cluster file: which queue managers they try, and as whom.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use super::options::expand;
use super::problems::Problems;
use super::{Config, file};
use crate::types::QueueManagerId;
use crate::vip::Mode;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Canaries {
    pub queue_managers: BTreeSet<QueueManagerId>,
    /// The certificate and key that they show, as clients do.
    pub identity: Option<(PathBuf, PathBuf)>,
}

pub(super) fn read(file: &file::File, node: &str, problems: &mut Problems) -> Canaries {
    let told = file.queue_managers.iter().filter_map(|queue_manager| {
        let written = queue_manager.canary.as_ref().filter(|written| *written.get_ref())?;
        Some((QueueManagerId(*queue_manager.id.get_ref()), written.span()))
    });
    let told: Vec<_> = told.collect();
    let identity = match (&file.canary.certificate, &file.canary.key) {
        (Some(certificate), Some(key)) => {
            Some((expand(certificate.get_ref(), node), expand(key.get_ref(), node)))
        }
        (None, None) => None,
        (certificate, key) => {
            let span = certificate.iter().chain(key).next().map_or(0..0, toml::Spanned::span);
            problems.add(span, "[canary] needs both certificate and key, or neither");
            None
        }
    };
    if let Some((_, span)) = told.first() {
        let is_required = file.tls.ca.is_some()
            && file.tls.client_certificates.as_ref().is_none_or(|written| written.get_ref() == "required");
        if is_required && file.canary.certificate.is_none() && file.canary.key.is_none() {
            let text = "canary = true: clients must show a certificate here, and so must the canary, which is one: make it with \
                        trimaran certs add --users canary, and write certificate and key under [canary]";
            problems.add(span.clone(), text);
        }
        if file.nodes.len() == 1 {
            let text =
                "canary = true: nodes that do not serve watch the one that does, and there is one node only";
            problems.add(span.clone(), text);
        }
    }
    Canaries { queue_managers: told.into_iter().map(|(id, _)| id).collect(), identity }
}

/// A sentence for `check` on each queue manager that has canaries, and whether it is fine: a floating address that nobody listens at
/// is of no use to clients either.
pub(super) fn sentences(config: &Config) -> Vec<(String, bool)> {
    let told =
        config.canaries.queue_managers.iter().filter_map(|id| Some((id, config.queue_managers.get(id)?)));
    let sentence = |(id, name): (&QueueManagerId, &crate::types::ObjectName)| {
        let Some(address) = config.canary_address(*id) else {
            return (
                format!(
                    "a canary tries {name} each second at the clients' address of the node that serves it"
                ),
                true,
            );
        };
        let listen = &config.this().client_listen;
        match super::addresses::reaches(listen, address) {
            true => (format!("a canary tries {name} each second at {address}"), true),
            false => (
                format!(
                    "a canary tries {name} at {address}, and this node would listen for clients at {listen} only: write \
                     client_listen = \"{}:PORT\" at the node",
                    if address.is_ipv4() { "0.0.0.0" } else { "[::]" }
                ),
                false,
            ),
        }
    };
    told.map(sentence).collect()
}

impl Config {
    /// Why no queue manager that is created could have canaries, as a sentence; None where one can.
    pub fn no_canaries(&self) -> Option<String> {
        if self.nodes.len() == 1 {
            let why = "Canaries are of nodes that do not serve, which watch the one that does, and there is one node only.";
            return Some(why.to_owned());
        }
        let is_required = self.tls.as_ref().is_some_and(|tls| tls.clients_required);
        (is_required && self.canaries.identity.is_none()).then(|| {
            "Clients must show a certificate here, and so must canaries: make it with trimaran certs add --users canary, write \
             certificate and key under [canary] in the cluster file, and start the nodes again one after the other."
                .to_owned()
        })
    }

    /// The floating address that canaries of the queue manager try; None where clients use those of the nodes.
    pub fn canary_address(&self, queue_manager: QueueManagerId) -> Option<IpAddr> {
        let all = self.addresses.as_ref().filter(|all| all.mode != Mode::DryRun)?;
        all.of(queue_manager).next().map(|address| address.ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(nodes: u32, written: &str, more: &str) -> String {
        let node = |id: u32| {
            format!(
                "[[nodes]]\nname = \"n{id}\"\nid = {id}\npeer = \"127.0.0.1:7{id}01\"\nclient = \"127.0.0.1:7{id}02\"\n\
                 http = \"127.0.0.1:7{id}03\"\n"
            )
        };
        let nodes: String = (1..=nodes).map(node).collect();
        format!(
            "cluster = \"demo\"\n{nodes}[[queue_managers]]\nname = \"ONE\"\nid = 1\n{written}\n[directories]\nlog = \
             \"/tmp/{{node}}/log\"\ndata = \"/tmp/{{node}}/data\"\n{more}"
        )
    }

    fn parse(nodes: u32, written: &str, more: &str) -> Result<Config, String> {
        Config::parse(&file(nodes, written, more), Some("n1")).map_err(|error| error.text)
    }

    #[test]
    fn a_canary_is_off_unless_it_is_written() {
        let of = |written| parse(3, written, "").unwrap().canaries;
        assert_eq!((of(""), of("canary = false")), (Canaries::default(), Canaries::default()));
        let config = parse(3, "canary = true", "").unwrap();
        assert_eq!(config.canaries.queue_managers, [QueueManagerId(1)].into());
        let told = sentences(&config);
        assert!(told[0].1 && told[0].0.contains("ONE each second at the clients' address"), "{told:?}");
        assert!(parse(1, "canary = true", "").unwrap_err().contains("one node only"));
        assert!(parse(1, "", "").unwrap().no_canaries().unwrap().contains("one node only"));
        assert_eq!(config.no_canaries(), None);
    }

    #[test]
    fn it_is_a_client_and_shows_a_certificate_where_clients_must() {
        let tls = "[tls]\nca = \"ca.pem\"\ncertificate = \"{node}.pem\"\nkey = \"{node}.key\"\n";
        assert!(parse(3, "canary = true", tls).unwrap_err().contains("trimaran certs add --users canary"));
        let optional = format!("{tls}client_certificates = \"optional\"\n");
        assert_eq!(parse(3, "canary = true", &optional).unwrap().canaries.identity, None);
        assert!(parse(3, "", tls).unwrap().no_canaries().unwrap().contains("certs add --users canary"));
        let shown = format!("{tls}[canary]\ncertificate = \"canary-{{node}}.pem\"\nkey = \"c.key\"\n");
        let identity = parse(3, "canary = true", &shown).unwrap().canaries.identity;
        assert_eq!(identity, Some((PathBuf::from("canary-n1.pem"), PathBuf::from("c.key"))));
        let half = format!("{tls}[canary]\nkey = \"c.key\"\n");
        assert!(parse(3, "canary = true", &half).unwrap_err().contains("both certificate and key"));
    }

    #[test]
    fn where_nobody_listens_at_the_address_it_is_said() {
        let config = parse(3, "canary = true\naddress = \"10.0.0.50/24\"", "").unwrap();
        let told = sentences(&config);
        assert!(!told[0].1 && told[0].0.contains("write client_listen"), "{told:?}");
        let tried =
            parse(3, "canary = true\naddress = \"10.0.0.50/24\"", "[address]\nmode = \"dry-run\"\n").unwrap();
        assert_eq!(tried.canary_address(QueueManagerId(1)), None, "nobody has it");
    }
}
