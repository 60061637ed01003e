//! The file as a whole: nodes, queue managers, which node this is, and what holds between them.
//!
//! A problem does not end the reading, so that all of them are said at once. Sections that hold options only are read in
//! `options`, single values checked in `problems`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use toml::Spanned;

use super::addresses;
use super::network::is_loopback;
use super::options::{self, expand};
use super::problems::Problems;
use super::{Config, ConfigError, NodeConfig, Rest, file};
use crate::types::{InNetwork, NodeId, NodeInfo, ObjectName, QueueManagerId};

/// Turns the written into the meant. `text` is what lines are counted in.
pub fn read(text: &str, file: &file::File, node: Option<&str>) -> Result<Config, ConfigError> {
    let mut problems = Problems::of(text);
    problems.check_name("cluster", &file.cluster);
    let (nodes, names) = nodes(file, &mut problems);
    let queue_managers = queue_managers(file, &mut problems);
    let (name, node) = this_node(file, node, &names, &mut problems);
    let tls = options::tls(&file.tls, &name, &mut problems);
    let timing = options::timing(&file.timing, &mut problems);
    let limits = options::limits(&file.limits, file.queue_managers.len(), &mut problems);
    let log = options::log(&file.log, &mut problems);
    let queues_shown = options::queues_shown(&file.metrics, &mut problems);
    let held = options::addresses(file, &name, &mut problems);
    let canaries = super::canary::read(file, &name, &mut problems);
    let placements = options::placements(file, &names, &mut problems);
    let threads = options::threads(file.threads.as_ref(), &mut problems);
    let log_directory = expand(file.directories.log.get_ref(), &name);
    let data_directory = expand(file.directories.data.get_ref(), &name);
    if log_directory == data_directory {
        problems.add(file.directories.data.span(), "log and data need a directory each, not the same one");
    }
    let speaks = options::speaks(file.speaks.as_ref(), &mut problems);
    let config = Config {
        cluster: file.cluster.get_ref().clone(),
        node,
        name,
        speaks,
        threads,
        nodes,
        queue_managers,
        placements,
        canaries,
        log_directory,
        data_directory,
        tls,
        insecure: file.tls.insecure,
        timing,
        limits,
        log,
        queues_shown,
        addresses: held,
        floating: addresses::floating(file),
    };
    strangers(&config, &mut problems);
    problems.into_result().map(|()| config)
}

