//! Messages on their way to those who get or browse them: from memory, or from the store first; and who is served
//! when a message becomes free.

use std::collections::BTreeMap;

use super::Replica;
use super::free::Owner;
use super::loads::{ReadAhead, Recipient, Wanted};
use super::proposals::Waiting;
use super::reports::Routed;
use super::turn::{LEAVE, LOOK};
use super::waiters::Ticket;
use crate::mqi::{Call, Completion, Data, Get, GetMode};
use crate::qmgr::packs::{self, Unpacked};
use crate::qmgr::{Command, Family, LoadRequest, PackKey, Place, Removal, keys as row_keys};
use crate::types::planted::{self, Bug};
use crate::types::{Cause, Message, Position, QueueId, Reason, RequestId, SessionId, Token};

/// When a message must be read from the store, its successors come along: this many at first, twice as many each time.
const READ_MESSAGES: u32 = 64;
/// A read of the store ends with the pack with which it has this many messages,
const READ_MESSAGES_MAX: u32 = 1024;
/// or this many bytes of rows.
const READ_BYTES_MAX: u64 = 1 << 20;
/// Waiters whose session is gone that a message passes before others have their turn.
const GONE_MAX: usize = 32;
const _: () = assert!(READ_MESSAGES <= READ_MESSAGES_MAX, "who reads on is given no less than who begins");
/// What a message in memory takes besides its body, about.
pub(super) const MESSAGE_WEIGHT: u64 = 128;

impl Recipient {
    /// Whose call waits for it.
    pub fn caller(&self) -> Option<(SessionId, Token)> {
        match self {
            Recipient::Show { session, token, .. }
            | Recipient::Take { session, token, .. }
            | Recipient::Judge { session, token } => Some((*session, *token)),
            Recipient::Move | Recipient::Offer | Recipient::Expire => None,
        }
    }

    /// Whose call is answered with it, or with why there is nothing.
    pub fn answers(&self) -> Option<(SessionId, Token)> {
        self.caller().filter(|_| !matches!(self, Recipient::Judge { .. }))
    }
}

/// How far an offer went.
enum Offered {
    /// Somebody has it, or nobody wants it.
    Done,
    /// It goes on in the next turn, behind those who were asked.
    NotYet,
    /// It goes on when the message was read.
    Unread,
}

impl Replica {
    /// Answers with the message; it stays where it is. `browse` is the call, unless it is a get under syncpoint.
    pub(super) fn show(
        &mut self,
        session: SessionId,
        token: Token,
        queue: QueueId,
        position: Position,
        cut: Option<usize>,
        browse: Option<&Get>,
    ) {
        let slot =
            self.state.queue(queue).and_then(|queue| queue.slot(position)).expect("found by the caller");
        debug_assert!(
            browse.is_some()
                || self.standing.own().reservations.owner(queue, position) == Some(Owner::Unit(session)),
            "what is shown is browsed, or reserved for the unit of work that gets it"
        );
        match &slot.message {
            Some(message) => {
                debug_assert_eq!(
                    message.descriptor.backout_count, slot.backout_count,
                    "a program is told how often its message was backed out"
                );
                let message = message.clone();
                if browse.is_none()
                    && let Err(refused) = self.report_delivery_in_unit(session, &message)
                {
                    self.take_back(session, queue, position);
                    return self.answer(session, token, refused.into());
                }
                self.answer_with(session, token, message, cut);
                self.read_on(queue, position);
            }
            None => {
                let browse = browse.map(|get| Box::new(get.clone()));
                self.load(queue, position, Recipient::Show { session, token, cut, browse });
            }
        }
    }

    /// A get outside syncpoint: the message leaves, then the answer. The reservation stands until then.
    pub(super) fn take(
        &mut self,
        session: SessionId,
        token: Token,
        queue: QueueId,
        position: Position,
        cut: Option<usize>,
    ) {
        debug_assert_eq!(
            self.standing.own().reservations.owner(queue, position),
            Some(Owner::Get(session)),
            "a get outside of a unit has reserved what it takes"
        );
        let contents = self.state.queue(queue).expect("found by the caller");
        let resident = contents.slot(position).expect("found by the caller").message.is_some();
        if !resident {
            return self.load(queue, position, Recipient::Take { session, token, cut });
        }
        if position.is_persistent() {
            self.propose_removal(session, token, queue, position, cut);
            return self.read_on(queue, position);
        }
        let slot = self.remove_not_persistent(queue, position);
        let message = slot.and_then(|slot| slot.message).expect("just seen");
        if let Some(routed) = self.make_report(&message, Cause::Delivery) {
            self.place_report_not_persistent(routed);
        }
        self.answer_with(session, token, message, cut);
    }

