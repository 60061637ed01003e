//! Days and times as MQSC displays them, UTC.

use crate::calendar::Moment;

/// `2026-11-29` and `03.42.54` of milliseconds since 1970.
pub fn day_and_time(ms: i64) -> (String, String) {
    let Moment { year, month, day, hour, minute, second, .. } = Moment::of(ms);
    (format!("{year:04}-{month:02}-{day:02}"), format!("{hour:02}.{minute:02}.{second:02}"))
}
