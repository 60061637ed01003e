//! A session is asked for, and answered: who asks, and what is agreed.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Refusal;
use super::secured::Secured;
use crate::types::definition::Tongue;
use crate::types::{Authenticated, ObjectName, Reason};

/// Who is calling, as the listener established it. Stays with the session for as long as it lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Whose rights it asks for: at most 12 characters go into the message's UserIdentifier. Another one than was checked where
    /// the channel says so (MCAUSER).
    pub user: String,
    /// Whom its listener, or whoever checks passwords for it, has found it to be; None where nothing was checked.
    pub authenticated: Option<Authenticated>,
    /// The name in the certificate that was shown.
    pub certificate: Option<String>,
    /// Where the connection comes from; None for what comes from inside the node.
    pub address: Option<SocketAddr>,
    /// The channel it came through, where the protocol has channels.
    pub channel: Option<ObjectName>,
    /// How a connection through a channel is protected; None without TLS.
    pub secured: Option<Arc<Secured>>,
    /// In which language what it wants changed is asked for; None for the node's own programs.
    pub tongue: Tongue,
}

/// MQCONN: what a session is asked for with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connect {
    /// Who is calling.
    pub identity: Identity,
    /// PutApplName of its messages: at most 28 characters.
    pub application: String,
    /// What the session is for: programs are let in where they are served, errands everywhere.
    pub purpose: Purpose,
}

/// What a session is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// A program's calls.
    #[default]
    Program,
    /// An instance of its channel: the connection itself, before any program on it has connected, and for as long as it
    /// lasts. It makes no calls.
    Instance,
    /// One call of an administrator or operator: let in also where nobody is served.
    Errand,
    /// A program of the queue manager's own, its command server: no client, and nobody waits for it to go.
    Server,
}

/// What was agreed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Whose rights the session has.
    pub user: String,
    /// Of an instance: what its channel says.
    pub channel: Option<ChannelTerms>,
}

/// What a channel says of the connections through it (IBM MQ Reference, "DEFINE CHANNEL", CHLTYPE(SVRCONN)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelTerms {
    /// MAXMSGL.
    pub message_bytes_max: u32,
    /// HBINT; 0 is none.
    pub heartbeat_seconds: u32,
    /// SHARECNV: conversations of one connection; 0 is a channel that is not multiplexed.
    pub conversations: u32,
    /// MCAUSER: whose rights its programs have, whoever they are; None for their own.
    pub user: Option<String>,
}

impl Identity {
    /// Somebody of whom nothing but the name is known.
    pub fn of(user: impl Into<String>) -> Identity {
        Identity { user: user.into(), ..Identity::default() }
    }
}

impl Connect {
    /// Of PutApplName in a message.
    pub const APPLICATION_CHARACTERS_MAX: usize = 28;

    /// Of a program.
    pub fn new(identity: Identity, application: impl Into<String>) -> Connect {
        Connect { identity, application: application.into(), purpose: Purpose::Program }
    }

    /// For a connection through the channel of `identity`.
    pub fn instance(identity: Identity) -> Connect {
        debug_assert!(identity.channel.is_some(), "an instance is one of a channel");
        Connect { identity, application: String::new(), purpose: Purpose::Instance }
    }

    /// # Errors
    /// 2046 when the application's name is longer than a message can say.
    pub fn check(&self) -> Result<(), Refusal> {
        let most = Connect::APPLICATION_CHARACTERS_MAX;
        match self.application.chars().count() {
            length if length > most => {
                let detail = format!(
                    "The name of an application has at most {most} characters, this one has {length}."
                );
                Err(Refusal::because(Reason::OptionsError, detail))
            }
            _ => Ok(()),
        }
    }
}
