//! The door: who is let in, as whom, and what the session then asks leave for.

use trimaran_proto::admin::v1::moment::Step;

use super::sessions::Session;
use super::{Action, Replica};
use crate::mqi::{self, Admin, Connect, Context, Identity, OpenOptions, Operate, Purpose, Refusal, Terms};
use crate::qmgr::{Access, Object, Who};
use crate::types::definition::ObjectRef;
use crate::types::{HandleId, ObjectName, Reason, SessionId};

fn who<'a>(identity: &'a Identity, application: &'a str) -> Who<'a> {
    Who {
        user: &identity.user,
        authenticated: identity.authenticated.as_ref(),
        certificate: identity.certificate.as_deref(),
        address: identity.address,
        channel: identity.channel.as_ref(),
        application,
    }
}

/// What leave an open asks for.
fn asked(options: OpenOptions) -> Vec<Access> {
    let asked = [
        (options.output, Access::Put),
        (options.input, Access::Get),
        (options.browse, Access::Browse),
        (options.inquire, Access::Inquire),
        (options.set, Access::Set),
        (options.passes == Context::PassIdentity, Access::PassIdentityContext),
        (options.passes == Context::PassAll, Access::PassAllContext),
        (options.context == Context::Identity, Access::SetIdentityContext),
        (options.context == Context::All, Access::SetAllContext),
    ];
    asked.into_iter().filter(|(is_asked, _)| *is_asked).map(|(_, access)| access).collect()
}

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
            if self.has_said_farewell() {
                return Err(mqi::moves());
            }
        }
        let who = who(&connect.identity, &connect.application);
        self.state.may(&who, Object::QueueManager, Access::Connect)?;
        let user = &connect.identity.user;
        Ok(Terms { user: user.clone(), channel: self.admit_instance(connect)? })
    }

    /// The one place where the mind asks whether a session may do something.
    pub(super) fn may(&self, session: SessionId, object: Object<'_>, access: Access) -> Result<(), Refusal> {
        let of = self.sessions.get(session).ok_or(Reason::HconnError)?;
        Ok(self.state.may(&who(&of.identity, of.context.application()), object, access)?)
    }

    pub(super) fn may_open(
        &self,
        session: SessionId,
        queue: &ObjectName,
        options: OpenOptions,
    ) -> Result<(), Refusal> {
        self.may_open_as(session, queue.into(), options)
    }

    pub(super) fn may_open_as(
        &self,
        session: SessionId,
        object: Object<'_>,
        options: OpenOptions,
    ) -> Result<(), Refusal> {
        // It is the queue manager that lets somebody act for others.
        if options.alternate_user {
            self.may(session, Object::QueueManager, Access::AlternateUser)?;
        }
        asked(options).into_iter().try_for_each(|access| self.may(session, object, access))
    }

    /// A queue that goes when its handle is closed (MQCO_DELETE) is deleted by whoever closes it.
    pub(super) fn may_delete_by(&self, session: SessionId, handle: HandleId) -> Result<(), Refusal> {
        let of = self.sessions.get(session).and_then(|session| session.handles.get(&handle));
        // What was made for the handle goes with it, whatever is said.
        match of.filter(|of| !of.made) {
            Some(of) => self.may(session, (&of.name).into(), Access::Delete),
            None => Ok(()),
        }
    }

    pub(super) fn may_administer(&self, session: SessionId, admin: &Admin) -> Result<(), Refusal> {
        let (object, access) = match admin {
            Admin::Define { object, like, replace, .. } => {
                if !like.is_empty() && !object.kind.is_record() {
                    let copied = ObjectRef::new(object.kind, like);
                    self.may(session, Object::Defined(&copied), Access::Display)?;
                }
                let is_there = *replace && self.state.catalog().get(object).is_some();
                (Object::Defined(object), if is_there { Access::Change } else { Access::Create })
            }
            Admin::Alter { object, .. } => (Object::Defined(object), Access::Change),
            Admin::SetRecord { record, .. } => (Object::Defined(record), Access::Change),
            Admin::Delete { object, .. } => (Object::Defined(object), Access::Delete),
            Admin::Clear { queue } => (queue.into(), Access::Clear),
            Admin::Display { pattern, .. } => (Object::Listed(pattern), Access::Display),
            Admin::Refresh(_) => (Object::QueueManager, Access::Control),
            Admin::Sessions { .. } => (Object::QueueManager, Access::Display),
        };
        self.may(session, object, access)
    }

    pub(super) fn may_operate(&self, session: SessionId, operate: &Operate) -> Result<(), Refusal> {
        let access = match operate {
            Operate::Status | Operate::Failovers { .. } | Operate::Trail { .. } => Access::Display,
            Operate::Move { .. }
            | Operate::Classify(_)
            | Operate::Maintain { .. }
            | Operate::Run(_)
            | Operate::Create(_)
            | Operate::Arrange(_)
            | Operate::Delete { .. }
            | Operate::Members(_)
            | Operate::Raise { .. }
            | Operate::Recover(_) => Access::Control,
        };
        self.may(session, Object::QueueManager, access)
    }
}
