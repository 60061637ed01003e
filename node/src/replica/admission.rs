//! The door: who is let in, as whom, and what the session then asks leave for.

use trimaran_proto::admin::v1::moment::Step;

use super::sessions::Session;
use super::{Action, Replica};
use crate::mqi::{Admin, Connect, OpenOptions, Operate, Purpose, Refusal, Terms};
use crate::qmgr::{Access, Object};
use crate::types::{ObjectName, SessionId};

impl Replica {
    /// Every node lets in: also one that does not serve is asked for its status.
    pub(super) fn on_connect(&mut self, session: SessionId, connect: Connect) {
        let admitted = self.admit(&connect);
        if admitted.is_ok() {
            if connect.purpose == Purpose::Program && self.is_serving() {
                self.note_moment(Step::FirstClient, self.now.instant);
            }
            self.sessions.begin(session, Session::new(connect));
        }
        debug_assert_eq!(
            admitted.is_ok(),
            self.sessions.get(session).is_some(),
            "who is let in has a session, and nobody else"
        );
        self.out.push(Action::Admit { session, admitted });
    }

    fn admit(&self, connect: &Connect) -> Result<Terms, Refusal> {
        connect.check()?;
        if connect.purpose != Purpose::Errand {
            self.check_lets_in()?;
        }
        let user = &connect.identity.user;
        self.state.may(user, Object::QueueManager, Access::Connect)?;
        Ok(Terms { user: user.clone(), channel: self.admit_instance(connect)? })
    }

    /// The one place where the mind asks whether a session may do something.
    pub(super) fn may(&self, session: SessionId, object: Object<'_>, access: Access) -> Result<(), Refusal> {
        let Some(of) = self.sessions.get(session) else { return Ok(()) };
        Ok(self.state.may(&of.identity.user, object, access)?)
    }

    pub(super) fn may_open(
        &self,
        session: SessionId,
        queue: &ObjectName,
        options: OpenOptions,
    ) -> Result<(), Refusal> {
        let asked = [
            (options.output, Access::Put),
            (options.input, Access::Get),
            (options.browse, Access::Browse),
            (options.inquire, Access::Inquire),
        ];
        asked
            .into_iter()
            .filter(|(is_asked, _)| *is_asked)
            .try_for_each(|(_, access)| self.may(session, queue.into(), access))
    }

    pub(super) fn may_administer(&self, session: SessionId, admin: &Admin) -> Result<(), Refusal> {
        let (object, access) = match admin {
            Admin::Define { object, .. } => (Object::Defined(object), Access::Create),
            Admin::Alter { object, .. } => (Object::Defined(object), Access::Change),
            Admin::SetRecord { record, .. } => (Object::Defined(record), Access::Change),
            Admin::Delete { object, .. } => (Object::Defined(object), Access::Delete),
            Admin::Clear { queue } => (queue.into(), Access::Clear),
            Admin::Display { pattern, .. } => (Object::Listed(pattern), Access::Display),
            Admin::Sessions { .. } => (Object::QueueManager, Access::Display),
        };
        self.may(session, object, access)
    }

    pub(super) fn may_operate(&self, session: SessionId, operate: &Operate) -> Result<(), Refusal> {
        let access = match operate {
            Operate::Status | Operate::Failovers { .. } => Access::Display,
            Operate::Move { .. }
            | Operate::Classify(_)
            | Operate::Maintain { .. }
            | Operate::Run(_)
            | Operate::Create(_)
            | Operate::Delete { .. }
            | Operate::Members(_)
            | Operate::Raise { .. }
            | Operate::Recover(_) => Access::Control,
        };
        self.may(session, Object::QueueManager, access)
    }
}
