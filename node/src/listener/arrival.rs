//! How long a message may take to arrive, whatever protocol brings it: a byte now and then is nothing.

use std::time::Duration;

/// A longer message waits for its memory, and takes it from the share of long bodies.
pub const LONG_BYTES: usize = 1024 * 1024;
/// An unfinished message of which less than this has arrived is not worth counting.
pub const COUNTED_BYTES: usize = 4096;
/// Every message has this long to arrive, and a second more for so many bytes of it.
const PATIENCE: Duration = Duration::from_secs(20);
const BYTES_PER_SECOND: usize = 64 * 1024;
/// While long bodies leave no room for others: so long, and a second more for so many bytes.
const TIGHT_PATIENCE: Duration = Duration::from_secs(2);
const TIGHT_BYTES_PER_SECOND: usize = 1024 * 1024;
/// How long a message waits for its memory.
pub const ROOM_PATIENCE: Duration = Duration::from_secs(30);
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
pub const LOOK_FOR_ROOM_EVERY: Duration = Duration::from_millis(50);

/// Whether so many bytes that came in this time came too slowly, given that others do or do not wait for their memory.
pub fn is_too_slow(bytes: usize, took: Duration, tight: bool) -> bool {
    let (patience, rate) = match tight {
        true => (TIGHT_PATIENCE, TIGHT_BYTES_PER_SECOND),
        false => (PATIENCE, BYTES_PER_SECOND),
    };
    took > patience + Duration::from_secs_f64(bytes as f64 / rate as f64)
}
