//! Connections through channels: each asks for an instance of its channel, and its program is connected when it has a place.
//!
//! An instance and its program's session end together, as in `mq/connection.rs`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use trimaran_node::mqi::{Connect, Identity, Refusal, Terms};
use trimaran_node::replica::Event;
use trimaran_node::types::definition;
use trimaran_node::types::{ObjectName, Reason, SessionId};

use super::{Program, Step, World};
use crate::check::instances;
use crate::model::tongue::{Manner, Tongue};
use crate::sim::node::{OpenSession, Part};
use crate::sim::wire::{CHANNEL, Wire};

/// Programs come from so many machines.
const HOSTS: usize = 2;

impl World {
    /// The node serves, as far as its listener knows.
    pub(super) fn begin_instance(&mut self, program: usize, node: u64) {
        let queue_manager = self.programs[program].queue_manager();
        let host = (program / 2 % HOSTS) as u8;
        let part = Part::Instance { host, place: None, of: None };
        let calls = BTreeMap::new();
        let open = OpenSession { program, queue_manager, wire: None, calls, stuck: false, part };
        let session = self.open_session(node, open, 0);
        let connect = Connect::instance(through_channel(program, host, session));
        self.hand_in(node, queue_manager, Event::Connect { session: SessionId(session), connect });
    }

    /// The replica says whether there is a place.
    pub(super) fn on_instance(&mut self, node: u64, instance: u64, admitted: Result<Terms, Refusal>) {
        let now = self.now;
        let delay = self.rng.between(60, 1_500);
        let process = self.node_mut(node).process.as_mut().expect("it is having a turn");
        let open = process.sessions.get_mut(&instance).expect("it asks for a place");
        let (program, queue_manager, is_stuck, part) =
            (open.program, open.queue_manager, open.stuck, open.part);
        let Part::Instance { host, place, .. } = part else { unreachable!("only instances are asked for") };
        if let Some(sentence) = instances::answered(instance, place, admitted.as_ref().err()) {
            return self.fail(instances::NAME, sentence);
        }
        let is_there = self.connections.get(&program).is_some_and(|its| its.session == instance);
        let terms = match admitted {
            // Its client is gone, and the end of the connection on its way.
            Ok(_) if !is_there || is_stuck => return,
            Ok(terms) => terms,
            Err(refusal) => {
                if refusal.reason == Reason::ChannelNotAvailable {
                    self.counters.mark("channel had no place");
                }
                let process = self.node_mut(node).process.as_mut().expect("it is having a turn");
                process.sessions.remove(&instance);
                if is_there && !is_stuck {
                    self.connections.remove(&program);
                    self.schedule(now + delay, Step::Refused { program, hint: None });
                }
                return;
            }
        };
        let manner = match &self.programs[program] {
            Program::App(app) => app.tongue,
            _ => unreachable!("only programs come through channels"),
        };
        let (Tongue::Channel(manner), Some(terms)) = (manner, terms.channel) else {
            return self.fail(instances::NAME, format!("instance {instance} is told nothing of its channel"));
        };
        let wire = match Wire::channel(manner, terms, self.session_last + 1) {
            Ok(wire) => Some(wire),
            Err(sentence) => return self.fail("conversation", sentence),
        };
        self.counters.mark("program connected over a channel");
        match manner {
            Manner::Ahead => self.counters.mark("program connected that reads ahead"),
            Manner::Callbacks => self.counters.mark("program connected that is called back"),
            Manner::Alone | Manner::Shared | Manner::Requests => {}
        }
        let part = Part::Program { instance };
        let calls = BTreeMap::new();
        let open = OpenSession { program, queue_manager, wire, calls, stuck: false, part };
        let session = self.open_session(node, open, delay);
        let process = self.node_mut(node).process.as_mut().expect("it is having a turn");
        let its = process.sessions.get_mut(&instance).expect("just looked at");
        its.part = Part::Instance { host, place, of: Some(session) };
        let connect = Connect::new(through_channel(program, host, session), format!("program {program}"));
        self.hand_in(node, queue_manager, Event::Connect { session: SessionId(session), connect });
        self.schedule(now + delay, Step::Connected { program, session });
    }

    /// A connection ends as a whole.
    pub(super) fn end_other_part(&mut self, node: u64, queue_manager: usize, ended: Part) {
        let other = match ended {
            Part::Whole | Part::Instance { of: None, .. } => return,
            Part::Instance { of: Some(program), .. } => program,
            Part::Program { instance } => instance,
        };
        self.hand_in(node, queue_manager, Event::SessionClosed { session: SessionId(other) });
    }
}

fn through_channel(program: usize, host: u8, session: u64) -> Identity {
    let port = 1_024 + (session % 60_000) as u16;
    Identity {
        channel: Some(ObjectName::new(CHANNEL).expect("a valid name")),
        address: Some(SocketAddr::from(([10, 0, 0, host], port))),
        tongue: definition::Tongue::Channel,
        ..Identity::of(format!("user{program}"))
    }
}
