//! `cluster init`: a cluster file that explains itself.

use std::{collections::BTreeMap, fmt::Write, io::Write as _};

use trimaran_proto::{attribute::check_name, cluster as rules};

use crate::{
    arguments::{Global, InitArgs, NamedHosts},
    output::{self, Failure, Outcome},
    say,
};

pub fn init(global: &Global, args: InitArgs) -> Outcome {
    let InitArgs { cluster, nodes, ports, queue_managers, tls, out } = args;
    let Ok(ports) = <[u16; 3]>::try_from(ports) else {
        return Err(Failure::Usage("--ports takes three ports: PEER,CLIENT,HTTP".into()));
    };
    let tls = tls.map(|directory| directory.display().to_string());
    check(&cluster, &nodes, &queue_managers)?;
    let loopback = nodes.iter().flat_map(|node| &node.hosts).all(|host| is_loopback(host));
    let directories = if loopback {
        ("trimaran-data/{node}/log", "trimaran-data/{node}/data")
    } else {
        ("/var/lib/trimaran/{node}/log", "/var/lib/trimaran/{node}/data")
    };
    let text = cluster_file(&Plan {
        cluster: &cluster,
        nodes: with_ports(&nodes, ports)?,
        queue_managers: &queue_managers,
        log: directories.0,
        data: directories.1,
        tls: tls.as_deref(),
        loopback,
        floating: None,
    });
    let Some(path) = out else {
        match global.json {
            true => say!("{}", serde_json::json!({ "ok": true, "text": text })),
            false => output::write(text.as_bytes()),
        }
        return Ok(());
    };
    let mut file = std::fs::File::create_new(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::Local(format!("{} exists; it is not overwritten, choose another --out", path.display()))
        }
        _ => Failure::local(path.display(), error),
    })?;
    file.write_all(text.as_bytes()).map_err(|error| Failure::local(path.display(), error))?;
    if global.json {
        say!("{}", serde_json::json!({ "ok": true, "file": path }));
    } else {
        say!("{} written; on each node: trimaran-node check --config {0} --node NAME", path.display());
    }
    Ok(())
}

/// What a node would refuse is refused here, before anything is written.
fn check(cluster: &str, nodes: &[NamedHosts], queue_managers: &[String]) -> Outcome {
    rules::check_name("cluster", cluster).map_err(Failure::Usage)?;
    check_nodes(nodes)?;
    if nodes.len().is_multiple_of(2) {
        eprintln!(
            "trimaran: {0} nodes bear the loss of no more nodes than {1} do; begin with {1} or {2}",
            nodes.len(),
            nodes.len() - 1,
            nodes.len() + 1
        );
    }
    for name in queue_managers {
        check_name(name).map_err(|error| Failure::Usage(format!("queue manager {name:?}: {error}")))?;
    }
    match rules::twice(queue_managers.iter().map(String::as_str)) {
        Some(name) => Err(Failure::Usage(format!("queue manager {name} is there twice"))),
        None => Ok(()),
    }
}

