//! Report options: what a message asks to be told of its fate (IBM MQ Reference, "MQMD - Report" and "Report options and
//! message flags").

use super::Reason;

/// The Report field of a message descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportOptions(pub u32);

/// Why the queue manager reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The message is on its queue.
    Arrival,
    /// A program got it, and it left its queue.
    Delivery,
    /// Its time was over before anybody got it.
    Expiration,
    /// It could not stay where it should be delivered.
    Exception(Reason),
}

/// How much of the message stands in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportData {
    /// The descriptor only.
    Nothing,
    /// Headers of MQ, and 100 bytes behind them.
    First,
    /// MQRO_*_WITH_FULL_DATA: the whole body.
    All,
}

impl Cause {
    /// MQFB_*, or a reason code.
    pub fn feedback(self) -> u32 {
        debug_assert_ne!(self, Cause::Exception(Reason::None), "an exception has a reason");
        match self {
            Cause::Expiration => 258,
            Cause::Arrival => 259,
            Cause::Delivery => 260,
            Cause::Exception(reason) => reason.number(),
        }
    }

    /// The bit that asks for a report; with the next one it has the first data, with the one behind that all of them.
    fn bit(self) -> u32 {
        match self {
            Cause::Arrival => 0x0000_0100,
            Cause::Delivery => 0x0000_0800,
            Cause::Expiration => 0x0020_0000,
            Cause::Exception(_) => 0x0100_0000,
        }
    }
}

const _: () = assert!(
    ReportOptions::KNOWN & 0x101C_0000 == 0,
    "what is known is none of what MQRO_REJECT_UNSUP_MASK refuses"
);

impl ReportOptions {
    /// MQRO_NONE: nothing is reported.
    pub const NONE: ReportOptions = ReportOptions(0);
    const PAN: u32 = 0x1;
    const NAN: u32 = 0x2;
    const ACTIVITY: u32 = 0x4;
    /// The report has the correlation id of what it is about; else the message id as such.
    pub const PASS_CORREL_ID: u32 = 0x40;
    /// The report has the message id of what it is about; else one of its own.
    pub const PASS_MSG_ID: u32 = 0x80;
    /// MQRO_PASS_DISCARD_AND_EXPIRY: the report has what is left of the expiry of what it is about (a minute where nothing is), and
    /// its [`Self::DISCARD_MSG`]; else its time is unlimited and it has no options.
    pub const PASS_DISCARD_AND_EXPIRY: u32 = 0x4000;
    /// What cannot be delivered is dropped and does not go to the dead-letter queue.
    pub const DISCARD_MSG: u32 = 0x0800_0000;
    /// With their data: exceptions, expirations, arrivals and deliveries.
    const MADE_HERE: u32 = 0x0700_0000 | 0x00E0_0000 | 0x0700 | 0x3800;
    const KNOWN: u32 = Self::MADE_HERE
        | Self::PAN
        | Self::NAN
        | Self::ACTIVITY
        | Self::PASS_CORREL_ID
        | Self::PASS_MSG_ID
        | Self::PASS_DISCARD_AND_EXPIRY
        | Self::DISCARD_MSG;
    /// MQRO_ACCEPT_UNSUP_MASK. Of the others the queue that a message is put on decides in MQ, if it is a transmission
    /// queue; there are none here.
    const ACCEPTED_UNKNOWN: u32 = 0xEFE0_00FF;

    /// Whether it has bits that are not known.
    ///
    /// # Errors
    /// 2061 when one of them must not be passed over.
    pub fn check(self) -> Result<bool, Reason> {
        let unknown = self.0 & !Self::KNOWN;
        match unknown & !Self::ACCEPTED_UNKNOWN {
            0 => Ok(unknown != 0),
            _ => Err(Reason::ReportOptionsError),
        }
    }

    /// Whether somebody is to send a report, the queue manager or the program that gets the message.
    pub fn wants_any(self) -> bool {
        let wanted = Self::PAN | Self::NAN;
        let made_here = [Cause::Arrival, Cause::Delivery, Cause::Expiration, Cause::Exception(Reason::None)];
        self.0 & wanted != 0 || made_here.into_iter().any(|cause| self.wants(cause))
    }

    /// Whether the queue manager is to report this.
    pub fn wants(self, cause: Cause) -> bool {
        debug_assert_eq!(cause.bit() & Self::MADE_HERE, cause.bit(), "what is asked for is made here");
        self.0 & cause.bit() != 0
    }

    /// How much of the message goes with a report that is wanted.
    pub fn data(self, cause: Cause) -> ReportData {
        debug_assert!(self.wants(cause), "data are those of a report that is wanted");
        debug_assert_eq!((cause.bit() << 2) & Self::MADE_HERE, cause.bit() << 2, "each report may have data");
        if self.0 & (cause.bit() << 2) != 0 {
            ReportData::All
        } else if self.0 & (cause.bit() << 1) != 0 {
            ReportData::First
        } else {
            ReportData::Nothing
        }
    }

    /// Whether this option (MQRO_*, one bit) is set.
    pub fn has(self, option: u32) -> bool {
        debug_assert_eq!(option & !Self::KNOWN, 0, "nobody asks for what is not known");
        debug_assert!(option.is_power_of_two(), "one option is asked for at a time");
        self.0 & option != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_are_not_known_are_refused_or_passed_over_as_the_masks_say() {
        for (options, verdict) in [
            (0, Ok(false)),
            (0x0FE0_7FC7, Ok(false)),
            (0x8, Ok(true)),
            (0x8000_0000, Ok(true)),
            (0x8000, Err(Reason::ReportOptionsError)),
            (0x0002_0000, Err(Reason::ReportOptionsError)),
            (0x0004_0000, Err(Reason::ReportOptionsError)),
            (0x1000_0000, Err(Reason::ReportOptionsError)),
            (0x1000_0100, Err(Reason::ReportOptionsError)),
        ] {
            assert_eq!(ReportOptions(options).check(), verdict, "{options:#x}");
        }
    }

    #[test]
    fn each_report_has_as_much_data_as_it_was_asked_for_with() {
        let (arrival, delivery) = (Cause::Arrival, Cause::Delivery);
        let exception = Cause::Exception(Reason::QFull);
        for (options, cause, data) in [
            (0x0100, arrival, ReportData::Nothing),
            (0x0300, arrival, ReportData::First),
            (0x0700, arrival, ReportData::All),
            (0x0800, delivery, ReportData::Nothing),
            (0x1800, delivery, ReportData::First),
            (0x3800, delivery, ReportData::All),
            (0x0020_0000, Cause::Expiration, ReportData::Nothing),
            (0x0060_0000, Cause::Expiration, ReportData::First),
            (0x00E0_0000, Cause::Expiration, ReportData::All),
            (0x0100_0000, exception, ReportData::Nothing),
            (0x0300_0000, exception, ReportData::First),
            (0x0700_0000, exception, ReportData::All),
        ] {
            let options = ReportOptions(options);
            assert!(options.wants(cause) && options.wants_any(), "{options:?}");
            assert_eq!(options.data(cause), data, "{options:?}");
            let others = [arrival, delivery, Cause::Expiration, exception];
            let wanted = others.into_iter().filter(|cause| options.wants(*cause)).count();
            assert_eq!(wanted, 1, "{options:?}");
        }
        assert!(ReportOptions(0x1).wants_any() && !ReportOptions(0x0800_40C4).wants_any());
    }
}
