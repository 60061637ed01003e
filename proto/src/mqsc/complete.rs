//! The words that can come next, for whoever types a command.

use super::nouns::{Noun, VERBS, Verb};
use crate::attribute::Kind;

/// Where the last word of a line that is typed begins, and what it can be.
pub fn complete(line: &str) -> (usize, Vec<String>) {
    let begins = line.rfind(|c: char| c.is_whitespace() || c == ')').map_or(0, |at| at + 1);
    let begun = line[begins..].to_ascii_uppercase();
    // Names and values are not known here.
    if begun.contains('(') || line.matches('(').count() > line.matches(')').count() {
        return (begins, Vec::new());
    }
    let before: Vec<String> = line[..begins].split_whitespace().map(str::to_ascii_uppercase).collect();
    let is_lower = line[begins..].chars().all(|c| !c.is_ascii_uppercase()) && !begun.is_empty();
    let fold = |word: &str| if is_lower { word.to_ascii_lowercase() } else { word.to_string() };
    let mut words: Vec<String> =
        possible(&before).into_iter().filter(|word| word.starts_with(&begun)).collect();
    words.sort();
    words.dedup();
    (begins, words.iter().map(|word| fold(word)).collect())
}

fn possible(before: &[String]) -> Vec<String> {
    let Some(verb) = before.first() else {
        return VERBS.iter().map(|(_, long, _)| long.to_string()).collect();
    };
    let Some(verb) = Verb::named(verb) else { return Vec::new() };
    let Some(noun) = before.get(1).map(|word| word.split('(').next().unwrap_or_default()) else {
        return verb.nouns().map(str::to_string).collect();
    };
    let kinds: &[Kind] = match Noun::named(noun) {
        Some(Noun::Object(kind)) => &[kind],
        Some(Noun::Queue) => &[Kind::LocalQueue, Kind::AliasQueue, Kind::RemoteQueue, Kind::ModelQueue],
        _ => &[],
    };
    let attributes = kinds.iter().flat_map(|kind| kind.attributes());
    let mut words: Vec<String> = attributes.map(|attribute| attribute.name.to_string()).collect();
    if verb == Verb::Display {
        words.extend(["ALL".into(), "WHERE".into()]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_nouns_and_attributes_come_next() {
        assert_eq!(complete("def"), (0, vec!["define".to_string()]));
        assert_eq!(complete("DEFINE QLO"), (7, vec!["QLOCAL".to_string()]));
        assert_eq!(complete("def ql(A) maxd"), (10, vec!["maxdepth".to_string()]));
        assert_eq!(complete("def ql(A").1, Vec::<String>::new());
        assert_eq!(complete("").1.len(), VERBS.len());
    }
}
