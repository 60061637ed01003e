//! The one source of chance in a run: splitmix64, seeded, forkable.

/// Sebastiano Vigna's splitmix64: one addition and three mixing steps a number, and every seed is a good one.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng { state: seed ^ 0x5851_F42D_4C95_7F2D }
    }

    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 to `until`, `until` excluded; 0 when `until` is 0.
    pub fn below(&mut self, until: u64) -> u64 {
        if until == 0 { 0 } else { self.number() % until }
    }

    /// Both ends included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True in `per_mille` of a thousand cases.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.below(items.len() as u64) as usize) }
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u64 + 1) as usize);
        }
    }

    /// Mostly near `low`, sometimes near `high`: how long things take in real machines.
    pub fn skewed(&mut self, low: u64, high: u64) -> u64 {
        let first = self.between(low, high);
        let second = self.between(low, high);
        let third = self.between(low, high);
        first.min(second).min(third)
    }

    /// A generator of its own, so that one part's draws do not shift another's.
    pub fn fork(&mut self, label: u64) -> Rng {
        Rng::new(self.number() ^ label.wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (mut a, mut b) = (Rng::new(7), Rng::new(7));
        assert!((0..1000).all(|_| a.number() == b.number()));
        assert_ne!(Rng::new(7).number(), Rng::new(8).number());
    }

    #[test]
    fn bounds_are_kept() {
        let mut rng = Rng::new(1);
        assert!((0..1000).all(|_| (3..=9).contains(&rng.between(3, 9))));
        assert!((0..1000).all(|_| (3..=9).contains(&rng.skewed(3, 9))));
        assert_eq!(rng.below(0), 0);
    }
}