fn nodes(
    file: &file::File,
    problems: &mut Problems,
) -> (BTreeMap<NodeId, NodeConfig>, BTreeMap<String, NodeId>) {
    let mut nodes = BTreeMap::new();
    let mut names = BTreeMap::new();
    let mut addresses: BTreeMap<String, String> = BTreeMap::new();
    if file.nodes.is_empty() {
        problems.add(0..0, "there are no [[nodes]]: list every node of the cluster");
    }
    for node in &file.nodes {
        problems.check_name("node name", &node.name);
        let id = NodeId(*node.id.get_ref());
        if id.0 == 0 {
            problems.add(node.id.span(), "node id 0: ids begin at 1");
        }
        if names.insert(node.name.get_ref().clone(), id).is_some() {
            problems.add(node.name.span(), format!("two nodes are named {:?}", node.name.get_ref()));
        }
        let always = [("peer", &node.peer), ("client", &node.client), ("http", &node.http)];
        let named = always.into_iter().chain(node.rest.as_ref().map(|rest| ("rest", rest)));
        for (what, address) in named {
            problems.check_address(what, address);
            // Nobody is told where health and metrics are.
            if what != "http" {
                problems.check_reachable(what, address);
            }
            let owner = format!("{what} of node {}", node.name.get_ref());
            if let Some(other) = addresses.insert(address.get_ref().clone(), owner) {
                problems.add(
                    address.span(),
                    format!("{what} = {:?} is also {other}: give each its own port", address.get_ref()),
                );
            }
        }
        let listens = [
            ("peer_listen", &node.peer_listen),
            ("client_listen", &node.client_listen),
            ("http_listen", &node.http_listen),
            ("rest_listen", &node.rest_listen),
        ];
        for (what, address) in listens {
            if let Some(address) = address {
                problems.check_address(what, address);
            }
        }
        if let (None, Some(listens)) = (&node.rest, &node.rest_listen) {
            let text = "rest_listen without rest: name the address where clients reach it, too";
            problems.add(listens.span(), text);
        }
        let listen = |listen: &Option<Spanned<String>>, address: &Spanned<String>| {
            listen.as_ref().unwrap_or(address).get_ref().clone()
        };
        let config = NodeConfig {
            info: NodeInfo {
                name: node.name.get_ref().clone(),
                peer_address: node.peer.get_ref().clone(),
                client_address: node.client.get_ref().clone(),
            },
            http_address: node.http.get_ref().clone(),
            peer_listen: listen(&node.peer_listen, &node.peer),
            client_listen: listen(&node.client_listen, &node.client),
            http_listen: listen(&node.http_listen, &node.http),
            rest: node.rest.as_ref().map(|rest| Rest {
                address: rest.get_ref().clone(),
                listen: listen(&node.rest_listen, rest),
            }),
            mq_listen: mq_listen(file, &node.mq, &mut addresses, problems),
            joins: node.joins,
        };
        if nodes.insert(id, config).is_some() {
            problems.add(
                node.id.span(),
                format!("two nodes have the id {id}: ids are given once and never again"),
            );
        }
    }
    if !file.nodes.is_empty() && file.nodes.iter().all(|node| node.joins) {
        problems.add(
            file.nodes[0].name.span(),
            "every node has joins = true: a new cluster needs nodes to begin with",
        );
    }
    (nodes, names)
}

/// The addresses of channels, each of a queue manager that is there.
fn mq_listen(
    file: &file::File,
    listens: &BTreeMap<String, Spanned<String>>,
    addresses: &mut BTreeMap<String, String>,
    problems: &mut Problems,
) -> BTreeMap<String, String> {
    for (queue_manager, address) in listens {
        problems.check_address("mq", address);
        if !file.queue_managers.iter().any(|known| known.name.get_ref() == queue_manager) {
            let text = format!("mq.{queue_manager}: there is no queue manager of this name in the file");
            problems.add(address.span(), text);
        }
        let owner = format!("mq of queue manager {queue_manager}");
        let other = addresses.insert(address.get_ref().clone(), owner.clone());
        let text = match other {
            Some(other) if other != owner => {
                format!("mq = {:?} is also {other}: give each its own port", address.get_ref())
            }
            Some(_) => match at_two_nodes(file, queue_manager, address.get_ref()) {
                Some(text) => text,
                None => continue,
            },
            None => continue,
        };
        problems.add(address.span(), text);
    }
    listens.iter().map(|(name, address)| (name.clone(), address.get_ref().clone())).collect()
}

/// Why channels of a queue manager cannot be at this address of two nodes, unless it is one of its floating addresses, or
/// all addresses of a machine.
fn at_two_nodes(file: &file::File, queue_manager: &str, address: &str) -> Option<String> {
    let shared = format!("mq = {address:?} is also mq of queue manager {queue_manager}");
    let ip = match address.parse::<SocketAddr>() {
        Ok(address) if !address.ip().is_loopback() => address.ip(),
        _ => return Some(format!("{shared}: give each its own port")),
    };
    let own = file.queue_managers.iter().filter(|known| known.name.get_ref() == queue_manager);
    let floating = own.flat_map(|own| own.address.iter().chain(&own.addresses));
    let floating: Option<Vec<IpAddr>> =
        floating.map(|written| InNetwork::parse(written.get_ref()).map(|found| found.ip)).collect();
    // What is no address is a problem of its own.
    let floating = floating.filter(|floating| !ip.is_unspecified() && !floating.contains(&ip))?;
    let has = match floating.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" and ") {
        none if none.is_empty() => "which has none: write address = \"…\" at the queue manager".to_owned(),
        has => format!("which has {has}: correct the one or the other"),
    };
    Some(format!(
        "{shared} at another node, and {ip} is no floating address of {queue_manager}, {has}; an address of a machine belongs \
         at its own node alone"
    ))
}

