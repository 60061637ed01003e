//! REFRESH QMGR TYPE(CONFIGEV): objects as they are, each told in an event, so that whoever follows the definitions by their events has
//! all of them (IBM MQ documentation, "Refresh object").
//!
//! A call tells so many, and says how far it came; who asked goes on from there. Nothing of it is remembered in between.

use trimaran_proto::pcf::event;

use super::Replica;
use super::turn::DESCRIBE;
use crate::mqi::{Completion, Data, Refresh, Refusal};
use crate::qmgr::QueueManager;
use crate::types::definition::{Definition, ObjectKind};
use crate::types::{ObjectName, Reason, SessionId, Token};

/// Objects that one call looks at, or more where one name is that of several: an event costs as much as a put.
const LOOKED_AT: usize = 50;

impl Replica {
    pub(super) fn on_refresh(&mut self, session: SessionId, token: Token, refresh: &Refresh) {
        debug_assert!(self.is_serving(), "events are told by whoever serves");
        if !self.state.tells().changes {
            let detail = "Configuration events are switched off: ALTER QMGR CONFIGEV(ENABLED) first.";
            return self.answer(session, token, Refusal::because(Reason::EventsDisabled, detail).into());
        }
        let Some(asker) = self.asker(session) else { return };
        let (mut events, mut last, mut looked_at, mut upto) = (Vec::new(), None, 0, None);
        let since = refresh.within.map(|within| self.wall().0 - within.as_millis() as i64);
        for definition in self.state.catalog().listed(&refresh.kinds, &refresh.pattern, &refresh.after) {
            let name = definition.object.name.as_str();
            if looked_at >= LOOKED_AT && last != Some(name) {
                upto = last.map(str::to_owned);
                break;
            }
            (looked_at, last) = (looked_at + 1, Some(name));
            let is_meant = since.is_none_or(|since| definition.altered.0 >= since);
            if is_meant && !is_temporary(&self.state, definition) {
                events.push(event::of_refreshed(&asker, &super::events::details(definition)));
            }
        }
        debug_assert!(events.len() <= looked_at, "an object is told once");
        debug_assert_ne!(upto.as_deref(), Some(refresh.after.as_str()), "who goes on comes further");
        self.turn.spend(DESCRIBE * looked_at as u64);
        events.iter().for_each(|event| self.put_configuration_event(event));
        self.answer(session, token, Completion::ok(Data::Refreshed { upto }));
    }
}

/// Of what goes with its program nothing is told.
fn is_temporary(state: &QueueManager, definition: &Definition) -> bool {
    let is_queue = definition.kind() == ObjectKind::LocalQueue;
    debug_assert!(state.catalog().get(&definition.object).is_some(), "what is told is defined");
    let id = ObjectName::new(&definition.object.name).ok().filter(|_| is_queue);
    let id = id.and_then(|name| state.queue_id(&name));
    id.and_then(|id| state.queue(id)).is_some_and(|queue| queue.rules.temporary)
}
