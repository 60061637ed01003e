//! Profiles of authorities: which names they mean, and which of several counts (IBM MQ Security, "Using OAM generic profiles").

use std::cmp::Ordering;

/// Whether it means more than the object of its name.
pub fn is_generic(profile: &str) -> bool {
    profile.contains(['?', '*'])
}

/// `?` is one character, `*` any characters within a part of the name, `**` any parts, none too. Parts are what stands between
/// points.
pub fn means(profile: &str, name: &str) -> bool {
    let (profile, name): (Vec<&str>, Vec<&str>) = (profile.split('.').collect(), name.split('.').collect());
    parts_mean(&profile, &name)
}

fn parts_mean(profile: &[&str], name: &[&str]) -> bool {
    match profile.split_first() {
        None => name.is_empty(),
        Some((&"**", rest)) => (0..=name.len()).any(|skipped| parts_mean(rest, &name[skipped..])),
        Some((part, rest)) => {
            let is_like = |of: &str| part_means(part.as_bytes(), of.as_bytes());
            name.split_first().is_some_and(|(of, left)| is_like(of) && parts_mean(rest, left))
        }
    }
}

fn part_means(part: &[u8], name: &[u8]) -> bool {
    match part.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skipped| part_means(rest, &name[skipped..])),
        Some((letter, rest)) => name
            .split_first()
            .is_some_and(|(of, left)| (*letter == b'?' || letter == of) && part_means(rest, left)),
    }
}

/// The one that says more of a name is less: from the left, a character comes before `?`, that before `*`, and that before `**`.
pub fn by_precision(one: &str, other: &str) -> Ordering {
    let rank = |profile: &str| -> Vec<u8> {
        let mut ranks = Vec::new();
        let mut letters = profile.chars().peekable();
        while let Some(letter) = letters.next() {
            ranks.push(match letter {
                '?' => 1,
                '*' if letters.next_if_eq(&'*').is_some() => 3,
                '*' => 2,
                _ => 0,
            });
        }
        ranks
    };
    // What ends first says less only where the other goes on with characters.
    rank(one).cmp(&rank(other)).then_with(|| other.len().cmp(&one.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_means_names_part_by_part() {
        for (profile, name) in [
            ("AB.?D", "AB.CD"),
            ("AB.*.D", "AB.JKL.D"),
            ("AB.C*", "AB.CDEF"),
            ("AB.**.D", "AB.D"),
            ("AB.**.D", "AB.X.Y.D"),
            ("**", "ANY.THING"),
            ("AB.**", "AB.C.D"),
            ("AB", "AB"),
        ] {
            assert!(means(profile, name), "{profile} {name}");
        }
        for (profile, name) in [
            ("AB.*.D", "AB.D"),
            ("AB.*.D", "AB.X.Y.D"),
            ("AB.C*", "AB.CD.E"),
            ("*", "A.B"),
            ("AB", "ab"),
            ("A?", "A"),
        ] {
            assert!(!means(profile, name), "{profile} {name}");
        }
    }

    #[test]
    fn the_profile_that_says_most_counts() {
        let mut profiles = ["**", "AB.**", "AB.*", "AB.C*", "AB.?D", "AB.CD", "A*.CD"];
        profiles.sort_by(|one, other| by_precision(one, other));
        assert_eq!(profiles, ["AB.CD", "AB.C*", "AB.?D", "AB.*", "AB.**", "A*.CD", "**"]);
    }
}