    fn propose_removal(
        &mut self,
        session: SessionId,
        token: Token,
        queue: QueueId,
        position: Position,
        cut: Option<usize>,
    ) {
        debug_assert!(
            self.standing.own().reservations.is_reserved(queue, position),
            "what is taken was reserved for whoever takes it"
        );
        let removal = Removal { queue, positions: vec![position] };
        let from = (queue, position);
        let slot =
            self.state.queue(queue).and_then(|queue| queue.slot(position)).expect("found by the caller");
        let asking = slot.message.as_ref().filter(|_| slot.reports().wants(Cause::Delivery));
        let reported = asking.cloned().and_then(|message| {
            let routed = self.make_report(&message, Cause::Delivery)?;
            Some((routed, message))
        });
        let Some((routed, message)) = reported else {
            let waiting = Waiting::Get { session, token, from, cut, reported: None };
            return self.propose(Command::Remove(removal), waiting);
        };
        let waiting = Waiting::Get { session, token, from, cut, reported: Some((routed.queue, message)) };
        self.propose_removals(session, removal, Some(routed), waiting);
    }

    /// One unit: a message leaves its queue, and the report about that arrives on another.
    pub(super) fn propose_removals(
        &mut self,
        session: SessionId,
        removal: Removal,
        report: Option<Routed>,
        waiting: Waiting,
    ) {
        let mut places: Vec<Place> = report.map(Routed::into_place).into_iter().collect();
        let parts = places.first_mut().and_then(|place| self.stage_body(place));
        let command = Command::CommitUnit { unit: None, places, removals: vec![removal] };
        match parts {
            Some((number, parts)) => self.begin_staging(session, number, parts, Some((command, waiting))),
            None => self.propose(command, waiting),
        }
    }

    pub(super) fn answer_with(
        &mut self,
        session: SessionId,
        token: Token,
        mut message: Box<Message>,
        cut: Option<usize>,
    ) {
        let body_length = message.body.len();
        let warned = self.sessions.get_mut(session).and_then(|state| state.end_get(token, false));
        debug_assert!(cut.is_none_or(|cut| cut < body_length), "only what is longer than asked for is cut");
        let mut completion = match warned {
            Some(reason) => Completion::warning(reason, Data::Nothing),
            None => Completion::ok(Data::Nothing),
        };
        if let Some(cut) = cut {
            // Its checksum stays that of the whole: nobody is told it, and to make one would take as long as the body is.
            message.body = message.body.truncated(cut);
            completion = Completion::warning(Reason::TruncatedMsgAccepted, Data::Nothing);
        }
        message.descriptor.expiry = message.descriptor.expiry_left(self.wall());
        completion.data = Data::Got { message, body_length };
        self.answer(session, token, completion);
    }

    // ---- from the store ---------------------------------------------------------------------------------------

    /// The message is in the store only.
    pub(super) fn load(&mut self, queue: QueueId, position: Position, delivery: Recipient) {
        let contents = self.state.queue(queue).expect("found by the caller");
        let packed = contents.slot(position).and_then(|slot| slot.packed).expect("it is in the store only");
        debug_assert!(
            contents.slot(position).is_some_and(|slot| slot.message.is_none()),
            "only what is not in memory is read from the store"
        );
        let pack = packed.key(queue, position);
        if !self.loads.is_loading(pack) {
            self.request(queue, position);
        }
        debug_assert!(self.loads.is_loading(pack), "a read begins with the pack that is wanted");
        if let Some(state) = delivery.caller().and_then(|(session, _)| self.sessions.get_mut(session)) {
            state.loading += 1;
        }
        self.standing.own_mut().readers.wait(pack, position, delivery);
    }

