//! Day and time of a moment, UTC.

use std::fmt;

/// A moment as calendars and clocks have it: months and days from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub year: i64,
    pub month: i64,
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    pub millisecond: i64,
}

/// ISO 8601, to the millisecond, UTC: 2026-01-31T08:05:09.001Z.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Moment { year, month, day, hour, minute, second, millisecond } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }
}

impl Moment {
    /// Milliseconds since 1970 of a day and, behind a T or a blank, a time of day to the second; UTC. None where there is no such
    /// day or time.
    pub fn parse(text: &str) -> Option<i64> {
        let text = text.trim().trim_end_matches('Z');
        let (day, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
        let numbers = |text: &str, by: char| -> Option<Vec<i64>> {
            let parts = text.split(by).map(|part| part.parse().ok().filter(|number| *number >= 0));
            parts.collect()
        };
        let [year, month, day] = numbers(day, '-')?[..] else { return None };
        let (hour, minute, second) = match numbers(time, ':')?[..] {
            [hour, minute] => (hour, minute, 0),
            [hour, minute, second] => (hour, minute, second),
            _ => return None,
        };
        if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        // As in `of`, the other way.
        let (year_from_march, month_from_march) =
            if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let (era, year_of_era) = (year_from_march.div_euclid(400), year_from_march.rem_euclid(400));
        let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
        let days =
            era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
        let ms = (days * 86_400 + hour * 3600 + minute * 60 + second) * 1000;
        (Moment::of(ms).day == day).then_some(ms)
    }

    /// Of milliseconds since 1970.
    pub fn of(ms: i64) -> Moment {
        let (days, in_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
        // Civil date from days since 1970-01-01 (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms"): years that begin
        // in March make the leap day the last one.
        let days = days + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        debug_assert!((1..=12).contains(&month) && (1..=31).contains(&day), "a day of a month");
        Moment {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day,
            hour: in_day / 3_600_000,
            minute: in_day / 60_000 % 60,
            second: in_day / 1000 % 60,
            millisecond: in_day % 1000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_it_is_written() {
        for ms in [0, 951_782_400_000, 1_796_083_200_000, 4_107_542_399_000] {
            let Moment { year, month, day, hour, minute, second, .. } = Moment::of(ms);
            let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
            assert_eq!(Moment::parse(&text), Some(ms), "{text}");
        }
        assert_eq!(Moment::parse("2000-02-29"), Some(951_782_400_000));
        assert_eq!(Moment::parse("2000-02-29 10:30"), Some(951_782_400_000 + 37_800_000));
        for wrong in
            ["2001-02-29", "2026-13-01", "2026-11-31", "2026-11-29T24:00:00", "yesterday", "2026-11", ""]
        {
            assert_eq!(Moment::parse(wrong), None, "{wrong}");
        }
    }
}
