//! Before a cluster runs: certificates, a cluster file, a demonstration. And its file format, when all run the new release.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use trimaran_client::proto::generate::Generate;

use super::values::{NamedHosts, parse_named_hosts};

#[derive(Debug, Subcommand)]
pub enum CertsCommand {
    /// Make an authority, a certificate for each node, and one for each user
    #[command(after_help = "\
Example:
  trimaran certs init --cluster shop --nodes a=10.0.0.1,b=10.0.0.2+b.example,c=10.0.0.3 --users joe --out certs

Copy ca.pem, node-a.pem and node-a.key to node a, and so on. Keep ca.key where no node is: whoever has it can make
nodes and users.")]
    Init {
        /// Name of the cluster, as in the cluster file
        #[arg(long, value_name = "NAME")]
        cluster: String,
        /// Nodes and the hosts they are reached by: NAME=HOST[+HOST...],...
        #[arg(long, value_name = "NODES", value_delimiter = ',', required = true, value_parser = parse_named_hosts)]
        nodes: Vec<NamedHosts>,
        /// Users
        #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "admin")]
        users: Vec<String>,
        /// Directory to write to; made when it does not exist
        #[arg(long, value_name = "DIR", visible_alias = "dir")]
        out: PathBuf,
        /// Days until the certificates of nodes and users end; the authority's lasts ten times as long
        #[arg(long, default_value_t = 825, value_parser = clap::value_parser!(u32).range(1..))]
        days: u32,
    },
    /// Certificates for more nodes and users, from the authority that `init` made
    #[command(after_help = "Example:\n  trimaran certs add --dir certs --nodes d=10.0.0.4 --users ann,bob")]
    Add {
        /// Directory with ca.pem and ca.key, which is written to
        #[arg(long, value_name = "DIR", visible_alias = "out")]
        dir: PathBuf,
        /// Nodes and the hosts they are reached by: NAME=HOST[+HOST...],...
        #[arg(long, value_name = "NODES", value_delimiter = ',', value_parser = parse_named_hosts)]
        nodes: Vec<NamedHosts>,
        /// Users
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        users: Vec<String>,
        /// Days until they end
        #[arg(long, default_value_t = 825, value_parser = clap::value_parser!(u32).range(1..))]
        days: u32,
    },
}

#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Write a cluster file that explains itself
    Init(InitArgs),
    /// Let all nodes write what the newest release has, when every node runs it
    #[command(after_help = "\
Examples:
  trimaran cluster upgrade --check    what each node speaks, and what the queue managers are written in
  trimaran cluster upgrade

A new release is started node by node, while messages flow, and may be taken back the same way. It goes on writing what
the release before it reads until this command was given; then there is no way back. It is refused, with the node's
name, while a node does not speak the new version or is not there.")]
    Upgrade {
        /// Only say what each node speaks
        #[arg(long)]
        check: bool,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran cluster init --out cluster.toml                           three nodes on this machine
  trimaran cluster init --cluster shop --nodes a=10.0.0.1,b=10.0.0.2,c=10.0.0.3 --queue-managers orders,invoices \\
      --tls /etc/trimaran/certs --out cluster.toml
  trimaran cluster init --nodes a=::1,b=::1,c=::1 --ports 8101,8201,8301 --out cluster.toml

The file is the same on every node. Then: trimaran-node check --config cluster.toml --node a")]
pub struct InitArgs {
    /// Name of the cluster
    #[arg(long, value_name = "NAME", default_value = "demo")]
    pub cluster: String,
    /// Nodes and their hosts: NAME=HOST,...
    #[arg(
        long,
        value_name = "NODES",
        value_delimiter = ',',
        default_value = "a=127.0.0.1,b=127.0.0.1,c=127.0.0.1",
        value_parser = parse_named_hosts
    )]
    pub nodes: Vec<NamedHosts>,
    /// First ports for the other nodes, for clients, and for health and metrics; nodes that share a host count
    /// upwards
    #[arg(
        long,
        value_name = "PEER,CLIENT,HTTP",
        value_delimiter = ',',
        num_args = 1,
        default_value = "7101,7201,7301"
    )]
    pub ports: Vec<u16>,
    /// Queue managers
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "ha.queue.manager")]
    pub queue_managers: Vec<String>,
    /// Directory with certificates on every node, as `trimaran certs init` makes them
    #[arg(long, value_name = "DIR")]
    pub tls: Option<PathBuf>,
    /// File to write; standard output without it
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran demo          runs until Ctrl-C
  trimaran demo --once   kills the leader itself, checks that nothing is lost, and ends with 0 or 1")]
pub struct DemoArgs {
    /// Do not wait for Ctrl-C: kill the leader, check, end
    #[arg(long)]
    pub once: bool,

    /// The node's program; looked for beside this one and in the build directories
    #[arg(long, value_name = "PATH")]
    pub node_binary: Option<PathBuf>,

    /// Where the nodes are, in a network that is theirs alone (.ci/demo-network makes one)
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', hide = true)]
    pub hosts: Vec<String>,

    /// An address for clients that moves in that network, like 10.231.0.50/24
    #[arg(long, value_name = "ADDRESS", requires = "hosts", hide = true)]
    pub floating: Option<String>,

    /// Directory for the nodes' files; a temporary one that is removed at the end without it
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum GenerateCommand {
    #[command(flatten)]
    Shared(Generate),
    /// Names of MQ's that the command goes by, one a line
    Names,
}
