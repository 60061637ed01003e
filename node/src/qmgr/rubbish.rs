//! Messages of queues that were cleared or deleted. To give back the memory of a million takes longer than a turn may, so
//! they are cut off at once and go leaf by leaf.

use super::expiries::Expiries;
use super::order::Order;
use super::packs::Packs;
use super::slot::Slot;

#[derive(Debug)]
pub(super) struct Rubbish {
    pub slots: Order<Slot>,
    pub expiries: Expiries,
    pub packs: Packs,
}

impl Rubbish {
    /// About so many go. False when there are no more.
    pub fn sweep(&mut self, messages: usize) -> bool {
        self.slots.drop_first(messages)
            || self.expiries.drop_first(messages)
            || self.packs.drop_first(messages)
    }
}

#[cfg(test)]
mod tests {
    use crate::qmgr::{Command, QueueManager};
    use crate::types::definition::{By, Changes, ObjectRef};
    use crate::types::{Descriptor, Message, ObjectName, QueueId, QueueManagerId};

    #[test]
    fn a_queue_is_empty_at_once_and_its_memory_comes_back_in_pieces() {
        let name = |text| ObjectName::new(text).unwrap();
        let mut manager = QueueManager::new(QueueManagerId(1), name("QM"));
        let object = ObjectRef::local_queue(&name("Q"));
        let (like, changes, by) = (String::new(), Changes::default(), Box::<By>::default());
        manager.apply(Command::Define {
            object: object.clone(),
            like,
            replace: false,
            changes,
            by: by.clone(),
        });
        let empty = manager.digest();
        let queue = manager.change(QueueId(1)).unwrap();
        for _ in 0..10_000 {
            let descriptor = Descriptor { expiry: Some(600), ..Descriptor::default() };
            queue.place_not_persistent(Box::new(Message { descriptor, ..Message::default() }));
        }
        assert!(!manager.sweep(100), "there is nothing to give back yet");

        manager.apply(Command::Clear { object, by });
        assert_eq!(manager.sums().messages, 0);
        assert_eq!(manager.digest(), empty);
        manager.check_invariants().unwrap();
        let pieces = std::iter::from_fn(|| manager.sweep(100).then_some(())).count();
        // Leaves of 64, and who expires when.
        assert!((150..=200).contains(&pieces), "{pieces} pieces");
    }
}
