//! Bodies that say who put them, so that a history is never ambiguous.

use bytes::Bytes;

/// Which put a message comes from: unique in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BodyKey {
    pub producer: u32,
    pub sequence: u32,
}

/// What a body carries, readable in a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub key: BodyKey,
    pub queue: u32,
    pub priority: u8,
    pub unit: u64,
}

pub fn encode(content: &Content, length: usize) -> Bytes {
    let head = format!(
        "producer={} sequence={} queue={} priority={} unit={} ",
        content.key.producer, content.key.sequence, content.queue, content.priority, content.unit
    );
    let mut body = head.clone().into_bytes();
    // The filling depends on the key, so that one message's bytes can never pass for another's.
    let mut filling =
        crate::sim::rng::Rng::new(u64::from(content.key.producer) << 32 | u64::from(content.key.sequence));
    while body.len() < length {
        body.push(b'a' + (filling.number() % 26) as u8);
    }
    let crc = crc32c::crc32c(&body);
    body.extend_from_slice(format!(" crc={crc:08x}").as_bytes());
    body.into()
}

/// The sentence says what is wrong with the bytes.
pub fn decode(body: &[u8]) -> Result<Content, String> {
    let split = body
        .len()
        .checked_sub(13)
        .ok_or_else(|| format!("a body of {} bytes is none of ours", body.len()))?;
    let (filled, tail) = body.split_at(split);
    let expected = format!(" crc={:08x}", crc32c::crc32c(filled));
    if tail != expected.as_bytes() {
        return Err(format!("the body's own checksum is wrong (expected{expected}, {} bytes)", body.len()));
    }
    let text = String::from_utf8_lossy(filled);
    let field = |name: &str| -> Result<u64, String> {
        text.split(' ')
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| format!("the body has no {name}: {text}"))
    };
    Ok(Content {
        key: BodyKey { producer: field("producer")? as u32, sequence: field("sequence")? as u32 },
        queue: field("queue")? as u32,
        priority: field("priority")? as u8,
        unit: field("unit")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_says_who_put_it_and_a_flipped_bit_shows() {
        let content = Content { key: BodyKey { producer: 3, sequence: 9 }, queue: 1, priority: 4, unit: 77 };
        let body = encode(&content, 200);
        assert_eq!(decode(&body), Ok(content));
        for at in 0..body.len() {
            let mut flipped = body.to_vec();
            flipped[at] ^= 1;
            assert!(decode(&flipped).is_err(), "byte {at}");
        }
    }
}
