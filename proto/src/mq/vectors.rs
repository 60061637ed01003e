//! Real segments, which pin the protocol, for tests of both ends.

use bytes::Bytes;

/// Name and bytes of every segment of `vectors.txt`.
pub fn vectors() -> Vec<(String, Bytes)> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    for line in include_str!("vectors.txt").lines().filter(|line| !line.starts_with('#')) {
        let Some(bytes) = line.strip_prefix("    ") else {
            if !line.is_empty() {
                found.push((line.to_string(), Vec::new()));
            }
            continue;
        };
        let into = &mut found.last_mut().expect("a name comes first").1;
        for word in bytes.split_whitespace() {
            let (byte, times) = word.split_once('*').unwrap_or((word, "1"));
            let byte = u8::from_str_radix(byte, 16).expect("a byte");
            into.extend(std::iter::repeat_n(byte, times.parse().expect("a number")));
        }
    }
    found.into_iter().map(|(name, bytes)| (name, bytes.into())).collect()
}
