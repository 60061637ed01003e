//! What several rounds say together.

/// Middle value and how far the others are from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Spread { median, low, high })
    }

    /// How many times `self` is of `other`, round against round at the extremes.
    pub fn ratio(self, other: Spread) -> Spread {
        Spread { median: self.median / other.median, low: self.low / other.high, high: self.high / other.low }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_spans_the_worst_and_the_best_pairing() {
        let ours = Spread::of([30.0, 10.0, 20.0]).unwrap();
        let theirs = Spread::of([5.0, 4.0]).unwrap();
        assert_eq!(ours, Spread { median: 20.0, low: 10.0, high: 30.0 });
        assert_eq!(ours.ratio(theirs), Spread { median: 20.0 / 4.5, low: 2.0, high: 7.5 });
        assert_eq!(Spread::of([]), None);
    }
}