fn queue_managers(file: &file::File, problems: &mut Problems) -> BTreeMap<QueueManagerId, ObjectName> {
    let mut queue_managers = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for queue_manager in &file.queue_managers {
        let (name, id) = (&queue_manager.name, &queue_manager.id);
        match ObjectName::new(name.get_ref()) {
            Err(error) => {
                problems.add(name.span(), format!("queue manager {:?}: {error}", name.get_ref()));
            }
            Ok(checked) => {
                if !taken.insert(name.get_ref().clone()) {
                    problems.add(name.span(), format!("two queue managers are named {checked}"));
                }
                if queue_managers.insert(QueueManagerId(*id.get_ref()), checked).is_some() {
                    let text = format!("two queue managers have the id {}", id.get_ref());
                    problems.add(id.span(), text);
                }
            }
        }
        if *id.get_ref() == 0 {
            problems.add(id.span(), "queue manager id 0: ids begin at 1");
        }
        if *id.get_ref() == QueueManagerId::CLUSTER.0 {
            problems.add(id.span(), format!("queue manager id {}: the nodes' own has it", id.get_ref()));
        }
        if name.get_ref() == QueueManagerId::CLUSTER_NAME {
            let text = format!("queue manager {}: the nodes' own has that name", name.get_ref());
            problems.add(name.span(), text);
        }
    }
    queue_managers
}

/// The node that the argument names, or the file.
fn this_node(
    file: &file::File,
    node: Option<&str>,
    names: &BTreeMap<String, NodeId>,
    problems: &mut Problems,
) -> (String, NodeId) {
    let known = || names.keys().cloned().collect::<Vec<_>>().join(", ");
    let nobody = (String::new(), NodeId(0));
    match (node, &file.node) {
        (Some(name), _) => match names.get(name) {
            Some(id) => (name.to_owned(), *id),
            None => {
                problems.add(0..0, format!("--node {name}: the file has the nodes {}", known()));
                nobody
            }
        },
        (None, Some(name)) => match names.get(name.get_ref()) {
            Some(id) => (name.get_ref().clone(), *id),
            None => {
                let text = format!("node = {:?}: the file has the nodes {}", name.get_ref(), known());
                problems.add(name.span(), text);
                nobody
            }
        },
        (None, None) => {
            let text = format!("which node is this? Write node = \"…\" or --node, one of {}", known());
            problems.add(0..0, text);
            nobody
        }
    }
}

/// What other machines could reach without a certificate.
fn strangers(config: &Config, problems: &mut Problems) {
    if problems.is_empty() && config.tls.is_none() && !config.insecure {
        for listener in config.open_listeners() {
            let text = format!(
                "{listener} is not loopback and there is no [tls]: other machines could read and write messages. \
                 Make certificates with: trimaran certs init, and write [tls] ca, certificate and key; or accept \
                 it with [tls] insecure = true"
            );
            problems.add(0..0, text);
        }
    }
    for (queue_manager, address) in config.this_or_none().iter().flat_map(|node| &node.mq_listen) {
        if !is_loopback(address) && !config.lets_strangers_in() {
            let text = format!(
                "mq.{queue_manager} = {address:?} is not loopback, and channels believe a client without a certificate who it \
                 is: make certificates with: trimaran certs init, and write [tls] ca, certificate and key; or accept it with \
                 [tls] insecure = true"
            );
            problems.add(0..0, text);
        }
    }
}