    fn request(&mut self, queue: QueueId, first: Position) {
        let ahead = self.standing.own().readers.read_ahead(queue).filter(|ahead| ahead.next == first);
        let messages_max = ahead.map_or(READ_MESSAGES, |ahead| (ahead.messages * 2).min(READ_MESSAGES_MAX));
        let contents = self.state.queue(queue).expect("found by the caller");
        let mut wanted: Vec<Wanted> = Vec::new();
        let (mut messages, mut bytes) = (0, 0);
        let mut next = None;
        for (position, slot) in contents.from(first) {
            // Somebody reads here in order: stop where memory already has what follows.
            let (None, Some(packed)) = (&slot.message, slot.packed) else { break };
            let pack = packed.key(queue, position);
            if wanted.last().is_some_and(|wanted| wanted.pack == pack) {
                continue;
            }
            if messages >= messages_max || bytes >= READ_BYTES_MAX {
                next = Some(position);
                break;
            }
            if self.loads.is_loading(pack) || wanted.iter().any(|wanted| wanted.pack == pack) {
                break;
            }
            let known = contents.packs().get(pack).expect("a packed message has a pack");
            messages += known.live();
            bytes += known.bytes();
            wanted.push(Wanted::new(pack, known));
        }
        debug_assert!(next.is_none() || !wanted.is_empty(), "what comes next comes behind what is read now");
        let ahead = next.map(|next| ReadAhead { begun: first, next, messages: messages_max });
        self.standing.own_mut().readers.set_read_ahead(queue, ahead);
        if !wanted.is_empty() {
            self.load_packs(wanted);
        }
    }

    /// Somebody reads in order and has come to what was read last: what follows is read before it is asked for.
    fn read_on(&mut self, queue: QueueId, position: Position) {
        if let Some(ahead) = self.standing.own().readers.read_ahead(queue)
            && ahead.messages > READ_MESSAGES
            && position >= ahead.begun
        {
            self.request(queue, ahead.next);
        }
    }

    pub(super) fn load_packs(&mut self, wanted: Vec<Wanted>) {
        let id = self.options.queue_manager;
        let mut keys = Vec::with_capacity(wanted.len() * 2);
        for one in &wanted {
            keys.push((Family::Heads, row_keys::heads_key(id, one.pack)));
            let bodies =
                (0..one.chunks).map(|chunk| (Family::Bodies, row_keys::bodies_key(id, one.pack, chunk)));
            keys.extend(bodies);
        }
        debug_assert!(
            keys.iter().zip(keys.iter().skip(1)).all(|(one, next)| one != next),
            "a row is asked for once"
        );
        let request = self.loads.begin(wanted);
        self.load_rows(LoadRequest { queue_manager: id, request, keys });
    }

    pub(super) fn on_rows_loaded(
        &mut self,
        request: RequestId,
        rows: Vec<Option<bytes::Bytes>>,
        damaged: Option<String>,
    ) {
        let mut rows = rows.into_iter();
        for Wanted { pack, chunks } in self.loads.end(request) {
            let heads = rows.next().flatten();
            let bodies: Option<Vec<bytes::Bytes>> =
                rows.by_ref().take(chunks as usize).collect::<Vec<_>>().into_iter().collect();
            let messages = match (heads, bodies) {
                (Some(heads), Some(bodies)) => packs::unpack(pack.first, &heads, bodies),
                _ => Err(damaged.clone().unwrap_or_else(|| "the rows are not there".into())),
            };
            self.on_pack_loaded(pack, messages);
        }
        debug_assert!(damaged.is_some() || rows.next().is_none(), "there are as many rows as were asked for");
        self.release_residents();
    }

