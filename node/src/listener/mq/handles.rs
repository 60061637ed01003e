//! What one connection has open. A handle is the lowest even number that is free, as clients are used to.

use std::collections::{BTreeMap, BTreeSet};

use super::contexts::Saved;
use super::reading::Reading;
use crate::types::limits::HANDLES_MAX;
use crate::types::{Descriptor, ObjectName};

/// What a handle stands for.
#[derive(Debug)]
pub(super) enum Object {
    QueueManager,
    Queue {
        name: ObjectName,
        reading: Box<Reading>,
        /// Whose the messages are that were got (MQOO_SAVE_ALL_CONTEXT); None where it is not kept.
        saved: Option<Box<Saved>>,
        /// DEFPSIST of the queue.
        defpsist: bool,
    },
}

/// The objects of one connection, [`HANDLES_MAX`] at most, however many the queue manager allows.
#[derive(Debug, Default)]
pub(super) struct Handles {
    objects: BTreeMap<i32, Object>,
    /// Handles below the highest one in use that were in use before.
    free: BTreeSet<i32>,
}

impl Handles {
    /// The handle that is given next; None when as many are in use as there may be.
    pub fn next(&self) -> Option<i32> {
        let known = self.objects.len() + self.free.len();
        debug_assert!(known <= HANDLES_MAX, "each handle that was in use was one of so many");
        let new = (known as i32 + 1) * 2;
        (self.objects.len() < HANDLES_MAX).then(|| self.free.first().copied().unwrap_or(new))
    }

    /// Gives the handle that was next.
    pub fn insert(&mut self, handle: i32, object: Object) {
        debug_assert_eq!(self.next(), Some(handle), "handles are given in order");
        self.free.remove(&handle);
        self.objects.insert(handle, object);
    }

    pub fn remove(&mut self, handle: i32) {
        if self.objects.remove(&handle).is_some() {
            self.free.insert(handle);
        }
    }

    pub fn clear(&mut self) {
        *self = Handles::default();
    }

    pub fn get(&self, handle: i32) -> Option<&Object> {
        self.objects.get(&handle)
    }

    /// Of the queue that it stands for.
    pub fn name_of(&self, handle: i32) -> Option<ObjectName> {
        match self.objects.get(&handle)? {
            Object::Queue { name, .. } => Some(name.clone()),
            Object::QueueManager => None,
        }
    }

    /// What it keeps of whose messages are, if it does.
    pub fn saved(&self, handle: i32) -> Option<&Saved> {
        match self.objects.get(&handle)? {
            Object::Queue { saved, .. } => saved.as_deref(),
            Object::QueueManager => None,
        }
    }

    /// A message was got through it, or browsed.
    pub fn note_got(&mut self, handle: i32, descriptor: &Descriptor, is_browse: bool) {
        if let Some(Object::Queue { saved: Some(saved), .. }) = self.objects.get_mut(&handle) {
            match is_browse {
                true => saved.note_browse(),
                false => saved.note(descriptor),
            }
        }
    }

    pub fn get_mut(&mut self, handle: i32) -> Option<&mut Object> {
        self.objects.get_mut(&handle)
    }

    /// How its queues are read.
    pub fn readings(&self) -> impl Iterator<Item = &Reading> {
        self.readings_by_handle().map(|(_, reading)| reading)
    }

    pub fn readings_by_handle(&self) -> impl Iterator<Item = (i32, &Reading)> {
        self.objects.iter().filter_map(|(handle, object)| match object {
            Object::Queue { reading, .. } => Some((*handle, &**reading)),
            Object::QueueManager => None,
        })
    }

    pub fn readings_mut(&mut self) -> impl Iterator<Item = &mut Reading> {
        self.objects.values_mut().filter_map(|object| match object {
            Object::Queue { reading, .. } => Some(&mut **reading),
            Object::QueueManager => None,
        })
    }

    pub fn all(&self) -> impl Iterator<Item = i32> + '_ {
        self.objects.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_handle_is_given_and_no_more_than_there_may_be() {
        let mut handles = Handles::default();
        for number in 1..=HANDLES_MAX as i32 {
            let handle = handles.next().unwrap();
            assert_eq!(handle, number * 2);
            handles.insert(handle, Object::QueueManager);
        }
        assert_eq!(handles.next(), None);
        for handle in [14, 6, 6, 1000] {
            handles.remove(handle);
        }
        assert_eq!(handles.next(), Some(6));
        handles.insert(6, Object::QueueManager);
        assert_eq!(handles.next(), Some(14));
        handles.clear();
        assert_eq!(handles.next(), Some(2));
    }
}