/// Nodes of a cluster file, or of certificates.
pub fn check_nodes(nodes: &[NamedHosts]) -> Outcome {
    for node in nodes {
        rules::check_name("node name", &node.name).map_err(Failure::Usage)?;
        for host in &node.hosts {
            rules::check_reachable_host(&node.name, host).map_err(Failure::Usage)?;
        }
    }
    match rules::twice(nodes.iter().map(|node| node.name.as_str())) {
        Some(name) => Err(Failure::Usage(format!("node {name} is there twice"))),
        None => Ok(()),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub struct PlannedNode {
    pub name: String,
    pub peer: String,
    pub client: String,
    pub http: String,
}

/// Nodes that share a host count upwards from the first ports.
fn with_ports(nodes: &[NamedHosts], first: [u16; 3]) -> Result<Vec<PlannedNode>, Failure> {
    let mut on_host: BTreeMap<&str, u16> = BTreeMap::new();
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    let mut planned = Vec::new();
    for node in nodes {
        let host = node.hosts[0].as_str();
        let shift = *on_host.entry(host).and_modify(|shift| *shift += 1).or_insert(0);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
        let mut address = |port: u16| {
            let port =
                port.checked_add(shift).ok_or(Failure::Usage("there is no port above 65535".into()))?;
            let address = format!("{host}:{port}");
            rules::check_address("--ports", &address).map_err(|_| {
                Failure::Usage(format!("--ports: {address} is nowhere, a port is 1 to 65535"))
            })?;
            match taken.insert(address.clone(), &node.name) {
                Some(other) if other == node.name => {
                    let text =
                        format!("node {other} would have {address} twice: --ports takes three that differ");
                    Err(Failure::Usage(text))
                }
                Some(other) => {
                    Err(Failure::Usage(format!("nodes {other} and {} would share {address}", node.name)))
                }
                None => Ok(address),
            }
        };
        let [peer, client, http] = first;
        let (peer, client, http) = (address(peer)?, address(client)?, address(http)?);
        planned.push(PlannedNode { name: node.name.clone(), peer, client, http });
    }
    Ok(planned)
}

pub struct Plan<'a> {
    pub cluster: &'a str,
    pub nodes: Vec<PlannedNode>,
    pub queue_managers: &'a [String],
    pub log: &'a str,
    pub data: &'a str,
    pub tls: Option<&'a str>,
    pub loopback: bool,
    /// A floating address of the first queue manager, in a network that is the cluster's alone.
    pub floating: Option<&'a str>,
}

pub fn cluster_file(plan: &Plan) -> String {
    let mut text = String::new();
    let mut add = |line: std::fmt::Arguments| writeln!(text, "{line}").expect("a string takes all");
    add(format_args!(
        "\
# A Trimaran cluster. This file is the same on every node; which one a node is, it is told on its command line:
#
#   trimaran-node check --config cluster.toml --node {0}    what is wrong, before it starts
#   trimaran-node run   --config cluster.toml --node {0}

# Nodes of another cluster are refused, and certificates carry this name.
cluster = {1}
",
        plan.nodes[0].name,
        quoted(plan.cluster)
    ));
    add(format_args!(
        "\
# The nodes that the cluster begins with: 1, 3, 5 or 7. An id is never given to another node later. Each node listens on
# three addresses: for the other nodes, for clients, and for health and metrics. Where a node must listen on something
# else than the address the others use, say so with peer_listen, client_listen, http_listen. With rest = \"HOST:9443\" a node
# has the REST API as well (rest_listen, as for the others). A node that comes later gets `joins = true` and then
# `trimaran node add`."
    ));
    for (index, node) in plan.nodes.iter().enumerate() {
        add(format_args!(
            "[[nodes]]\nname = {}\nid = {}\npeer = {}\nclient = {}\nhttp = {}\n",
            quoted(&node.name),
            index + 1,
            quoted(&node.peer),
            quoted(&node.client),
            quoted(&node.http)
        ));
        if plan.floating.is_some() {
            let port = node.client.rsplit(':').next().unwrap_or_default();
            add(format_args!("client_listen = \"0.0.0.0:{port}\""));
        }
    }
    add(format_args!(
        "\
# The queue managers. Each is served by one node at a time and kept by all; with several of them the nodes share the work.
# An id keeps its name for good."
    ));
    for (index, name) in plan.queue_managers.iter().enumerate() {
        add(format_args!("[[queue_managers]]\nname = {}\nid = {}\n", quoted(name), index + 1));
        if let Some(floating) = plan.floating.filter(|_| index == 0) {
            add(format_args!("# It is on the node that serves.\naddress = {}\n", quoted(floating)));
        }
    }
    add(format_args!(
        "\
# {{node}} is replaced by the name of the node. The log is written with every message and wants the faster disk; the two
# may be on separate file systems. Nothing is shared between nodes.
[directories]
log = {}
data = {}
",
        quoted(plan.log),
        quoted(plan.data)
    ));
    match (plan.tls, plan.loopback) {
        (None, _) if plan.floating.is_some() => add(format_args!("[tls]\ninsecure = true\n")),
        (Some(directory), _) => add(format_args!(
            "\
# Nodes prove to each other and to clients who they are. `trimaran certs init` makes these files.
[tls]
ca = {}
certificate = {}
key = {}
# Whether clients must show a certificate, too: \"optional\" or \"required\".
client_certificates = \"required\"
",
            quoted(&format!("{directory}/ca.pem")),
            quoted(&format!("{directory}/node-{{node}}.pem")),
            quoted(&format!("{directory}/node-{{node}}.key"))
        )),
        (None, true) => add(format_args!(
            "\
# On loopback addresses TLS is not needed. Elsewhere a node does not start without it; `trimaran certs init` makes
# certificates for those who have none.
# [tls]
# ca = \"certs/ca.pem\"
# certificate = \"certs/node-{{node}}.pem\"
# key = \"certs/node-{{node}}.key\"
"
        )),
        (None, false) => add(format_args!(
            "\
# A node does not start without this, because its addresses can be reached from elsewhere. `trimaran certs init` makes
# the files for those who have none; put them where every node finds its own.
[tls]
ca = \"/etc/trimaran/certs/ca.pem\"
certificate = \"/etc/trimaran/certs/node-{{node}}.pem\"
key = \"/etc/trimaran/certs/node-{{node}}.key\"
# For a network that is yours alone. Everybody on it can read and write; status and log keep saying so.
# insecure = true
"
        )),
    }
    add(format_args!(
        "\
# How soon a silent node is given up: \"normal\" (1.25 s) or \"fast\" (0.4 s, for networks and disks without hiccups).
[timing]
profile = \"normal\"

# What is kept in memory and on disk; the defaults suit a machine with 4 GB. Sizes may have units.
[limits]
# window_bytes = \"32MiB\"
# log_retain_bytes = \"128MiB\"            # for nodes that were away; a start reads all of it
# snapshot_bytes_per_second = \"256MiB\"   # to a node that was away for longer
# disk_reserve_bytes = \"512MiB\"
# sessions = 20000

[log]
format = \"text\"   # or \"json\"
level = \"info\""
    ));
    text
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_string()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_toml_and_says_what_was_asked_for() {
        let hosts = |name: &str, host: &str| NamedHosts { name: name.into(), hosts: vec![host.into()] };
        let nodes = [hosts("a", "10.0.0.1"), hosts("b", "10.0.0.2"), hosts("c", "10.0.0.2")];
        let managers = ["orders".to_string(), "invoices".to_string()];
        for (tls, loopback) in [(Some("/certs"), false), (None, false), (None, true)] {
            let plan = Plan {
                cluster: "sh\"op",
                nodes: with_ports(&nodes, [7101, 7201, 7301]).unwrap(),
                queue_managers: &managers,
                log: "l/{node}",
                data: "d/{node}",
                tls,
                loopback,
                floating: None,
            };
            let parsed: toml::Table = toml::from_str(&cluster_file(&plan)).unwrap();
            assert_eq!(parsed["cluster"].as_str(), Some("sh\"op"));
            assert_eq!(parsed["nodes"][2]["client"].as_str(), Some("10.0.0.2:7202"));
            assert_eq!(parsed["queue_managers"][1]["id"].as_integer(), Some(2));
            assert_eq!(parsed.contains_key("tls"), !loopback);
        }
    }

    #[test]
    fn what_a_node_would_refuse_is_not_written() {
        let node = |name: &str, host: &str| NamedHosts { name: name.into(), hosts: vec![host.into()] };
        let refused = |cluster: &str, nodes: &[NamedHosts], managers: &[&str]| {
            let managers: Vec<String> = managers.iter().map(|name| name.to_string()).collect();
            check(cluster, nodes, &managers).is_err()
        };
        let good = [node("a", "10.0.0.1"), node("b", "::1"), node("c", "c.example")];
        assert!(!refused("shop", &good, &["orders"]));
        assert!(refused("", &good, &["orders"]) && refused("a b", &good, &["orders"]));
        assert!(refused("shop", &good, &["orders", "orders"]) && refused("shop", &good, &["or ders"]));
        for wrong in
            [node("a", "0.0.0.0"), node("a", "::"), node(".a", "10.0.0.1"), node(&"x".repeat(49), "a")]
        {
            assert!(refused("shop", std::slice::from_ref(&wrong), &["orders"]), "{wrong:?}");
        }
        assert!(with_ports(&good, [0, 7201, 7301]).is_err());
    }

    #[test]
    fn no_two_listeners_get_one_address() {
        let nodes: Vec<NamedHosts> =
            ["a", "b", "c"].map(|name| NamedHosts { name: name.into(), hosts: vec!["::1".into()] }).into();
        let planned = with_ports(&nodes, [8101, 8201, 8301]).unwrap();
        assert_eq!(planned[2].client, "[::1]:8203");
        assert!(with_ports(&nodes, [8101, 8102, 8103]).is_err());
        assert!(with_ports(&nodes, [65_534, 8201, 8301]).is_err());
    }
}
