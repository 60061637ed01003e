//! MQ's reason codes by name.

macro_rules! reasons {
    ($($number:literal $rust:ident $name:ident $text:literal)*) => {
        /// MQ's reason codes (MQRC_*, MQRCCF_*), as far as a Trimaran queue manager uses them.
        pub mod reason {
            pub use trimaran_proto::reason::says_not_served;

            $(pub const $name: u32 = $number;)*
        }

        /// Every reason code with its name without MQRC_, in the order of their numbers.
        pub const REASONS: &[(u32, &str)] = &[$(($number, stringify!($name))),*];

        /// The name of a reason without its MQRC_ prefix; "UNKNOWN" for one this library has never heard of.
        pub fn name_of(reason: u32) -> &'static str {
            match reason {
                $($number => stringify!($name),)*
                _ => "UNKNOWN",
            }
        }

        /// What is wrong and what to do, a sentence or two.
        pub(crate) fn text_of(reason: u32) -> &'static str {
            match reason {
                $($number => $text,)*
                _ => "The queue manager refuses the call.",
            }
        }
    };
}

trimaran_proto::reasons!(reasons);