    fn on_pack_loaded(&mut self, pack: PackKey, messages: Result<Vec<Unpacked>, String>) {
        self.loads.arrived(pack);
        let leading = self.standing.leading_mut();
        let waiting = leading.map(|leading| leading.readers.take(pack)).unwrap_or_default();
        for (session, _) in waiting.iter().filter_map(|(_, delivery)| delivery.caller()) {
            if let Some(state) = self.sessions.get_mut(session) {
                assert!(state.loading > 0, "who is given what was read has waited for it");
                state.loading -= 1;
            }
        }
        let (messages, reason) = match messages {
            Ok(messages) => (messages, String::new()),
            Err(reason) => (Vec::new(), reason),
        };
        let mut reasons = BTreeMap::new();
        let mut weight = 0;
        for Unpacked { sequence, message } in messages {
            let position = Position { rank: pack.rank, sequence, minor: 0 };
            let slot = self.state.queue_mut(pack.queue).and_then(|queue| queue.slot_mut(position));
            let Some(slot) = slot.filter(|slot| slot.message.is_none()) else { continue };
            match message {
                Ok(mut message) => {
                    message.descriptor.backout_count = slot.backout_count;
                    weight += message.body.len() as u64 + MESSAGE_WEIGHT;
                    slot.message = Some(Box::new(message));
                }
                Err(reason) => drop(reasons.insert(position, reason)),
            }
        }
        self.residents.add_loaded(pack, weight);
        for (position, delivery) in waiting {
            let slot = self.state.queue(pack.queue).and_then(|queue| queue.slot(position));
            match slot.map(|slot| slot.message.is_some()) {
                Some(true) => self.deliver(pack.queue, position, delivery),
                Some(false) => {
                    let reason = reasons.get(&position).unwrap_or(&reason);
                    self.refuse_damaged(pack.queue, position, delivery, reason);
                }
                // It was removed while it was loaded: nobody who waited for it had it. A browse goes on behind it.
                None => {
                    if let Recipient::Show { session, token, browse: Some(get), .. } = delivery {
                        if self.sessions.get(session).is_some() {
                            self.park(session, token, (*get).into());
                        }
                        continue;
                    }
                    if let Some((session, token)) = delivery.answers() {
                        self.answer(session, token, Completion::failed(Reason::NoMsgAvailable));
                    }
                    debug_assert!(
                        !matches!(delivery, Recipient::Expire),
                        "a message that is reserved does not leave"
                    );
                    if matches!(delivery, Recipient::Offer) {
                        self.standing.own_mut().offers.end_reading(pack.queue);
                    }
                }
            }
        }
    }

    fn deliver(&mut self, queue: QueueId, position: Position, delivery: Recipient) {
        match delivery {
            Recipient::Show { session, token, cut, browse } => {
                // A unit that was backed out meanwhile has given its reservation back, and its caller is gone.
                if browse.is_some()
                    || self.standing.own().reservations.owner(queue, position) == Some(Owner::Unit(session))
                {
                    self.show(session, token, queue, position, cut, browse.as_deref());
                } else {
                    self.answer(session, token, Completion::failed(Reason::BackedOut));
                }
            }
            Recipient::Take { session, token, cut } => {
                // The session may have ended while the message was loaded: then it stays.
                if self.sessions.get(session).is_some() {
                    self.take(session, token, queue, position, cut);
                } else {
                    self.free(queue, position);
                }
            }
            Recipient::Move => self.move_backed_out(queue, position),
            Recipient::Expire => self.report_expired(queue, position),
            Recipient::Judge { session, token } => self.judge(session, token, queue, position),
            Recipient::Offer => {
                self.standing.own_mut().offers.end_reading(queue);
                // At once: it may leave memory with the turn.
                if self.may_offer()
                    && let Some(asked) = self.standing.own_mut().offers.take(queue, position)
                {
                    self.offer_one(queue, position, asked);
                }
            }
        }
    }

    /// A search has come to this message, which is in memory now.
    fn judge(&mut self, session: SessionId, token: Token, queue: QueueId, position: Position) {
        let Some(state) = self.sessions.get_mut(session) else { return };
        let Some((_, Call::Get(get))) = state.parked.front().filter(|(first, _)| *first == token) else {
            return;
        };
        let selector = state.handles.get(&get.handle).and_then(|handle| handle.selector());
        let slot = self.state.queue(queue).and_then(|queue| queue.slot(position));
        let message = slot.and_then(|slot| slot.message.as_ref());
        if let (Some(search), Some(selector), Some(message)) = (&mut state.search, selector, message) {
            debug_assert_eq!(search.token, token, "a search is that of the first call that waits");
            let verdict = selector.judge(message);
            self.turn.spend(verdict.looks);
            search.judged = Some((position, verdict.selects));
        }
    }

    fn refuse_damaged(&mut self, queue: QueueId, position: Position, delivery: Recipient, reason: &str) {
        match delivery {
            Recipient::Show { session, token, browse, .. } => {
                // A get under syncpoint that gave nothing is no part of its unit: a commit must not remove it.
                let held =
                    self.standing.own().reservations.owner(queue, position) == Some(Owner::Unit(session));
                if browse.is_none() && held {
                    self.take_back(session, queue, position);
                }
                self.answer(session, token, Completion::failed_because(Reason::ObjectDamaged, reason));
            }
            Recipient::Take { session, token, .. } => {
                self.free(queue, position);
                self.answer(session, token, Completion::failed_because(Reason::ObjectDamaged, reason));
            }
            Recipient::Move => self.free(queue, position),
            Recipient::Expire => self.end_expired((queue, position), false),
            Recipient::Judge { session, token } => {
                let Some(state) = self.sessions.get_mut(session) else { return };
                let was_first = state.parked.pop_front_if(|(first, _)| *first == token).is_some();
                debug_assert!(was_first, "a search is that of the first call that waits");
                if let Some(search) = state.search.take() {
                    self.standing.own_mut().searches.end(search.queue);
                }
                self.answer(session, token, Completion::failed_because(Reason::ObjectDamaged, reason));
            }
            // The store is about to be got again; nobody is told of a message that cannot be read.
            Recipient::Offer => {
                let offers = &mut self.standing.own_mut().offers;
                offers.end_reading(queue);
                offers.take(queue, position);
            }
        }
    }

