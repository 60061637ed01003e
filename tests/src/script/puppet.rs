//! A program that does what it is told and remembers what it heard: the hand of a script.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trimaran_node::mqi::Data;
use trimaran_node::types::{HandleId, Token};

use crate::model::app::Input;

#[derive(Debug, Default)]
pub struct Puppet {
    pub queue_manager: usize,
    pub heard: VecDeque<(u64, Input)>,
    pub connected: bool,
    pub connecting: bool,
    pub token_last: u64,
    /// Calls that are not answered, and whether the script wants to see the answer.
    pub asked: BTreeMap<Token, bool>,
    /// Calls whose answer it wants to see, and which has come.
    pub shown: BTreeSet<Token>,
    pub handles: BTreeMap<String, HandleId>,
    pub handle_last: u32,
    pub hint: Option<u64>,
    /// An operator's: let in where the queue manager is led and serves nobody, too.
    pub is_errand: bool,
}

impl Puppet {
    pub fn new(queue_manager: usize) -> Puppet {
        Puppet { queue_manager, ..Puppet::default() }
    }

    pub fn operator() -> Puppet {
        Puppet { is_errand: true, ..Puppet::default() }
    }

    pub fn handle(&mut self, now: u64, input: Input) {
        match &input {
            Input::Connected { .. } => (self.connected, self.connecting) = (true, false),
            Input::NotConnected { hint } => {
                self.connecting = false;
                self.hint = *hint;
            }
            Input::Broken { .. } => self.forget(),
            Input::Answer { token, completion, .. } if !matches!(completion.data, Data::Progress { .. }) => {
                if self.asked.remove(token) == Some(true) {
                    self.shown.insert(*token);
                }
            }
            Input::Answer { .. } | Input::Wake => {}
        }
        self.heard.push_back((now, input));
    }

    /// The connection is over, and with it everything that hung on it.
    pub fn forget(&mut self) {
        (self.connected, self.connecting) = (false, false);
        self.asked.clear();
        self.handles.clear();
    }

    pub fn token(&mut self, shown: bool) -> Token {
        self.token_last += 1;
        let token = Token(self.token_last);
        self.asked.insert(token, shown);
        token
    }
}
