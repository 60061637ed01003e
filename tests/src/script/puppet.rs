//! A program that does what it is told and remembers what it heard: the hand of a script.

use std::collections::VecDeque;

use crate::model::app::Input;

#[derive(Debug, Default)]
pub struct Puppet {
    pub queue_manager: usize,
    pub heard: VecDeque<(u64, Input)>,
}

impl Puppet {
    pub fn new(queue_manager: usize) -> Puppet {
        Puppet { queue_manager, heard: VecDeque::new() }
    }

    pub fn handle(&mut self, now: u64, input: Input) {
        self.heard.push_back((now, input));
    }
}
