//! Several things in one input: each behind its length, so that a fuzzer can exchange one of them.

use bytes::Bytes;

/// A length, two bytes, little-endian; then so many bytes, or as many as there are.
pub struct Pieces<'a>(pub &'a [u8]);

impl Iterator for Pieces<'_> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (piece, rest) = rest.split_at(length);
        self.0 = rest;
        Some(Bytes::copy_from_slice(piece))
    }
}

/// What [`Pieces`] takes apart. A piece that is too long is cut.
pub fn joined(pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<u8> {
    let mut joined = Vec::new();
    for piece in pieces {
        let piece = piece.as_ref();
        let length = piece.len().min(usize::from(u16::MAX));
        joined.extend_from_slice(&(length as u16).to_le_bytes());
        joined.extend_from_slice(&piece[..length]);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_apart_as_they_were_joined() {
        let pieces: [&[u8]; 3] = [b"one", b"", b"three"];
        assert!(Pieces(&joined(pieces)).eq(pieces));
        assert!(Pieces(&[9, 0, 1]).eq([&[1][..]]));
    }
}
