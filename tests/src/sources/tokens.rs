//! Sources as tokens: what no comment and no string literal can be mistaken for.

use Kind::{Sign, Text, Word};

pub struct Token {
    pub kind: Kind,
    pub line: usize,
}

pub enum Kind {
    Word(String),
    Text(String),
    Sign(char),
}

pub fn kind(tokens: &[Token], at: usize) -> Option<&Kind> {
    tokens.get(at).map(|token| &token.kind)
}

/// The kinds of three tokens from `at` on; behind the end there are blanks.
pub fn kinds(tokens: &[Token], at: usize) -> [&Kind; 3] {
    [0, 1, 2].map(|next| tokens.get(at + next).map_or(&Sign(' '), |token| &token.kind))
}

/// For every token the names of the inline modules around it.
pub fn inline_modules(tokens: &[Token]) -> Vec<Vec<String>> {
    let mut open: Vec<Option<String>> = Vec::new();
    let mut around = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        if matches!(token.kind, Sign('}')) {
            open.pop();
        }
        around.push(open.iter().flatten().cloned().collect());
        if matches!(token.kind, Sign('{')) {
            open.push(match at.checked_sub(2).map(|before| kinds(tokens, before)) {
                Some([Word(keyword), Word(name), _]) if keyword == "mod" => Some(name.clone()),
                _ => None,
            });
        }
    }
    around
}

/// Words, string literals and signs. Comments and white space are gone; numbers count as words.
pub fn tokens_of(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some((length, inside)) = string_literal(rest) {
            tokens.push(Token { kind: Text(inside), line });
            length
        } else if first == '\'' {
            // A character, or a lifetime, which is a sign and a word.
            let length = character_literal(rest).unwrap_or(1);
            tokens.push(Token { kind: Sign(first), line });
            length
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(Token { kind: Word(rest[..length].into()), line });
            length
        } else {
            if !first.is_whitespace() {
                tokens.push(Token { kind: Sign(first), line });
            }
            first.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        match rest {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// `"…"`, `r#"…"#` and the same after `b` or `c`: how long it is, and what stands in it.
fn string_literal(text: &str) -> Option<(usize, String)> {
    let prefix = text.find(|c: char| !matches!(c, 'b' | 'c' | 'r')).filter(|length| *length <= 2)?;
    let hashes = text[prefix..].bytes().take_while(|byte| *byte == b'#').count();
    let raw = text[..prefix].ends_with('r');
    let start = prefix + hashes + 1;
    if (hashes > 0 && !raw) || !text[prefix + hashes..].starts_with('"') {
        return None;
    }
    let end = if raw {
        start + text[start..].find(&format!("\"{}", "#".repeat(hashes))).unwrap_or(text.len() - start)
    } else {
        let mut escaped = false;
        let found = text[start..].find(|c: char| match c {
            _ if std::mem::take(&mut escaped) => false,
            '\\' => {
                escaped = true;
                false
            }
            c => c == '"',
        });
        start + found.unwrap_or(text.len() - start)
    };
    Some(((end + 1 + hashes).min(text.len()), text[start..end].into()))
}

/// How long the character literal is that begins here; none if it is a lifetime.
fn character_literal(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first != '\\' {
        let (at, last) = chars.next()?;
        return (last == '\'').then_some(at + 1);
    }
    chars.next()?;
    chars.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1)
}
