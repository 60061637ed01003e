//! The protocols in which programs speak to their queue manager.

use crate::sim::rng::Rng;

/// What a program speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tongue {
    /// Frames of our own library, over gRPC.
    #[default]
    Frames,
    /// Port 1414, as IBM MQ's clients do.
    Channel(Manner),
}

/// How a client uses its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// SHARECNV(0): segments have no numbers, so one call is under way at a time.
    Alone,
    /// Calls have numbers, and several are under way. Messages are got with MQGET.
    Shared,
    /// The same, and messages are asked for with REQUEST_MSGS, one at a time, and come by themselves.
    Requests,
    /// The same with room for many, where that may be: they are there before the program asks for them.
    Ahead,
    /// Messages are given to a callback while the connection is started (MQCB, MQCTL), one for each get of the program.
    Callbacks,
}

impl Manner {
    pub const ALL: [Manner; 5] =
        [Manner::Alone, Manner::Shared, Manner::Requests, Manner::Ahead, Manner::Callbacks];
}

/// What is drawn about channels is drawn from this and the seed.
const CHANNELS: u64 = 0x6368_616E_6E65_6C73;
/// A quarter of the runs has programs on channels.
const CHANNELS_PER_MILLE: u64 = 250;

impl Tongue {
    /// What the program of this number speaks. Every second one of such a run is on a channel, so that both meet on each queue. Drawn
    /// apart, so that a seed without channels is the run that it was before there were any.
    pub fn draw(seed: u64, program: u32) -> Tongue {
        let mut rng = Rng::new(seed ^ CHANNELS);
        if !rng.chance(CHANNELS_PER_MILLE) || !program.is_multiple_of(2) {
            return Tongue::Frames;
        }
        let mut own = rng.fork(u64::from(program));
        Tongue::Channel(*own.pick(&Manner::ALL).expect("not empty"))
    }

    /// Whether there are channels in the run of this seed.
    pub fn has_channels(seed: u64) -> bool {
        Rng::new(seed ^ CHANNELS).chance(CHANNELS_PER_MILLE)
    }

    pub fn is_channel(self) -> bool {
        matches!(self, Tongue::Channel(_))
    }

    /// Who is called back says itself when it has waited long enough.
    pub fn ends_its_waits(self) -> bool {
        self == Tongue::Channel(Manner::Callbacks)
    }
}
