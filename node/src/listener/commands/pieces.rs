//! An answer in pieces that take about a millisecond to word: other clients are on this worker.

use std::collections::BTreeMap;
use std::vec::IntoIter;

use trimaran_proto::admin::v1::SessionDetails;
use trimaran_proto::mqsc::Reply;

use crate::listener::grpc::{object_details, session_details};
use crate::listener::wording::{PART, Wording};
use crate::mqi::{ObjectView, SessionView};

/// What is left of an answer.
#[derive(Debug)]
pub struct Pieces {
    left: Left,
    wording: Wording,
    is_begun: bool,
}

#[derive(Debug)]
enum Left {
    Whole(Option<Reply>),
    Objects(IntoIter<ObjectView>),
    Sessions(IntoIter<SessionView>),
    /// Instances of channels, each with the programs that share it, as their number is told with it.
    Groups(IntoIter<Vec<SessionDetails>>),
}

impl Pieces {
    pub fn whole(reply: Reply) -> Pieces {
        Pieces { left: Left::Whole(Some(reply)), wording: Wording::default(), is_begun: false }
    }

    pub fn of_objects(objects: Vec<ObjectView>, wording: &Wording) -> Pieces {
        Pieces { left: Left::Objects(objects.into_iter()), wording: wording.clone(), is_begun: false }
    }

    pub fn of_sessions(sessions: Vec<SessionView>, wording: &Wording) -> Pieces {
        Pieces { left: Left::Sessions(sessions.into_iter()), wording: wording.clone(), is_begun: false }
    }

    /// All that are connected, for a display of channels.
    pub fn of_channels(sessions: Vec<SessionDetails>, wording: &Wording) -> Pieces {
        let left = Left::Groups(groups(sessions).into_iter());
        Pieces { left, wording: wording.clone(), is_begun: false }
    }

    /// Whether all of them were given.
    pub fn is_over(&self) -> bool {
        self.is_begun
            && match &self.left {
                Left::Whole(reply) => reply.is_none(),
                Left::Objects(objects) => objects.len() == 0,
                Left::Sessions(sessions) => sessions.len() == 0,
                Left::Groups(groups) => groups.len() == 0,
            }
    }

    /// The next one, when it is its turn ([`Wording::turn`]); an answer with nothing in it is one piece. None when all were given.
    pub async fn next(&mut self) -> Option<Reply> {
        if self.is_over() {
            return None;
        }
        if !matches!(self.left, Left::Whole(_)) {
            self.wording.turn().await;
        }
        self.is_begun = true;
        match &mut self.left {
            Left::Whole(reply) => reply.take(),
            Left::Objects(objects) => {
                Some(Reply::Objects(objects.take(PART).map(|object| object_details(&object)).collect()))
            }
            Left::Sessions(sessions) => {
                let mut rows = 0;
                let mut piece = Vec::new();
                while rows < PART
                    && let Some(session) = sessions.next()
                {
                    rows += session.described();
                    piece.push(session_details(&session, None));
                }
                Some(Reply::Sessions(piece))
            }
            Left::Groups(groups) => Some(Reply::Sessions(groups.take(PART).flatten().collect())),
        }
    }
}

/// In the order in which the first of each came.
fn groups(sessions: Vec<SessionDetails>) -> Vec<Vec<SessionDetails>> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut groups: Vec<Vec<SessionDetails>> = Vec::new();
    for session in sessions {
        let place = *places.entry(session.address.clone()).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(session);
    }
    groups.retain(|group| group.iter().any(|session| session.instance));
    groups
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::mqi::{HandleView, OpenOptions};
    use crate::types::definition::{Definition, ObjectRef};
    use crate::types::{ObjectName, SessionId};

    fn object(n: usize) -> ObjectView {
        let name = ObjectName::new(&format!("Q{n}")).unwrap();
        ObjectView { definition: Definition::new(ObjectRef::local_queue(&name)), queue: None }
    }

    fn session(id: u64, handles: usize) -> SessionView {
        let handle = || HandleView {
            queue: ObjectName::new("Q").unwrap(),
            options: OpenOptions::default(),
            waits: false,
        };
        SessionView {
            session: SessionId(id),
            user: "joe".into(),
            application: String::new(),
            address: None,
            channel: None,
            is_instance: false,
            secured: None,
            handles: (0..handles).map(|_| handle()).collect(),
        }
    }

    fn rows(reply: &Reply) -> usize {
        match reply {
            Reply::Objects(objects) => objects.len(),
            Reply::Sessions(sessions) => sessions.iter().map(|session| 1 + session.handles.len()).sum(),
            _ => 0,
        }
    }

    #[tokio::test]
    async fn others_have_a_turn_between_two_pieces_of_a_page() {
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = turns.clone();
        let other = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        for mut pieces in [
            Pieces::of_objects((0..100).map(object).collect(), &Wording::default()),
            Pieces::of_sessions((1..=50).map(|n| session(n, 1)).collect(), &Wording::default()),
        ] {
            let (mut told, mut before) = (Vec::new(), None);
            while let Some(piece) = pieces.next().await {
                let now = turns.load(Ordering::Relaxed);
                assert!(before.is_none_or(|before| now > before), "nobody else had a turn");
                before = Some(now);
                told.push(rows(&piece));
            }
            assert!(pieces.is_over() && told.iter().all(|rows| *rows <= PART), "{told:?}");
            assert_eq!(told.iter().sum::<usize>(), 100);
        }
        other.abort();
    }

    #[tokio::test]
    async fn an_answer_with_nothing_in_it_is_one_piece() {
        let mut pieces = Pieces::of_objects(Vec::new(), &Wording::default());
        assert!(!pieces.is_over());
        assert!(matches!(pieces.next().await, Some(Reply::Objects(objects)) if objects.is_empty()));
        assert!(pieces.is_over() && pieces.next().await.is_none());
    }

    #[tokio::test]
    async fn an_instance_of_a_channel_is_told_with_the_programs_that_share_it() {
        let of = |id, address: &str, instance| SessionDetails {
            id,
            address: address.into(),
            instance,
            ..SessionDetails::default()
        };
        let mut all: Vec<SessionDetails> = (0..40).map(|n| of(n, &format!("h:{n}"), true)).collect();
        all.extend((0..40).map(|n| of(100 + n, &format!("h:{n}"), false)));
        all.push(of(200, "elsewhere:1", false));
        let mut pieces = Pieces::of_channels(all, &Wording::default());
        let mut told = Vec::new();
        while let Some(Reply::Sessions(piece)) = pieces.next().await {
            assert!(
                piece
                    .iter()
                    .all(|one| piece.iter().filter(|other| other.address == one.address).count() == 2)
            );
            told.extend(piece);
        }
        assert_eq!(told.len(), 80, "who shares no channel is not told");
    }
}
