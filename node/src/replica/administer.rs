//! What administrators ask of the node that serves: definitions, views of queues, the switch to another node.

use std::time::Duration;

use super::Replica;
use super::proposals::Waiting;
use super::turn::DESCRIBE;
use crate::mqi::{Admin, Completion, Data, QueueView, Refusal};
use crate::qmgr::{Command, Verdict};
use crate::types::{NodeId, ObjectName, QueueDefinition, QueueId, Reason, SessionId, Token, limits};

impl Replica {
    pub(super) fn on_admin(&mut self, session: SessionId, token: Token, admin: Admin) {
        let command = match admin {
            Admin::CreateQueue(definition) => {
                self.check_definition(&definition).map(|()| (Command::CreateQueue(definition), None))
            }
            Admin::AlterQueue { queue, changes } => self.named(&queue).and_then(|id| {
                let mut definition = self.state.queue(id).expect("named").definition.clone();
                changes.apply_to(&mut definition);
                self.check_definition(&definition)?;
                Ok((Command::AlterQueue(definition), None))
            }),
            Admin::DeleteQueue { queue, purge } => self
                .check_delete(&queue, purge)
                .map(|id| (Command::DeleteQueue { name: queue, purge }, Some(id))),
            Admin::ClearQueue { queue } => {
                self.check_clear(&queue).map(|id| (Command::ClearQueue { name: queue }, Some(id)))
            }
            Admin::AlterQueueManager { deadq, maxumsgs } => match (&deadq, maxumsgs) {
                (_, Some(0 | 1_000_000_000..)) => {
                    Err(Refusal::because(Reason::OptionsError, "MAXUMSGS is 1 to 999999999"))
                }
                _ => Ok((Command::AlterQueueManager { deadq, maxumsgs }, None)),
            },
            Admin::ShowQueues { pattern, after } => {
                let named = self.state.queues_named(&pattern, after.as_ref()).take(limits::QUEUES_A_PAGE);
                let views: Vec<QueueView> = named.filter_map(|queue| self.queue_view(queue.id)).collect();
                self.turn.spend(DESCRIBE * views.len() as u64);
                return self.answer(session, token, Completion::ok(Data::Queues(views)));
            }
        };
        match command {
            Ok((command, queue)) => {
                if let Some(queue) = queue {
                    self.standing.own_mut().locked.insert(queue);
                }
                self.propose(command, Waiting::Admin { session, token, queue });
            }
            Err(refused) => self.answer(session, token, refused.into()),
        }
    }

    pub(super) fn end_admin(
        &mut self,
        session: SessionId,
        token: Token,
        queue: Option<QueueId>,
        verdict: Result<Verdict, Reason>,
    ) {
        if let Some(queue) = queue {
            self.standing.own_mut().locked.remove(&queue);
        }
        self.answer(session, token, verdict.map_or_else(Completion::failed, |_| Completion::done()));
    }

    /// A queue is not what it was: who waits at one that is gone, or that is not open for gets any more, is told.
    pub(super) fn note_changed(&mut self, queue: QueueId) {
        let Some(leading) = self.standing.leading_mut() else { return };
        let contents = self.state.queue(queue);
        if contents.is_none_or(|queue| queue.depth() == 0) {
            leading.reservations.forget_queue(queue);
        }
        let reason = match contents {
            None => Reason::QDeleted,
            Some(queue) if !queue.definition.get_enabled => Reason::GetInhibited,
            Some(_) => return,
        };
        for waiter in leading.waiters.take_queue(queue) {
            self.answer(waiter.session, waiter.token, Completion::failed(reason));
        }
    }

    fn named(&self, name: &ObjectName) -> Result<QueueId, Refusal> {
        let id = self.state.queue_id(name).ok_or(Reason::UnknownObjectName)?;
        if self.standing.own().locked.contains(&id) { Err(Reason::ObjectInUse.into()) } else { Ok(id) }
    }

    fn check_definition(&self, definition: &QueueDefinition) -> Result<(), Refusal> {
        let wrong = |text: &str| Err(Refusal::because(Reason::OptionsError, text));
        if definition.descr.chars().count() > 64 {
            return wrong("DESCR has at most 64 characters");
        }
        if definition.maxdepth > 999_999_999 {
            return wrong("MAXDEPTH is 0 to 999999999");
        }
        if definition.maxmsgl as usize > limits::BODY_BYTES_MAX {
            return wrong("MAXMSGL is 0 to 104857600");
        }
        if definition.defprty > 9 {
            return wrong("DEFPRTY is 0 to 9");
        }
        if definition.bothresh > 999_999_999 {
            return wrong("BOTHRESH is 0 to 999999999");
        }
        if definition.boqname.as_ref() == Some(&definition.name) {
            return wrong("BOQNAME must be another queue");
        }
        Ok(())
    }

    fn check_delete(&self, name: &ObjectName, purge: bool) -> Result<QueueId, Refusal> {
        let id = self.named(name)?;
        let queue = self.state.queue(id).expect("named");
        if self.sessions.counts(id).is_open() || self.standing.own().is_busy(id) {
            return Err(Reason::ObjectInUse.into());
        }
        if queue.depth() > 0 && !purge {
            return Err(Refusal::because(Reason::QNotEmpty, format!("it has {} messages", queue.depth())));
        }
        Ok(id)
    }

    fn check_clear(&self, name: &ObjectName) -> Result<QueueId, Refusal> {
        let id = self.named(name)?;
        if self.sessions.counts(id).input > 0 || self.standing.own().is_busy(id) {
            return Err(Reason::ObjectInUse.into());
        }
        Ok(id)
    }

    pub(super) fn on_switch(&mut self, session: SessionId, token: Token, to: Option<NodeId>) {
        if to == Some(self.options.node) {
            return self.answer(session, token, Completion::done());
        }
        let voters = self.consensus.membership();
        if to.is_some_and(|to| !voters.voters.contains(&to)) || voters.voters.len() < 2 {
            let detail = "the node is not a voter of this queue manager, or there is no other";
            return self.answer(session, token, Completion::failed_because(Reason::OptionsError, detail));
        }
        self.begin_handover(to, Some((session, token)));
    }

    pub(super) fn queue_view(&self, id: QueueId) -> Option<QueueView> {
        let queue = self.state.queue(id)?;
        let counts = self.sessions.counts(id);
        let oldest = queue.oldest_put().map_or(0, |at| (self.wall().0 - at.0).max(0));
        Some(QueueView {
            definition: queue.definition.clone(),
            depth: queue.depth(),
            not_persistent: queue.not_persistent(),
            uncommitted: self.standing.leading().map_or(0, |leading| leading.uncommitted(id)),
            open_input: counts.input,
            open_output: counts.output,
            oldest_age: Duration::from_millis(oldest as u64),
        })
    }
}