    /// Messages that the store has leave memory when there are too many.
    pub(super) fn release_residents(&mut self) {
        let flushed = self.compaction.flushed_index();
        while let Some(pack) = self.residents.next_to_release() {
            let Some(contents) = self.state.queue_mut(pack.queue) else { continue };
            // Before it is on disk it cannot be loaded again; it is counted again when it is.
            if contents.packs().get(pack).is_none_or(|known| known.written() > flushed) {
                continue;
            }
            for (position, slot) in contents.packed_in_mut(pack) {
                let leading = self.standing.leading();
                let owner = leading.and_then(|leading| leading.reservations.owner(pack.queue, position));
                // Else somebody is about to be given it; see `free` for what comes back.
                if matches!(owner, None | Some(Owner::Unit(_) | Owner::Lock(..))) {
                    slot.message = None;
                }
            }
        }
    }

    // ---- free messages ----------------------------------------------------------------------------------------

    /// A reservation ended and the message is still there.
    pub(super) fn free(&mut self, queue: QueueId, position: Position) {
        self.standing.own_mut().reservations.release(queue, position);
        let slot = self.state.queue(queue).and_then(|queue| queue.slot(position));
        if let Some((slot, packed)) = slot.and_then(|slot| Some((slot, slot.packed?)))
            && slot.message.is_some()
        {
            let weight = u64::from(slot.body_length) + MESSAGE_WEIGHT;
            self.residents.add_returned(packed.key(queue, position), weight);
        }
        self.note_free(queue, position);
    }

    pub(super) fn note_free(&mut self, queue: QueueId, position: Position) {
        if let Some(leading) = self.standing.leading_mut() {
            leading.note_free(&self.state, queue, position);
        }
    }

    /// Whether somebody who waits may be given something now.
    fn may_offer(&self) -> bool {
        self.is_serving() && self.has_lease() && !self.is_half_applied()
    }

    /// Offers free messages to those who wait: the first message first, in order of arrival.
    pub(super) fn serve_stirred(&mut self) {
        if !self.may_offer() {
            return;
        }
        self.turn.next_phase();
        self.look_again();
        let mut from = (QueueId(0), Position::default());
        while let Some((queue, position)) = self.standing.own().next_offer(from) {
            if self.turn.is_over() {
                self.is_not_done = true;
                return;
            }
            let asked = self.standing.own_mut().offers.take(queue, position).expect("just seen");
            // Who waits there is offered what comes behind it when it is decided who has this one.
            if !self.offer_one(queue, position, asked) {
                from = (QueueId(queue.0 + 1), Position::default());
            }
        }
    }

    /// More may be had of a group than before: its first message is offered, and those who want one of a whole group are calls
    /// again.
    fn look_again(&mut self) {
        let now = self.wall();
        let leading = self.standing.own_mut();
        self.is_not_done |= !leading.reservations.regroup(now, &mut self.turn);
        while !self.turn.is_over()
            && let Some((queue, first)) = self.standing.own_mut().reservations.take_grown()
        {
            self.turn.spend(LEAVE);
            let leading = self.standing.own_mut();
            first.into_iter().for_each(|first| leading.searches.note_free(queue, first));
            if leading.waiters.wait_for_groups(queue) {
                first.into_iter().for_each(|first| leading.offers.add_again(queue, first));
                // Where nothing is known of groups any more, all look again.
                leading.regrouped.insert(queue, leading.waiters.pass(first.is_none()));
            }
        }
        self.ask_again();
        self.is_not_done |= !self.standing.own_mut().reservations.sweep(&mut self.turn);
    }

