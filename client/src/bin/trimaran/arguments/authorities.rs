//! setmqaut, dspmqaut and dmpmqaut: who may do what with which objects.

use clap::Args;

#[derive(Debug, Args)]
#[command(
    override_usage = "trimaran setmqaut [-m QMGR] -n PROFILE -t TYPE -p USER|-g GROUP... [-remove | +AUTHORITY | -AUTHORITY ...]",
    after_help = "\
Examples:
  trimaran setmqaut -m ha.queue.manager -n 'ORDERS.**' -t queue -g clerks +get +browse +inq
  trimaran setmqaut -n ORDERS -t queue -p joe -g clerks -put
  trimaran setmqaut -t qmgr -p joe +connect +inq
  trimaran setmqaut -n 'ORDERS.**' -t queue -g clerks -remove

Types: queue (q), qmgr, channel (chl), listener (lstr), topic (top), authinfo, clntconn (clcn), namelist (nl), process (prcs), service (srvc), rqmname
(rqmn), comminfo. Authorities: get browse put inq set connect altusr crt dlt chg dsp passid passall setid setall clr ctrl ctrlx pub sub resume system, and
all, allmqi, alladm, none. In a profile ? is one character, * any of one part of a name, ** any parts. **They are kept and displayed, and not enforced yet.**
Exit codes are those of MQ: 0 done, 36 the arguments, 40 not available, 71 something else, 72 there is no such queue manager, 133 no such object, 145 an object
too many, 146 to 151 something is missing or wrong: object, type, type, entity, authority, authority."
)]
pub struct SetmqautArgs {
    #[command(flatten)]
    pub of: ProfileArgs,
    /// A user, or several, each behind -p
    #[arg(short = 'p', value_name = "USER")]
    pub users: Vec<String>,
    /// A group, or several, each behind -g
    #[arg(short = 'g', value_name = "GROUP")]
    pub groups: Vec<String>,
    /// The whole record: written -remove
    #[arg(long, conflicts_with = "changes")]
    pub remove: bool,
    /// +get or -get; written so, without --change
    #[arg(long = "change", value_name = "AUTHORITY", hide = true, allow_hyphen_values = true)]
    pub changes: Vec<String>,
    /// What is none of both
    #[arg(value_name = "AUTHORITY", hide = true)]
    pub others: Vec<String>,
}

/// What all three are about.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// Name of an object, or a profile: a pattern of names
    #[arg(short = 'n', value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Kind of the object
    #[arg(short = 't', value_name = "TYPE")]
    pub object: Option<String>,
    #[arg(short = 's', value_name = "COMPONENT", hide = true)]
    pub component: Option<String>,
}

/// Whose authorities are shown.
#[derive(Debug, Args)]
pub struct EntityArgs {
    /// User
    #[arg(short = 'p', value_name = "USER", conflicts_with = "group")]
    pub user: Option<String>,
    /// Group
    #[arg(short = 'g', value_name = "GROUP")]
    pub group: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran dspmqaut -n ORDERS -t queue -p joe
  trimaran dspmqaut -t qmgr -g clerks

Of the profiles that mean the object, the one that says most of its name counts. Which groups a user is in is not known here: what is given to them is
shown with -g. **Authorities are kept and displayed, and not enforced yet.** Exit codes are those of setmqaut.")]
pub struct DspmqautArgs {
    #[command(flatten)]
    pub of: ProfileArgs,
    #[command(flatten)]
    pub entity: EntityArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran dmpmqaut -m ha.queue.manager             all records
  trimaran dmpmqaut -n ORDERS.1 -t queue            those that mean the queue
  trimaran dmpmqaut -n 'ORDERS.**' -t q -a          that profile, as setmqaut commands

**Authorities are kept and displayed, and not enforced yet.** Exit codes are those of setmqaut. `dmpmqcfg -x authrec` has the same as MQSC.")]
pub struct DmpmqautArgs {
    #[command(flatten)]
    pub of: ProfileArgs,
    #[command(flatten)]
    pub entity: EntityArgs,
    /// Profiles and types alone
    #[arg(short = 'l', conflicts_with = "commands")]
    pub list: bool,
    /// As setmqaut commands
    #[arg(short = 'a')]
    pub commands: bool,
    /// All profiles that mean the object, which is what -n does
    #[arg(short = 'e', requires = "profile")]
    pub effective: bool,
    /// Only the profile of this very name
    #[arg(short = 'x', requires = "profile", conflicts_with = "effective")]
    pub exact: bool,
}
