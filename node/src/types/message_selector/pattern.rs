//! Patterns of LIKE: `_` is any character, `%` any number of them.

/// One for each character, in order; what `%` stands for is looked for from the left.
#[derive(Debug)]
pub struct Pattern(Box<[Part]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    One(char),
    Any,
    Many,
}

impl Pattern {
    /// None when the escape character has nothing behind it that it takes the meaning of.
    pub fn new(text: &str, escape: Option<char>) -> Option<Pattern> {
        let mut parts = Vec::new();
        let mut characters = text.chars();
        while let Some(c) = characters.next() {
            parts.push(match c {
                _ if Some(c) == escape => Part::One(characters.next()?),
                '_' => Part::Any,
                '%' if parts.last() == Some(&Part::Many) => continue,
                '%' => Part::Many,
                other => Part::One(other),
            });
        }
        debug_assert!(parts.len() <= text.len(), "no part without its character");
        Some(Pattern(parts.into()))
    }

    /// Bytes in memory, beside itself.
    pub fn weight(&self) -> usize {
        size_of_val(&*self.0)
    }

    /// Whether all of the text is as the pattern says. Each comparison of a character takes one of `steps`; None when there are
    /// not enough.
    pub fn matches(&self, text: &str, steps: &mut u64) -> Option<bool> {
        let parts = &self.0;
        let (mut part, mut rest) = (0, text.chars());
        // Where to go on when it does not fit: behind the last `%`, and one character later than the last time.
        let mut retry = None;
        loop {
            *steps = steps.checked_sub(1)?;
            debug_assert!(part <= parts.len(), "a pattern is gone through once, or from a `%` on");
            let before = rest.clone();
            match (parts.get(part), rest.next()) {
                (Some(Part::Many), _) => {
                    part += 1;
                    retry = Some((part, before.clone()));
                    rest = before;
                }
                (None, None) => return Some(true),
                (Some(Part::Any), Some(_)) => part += 1,
                (Some(Part::One(wanted)), Some(found)) if *wanted == found => part += 1,
                (_, found) => {
                    let Some((from, later)) = &mut retry else { return Some(false) };
                    if found.is_none() || later.next().is_none() {
                        return Some(false);
                    }
                    debug_assert!(*from > 0, "a `%` is in front of where it goes on");
                    (part, rest) = (*from, later.clone());
                }
            }
        }
    }
}