    /// Those who look again are calls again, as many as the turn has time for.
    fn ask_again(&mut self) {
        while !self.turn.is_over() && !self.standing.own().regrouped.is_empty() {
            let leading = self.standing.own_mut();
            let behind = leading.regrouped.range(QueueId(leading.looked_again_at.0 + 1)..).next();
            let Some((queue, pass)) = behind.or(leading.regrouped.first_key_value()) else { return };
            let (queue, mut pass) = (*queue, *pass);
            leading.looked_again_at = queue;
            match leading.waiters.next_of(queue, &mut pass) {
                None => drop(leading.regrouped.remove(&queue)),
                Some(ticket) => {
                    leading.regrouped.insert(queue, pass);
                    let waiter = leading.waiters.remove(ticket).expect("just seen");
                    debug_assert!(
                        waiter.get.selection.is_of_groups(),
                        "whoever looks again looks for groups"
                    );
                    self.turn.spend(LEAVE);
                    self.park_waiter(waiter);
                }
            }
            self.is_not_done = true;
        }
    }

    /// What became free since is for the next turn.
    pub(super) fn note_stirred(&mut self) {
        if let Some(leading) = self.standing.serving()
            && self.has_lease()
        {
            self.is_not_done |= leading.next_offer((QueueId(0), Position::default())).is_some();
            self.is_not_done |= leading.reservations.has_grown() || !leading.regrouped.is_empty();
        }
    }

    /// False when it is not decided yet who has it.
    fn offer_one(&mut self, queue: QueueId, position: Position, asked: Ticket) -> bool {
        match self.offer(queue, position, asked) {
            Offered::Done => return true,
            Offered::NotYet => self.is_not_done = true,
            Offered::Unread => {
                self.standing.own_mut().offers.begin_reading(queue);
                self.load(queue, position, Recipient::Offer);
            }
        }
        false
    }

    /// To one after the other behind `last`, until somebody takes it.
    fn offer(&mut self, queue: QueueId, position: Position, mut last: Ticket) -> Offered {
        let now = self.wall();
        let (mut gone, mut asked) = (0, 0);
        loop {
            // One is asked, however little there is left of the turn.
            if asked > 0 && self.turn.is_over() {
                self.standing.own_mut().offers.put_back(queue, position, last);
                return Offered::NotYet;
            }
            asked += 1;
            self.turn.spend(LOOK);
            let leading = self.standing.own_mut();
            let Some(contents) = self.state.queue(queue).filter(|queue| queue.rules.get_enabled) else {
                return Offered::Done;
            };
            let Some(slot) = contents.slot(position).filter(|slot| !slot.is_expired(now)) else {
                return Offered::Done;
            };
            if leading.reservations.is_reserved(queue, position) {
                return Offered::Done;
            }
            let Some(is_whole) = leading.reservations.is_whole(queue, slot, now, &mut self.turn) else {
                leading.offers.put_back(queue, position, last);
                return Offered::NotYet;
            };
            let next = leading.waiters.next_for(queue, slot, is_whole, last);
            let Some(ticket) = next else { return Offered::Done };
            let waiter = leading.waiters.get(ticket);
            let Some(session) = self.sessions.get(waiter.session) else {
                // It is gone, and what it left is on its way out.
                leading.waiters.remove(ticket);
                self.turn.spend(LEAVE);
                gone += 1;
                if gone == GONE_MAX {
                    leading.offers.put_back(queue, position, last);
                    return Offered::NotYet;
                }
                continue;
            };
            let handle = &session.handles[&waiter.get.handle];
            debug_assert_eq!(waiter.queue, queue, "who is offered a message waits at its queue");
            if waiter.get.mode == GetMode::BrowseNext
                && handle.browsed_upto(&waiter.get).is_some_and(|upto| position <= upto)
            {
                last = ticket;
                continue;
            }
            if let Some(selector) = handle.selector() {
                let Some(message) = &slot.message else {
                    leading.offers.put_back(queue, position, last);
                    return Offered::Unread;
                };
                let verdict = selector.judge(message);
                self.turn.spend(verdict.looks);
                if !verdict.selects {
                    last = ticket;
                    continue;
                }
            }
            last = ticket;
            let waiter = leading.waiters.remove(ticket).expect("just seen");
            if let Some(handover) = leading.handover
                && self.waits_for_handover(&handover, waiter.session, &waiter.get.clone().into())
            {
                self.park_waiter(waiter);
                continue;
            }
            self.give(waiter.session, waiter.token, queue, position, &waiter.get);
            if planted::is(Bug::OneOffer) {
                return Offered::Done;
            }
        }
    }
}
