//! MQ's completion codes and reason codes, made of the table that node and client share (`trimaran_proto::reason`).

use std::fmt;

/// MQCC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CompletionCode {
    /// MQCC_OK: all was done as asked for.
    #[default]
    Ok = 0,
    /// MQCC_WARNING: it was done, though not quite as asked for.
    Warning = 1,
    /// MQCC_FAILED: nothing was done.
    Failed = 2,
}

macro_rules! reasons {
    ($($number:literal $name:ident $mq:ident $text:literal)*) => {
        /// MQRC.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum Reason { $($name = $number),* }

        impl Reason {
            /// By number.
            pub const ALL: &'static [Reason] = &[$(Reason::$name),*];

            /// MQ's name without the MQRC_ prefix.
            pub fn name(self) -> &'static str {
                match self { $(Reason::$name => stringify!($mq)),* }
            }

            /// What is wrong and what to do, one sentence or two.
            pub fn text(self) -> &'static str {
                match self { $(Reason::$name => $text),* }
            }

            /// None for a number that is not in the table.
            pub fn from_number(number: u32) -> Option<Reason> {
                match number { $($number => Some(Reason::$name),)* _ => None }
            }
        }
    };
}

trimaran_proto::reasons!(reasons);

impl Reason {
    /// MQRC_*, or MQRCCF_* from 3001 on.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// Whoever was asked does not serve, or not any more, and nothing was done.
    pub fn says_not_served(self) -> bool {
        trimaran_proto::reason::says_not_served(self.number())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_number_and_a_text() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_number(reason.number()), Some(*reason));
            assert!(reason.text().ends_with('.'), "{reason} wants a sentence");
        }
    }
}
