//! Characters of a selector to words, literals and signs.

use std::borrow::Cow;

use trimaran_proto::mq::rfh2::from_hex;

/// What a selector is written in (JMS 2.0, 3.8.1.1).
#[derive(Clone, Debug, PartialEq)]
pub enum Token<'a> {
    /// A name or a keyword.
    Word(&'a str),
    /// Without its quotes, and with one for two in it.
    Text(Cow<'a, str>),
    /// What `"0x2F1C"` stands for: MQ's, and not in JMS.
    Bytes(Vec<u8>),
    /// Without its sign.
    Integer(u64),
    Float(f64),
    Sign(Sign),
    /// Nothing follows; so it is however often it is asked.
    End,
}

/// Signs by what they mean; `+` and `-` stand in front of one number or between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    /// `*`
    Times,
    /// `/`
    Over,
    /// `(`
    Open,
    /// `)`
    Close,
    Comma,
}

/// What is wrong, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// From the beginning of the text, from 0 on.
    pub at: usize,
    /// Follows the place in a sentence, and has no full stop.
    pub what: &'static str,
}

/// Longer signs before those that they begin with.
const SIGNS: [(&str, Sign); 13] = [
    ("<>", Sign::NotEqual),
    ("<=", Sign::LessOrEqual),
    (">=", Sign::GreaterOrEqual),
    ("<", Sign::Less),
    (">", Sign::Greater),
    ("=", Sign::Equal),
    ("+", Sign::Plus),
    ("-", Sign::Minus),
    ("*", Sign::Times),
    ("/", Sign::Over),
    ("(", Sign::Open),
    (")", Sign::Close),
    (",", Sign::Comma),
];

/// Reads one token after the other; what is behind a mistake is not looked at.
#[derive(Debug)]
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    /// Of a whole selector, from its beginning on.
    pub fn new(text: &'a str) -> Lexer<'a> {
        Lexer { text, at: 0 }
    }

    /// The next token and the byte at which it begins.
    ///
    /// # Errors
    /// For what begins no token, or one that does not end.
    pub fn next(&mut self) -> Result<(Token<'a>, usize), Mistake> {
        let rest = self.text[self.at..].trim_start();
        let at = self.text.len() - rest.len();
        let (token, length) = read(rest).map_err(|what| Mistake { at, what })?;
        self.at = at + length;
        debug_assert!(length > 0 || token == Token::End, "a token takes characters");
        debug_assert!(self.text.is_char_boundary(self.at), "a token ends between characters");
        Ok((token, at))
    }
}

/// The token that a text begins with, and its length in bytes.
fn read(text: &str) -> Result<(Token<'_>, usize), &'static str> {
    let Some(first) = text.chars().next() else { return Ok((Token::End, 0)) };
    debug_assert!(!first.is_whitespace(), "blanks are passed before a token");
    if begins_name(first) {
        let length = text.find(|c: char| !continues_name(c)).unwrap_or(text.len());
        return Ok((Token::Word(&text[..length]), length));
    }
    match first {
        '\'' => quoted(text),
        '"' => byte_string(text),
        '0'..='9' => number(text),
        '.' if text[1..].starts_with(|c: char| c.is_ascii_digit()) => number(text),
        _ => {
            let sign = SIGNS.iter().find(|(sign, _)| text.starts_with(sign));
            let (sign, token) = sign.ok_or("this character has no meaning here")?;
            Ok((Token::Sign(*token), sign.len()))
        }
    }
}

/// As Java's identifiers begin, and go on; a dot stands between a property and its folder.
fn begins_name(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '$')
}

fn continues_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '.')
}

/// `'it''s'`
fn quoted(text: &str) -> Result<(Token<'_>, usize), &'static str> {
    debug_assert!(text.starts_with('\''), "a text is in single quotes");
    let mut end = 1;
    let mut doubled = false;
    loop {
        end += text[end..].find('\'').ok_or("a text has no closing quote")?;
        if !text[end + 1..].starts_with('\'') {
            break;
        }
        doubled = true;
        end += 2;
    }
    let inner = &text[1..end];
    let inner = if doubled { inner.replace("''", "'").into() } else { inner.into() };
    Ok((Token::Text(inner), end + 1))
}

/// `"0x2F1C"`
fn byte_string(text: &str) -> Result<(Token<'_>, usize), &'static str> {
    let what = "a byte string is pairs of hexadecimal digits behind 0x, in double quotes; a text is in single quotes";
    debug_assert!(text.starts_with('"'), "a byte string is in double quotes");
    let (inner, _) = text[1..].split_once('"').ok_or(what)?;
    let digits = inner.strip_prefix("0x").or_else(|| inner.strip_prefix("0X")).ok_or(what)?;
    let bytes = from_hex(digits).filter(|bytes| !bytes.is_empty()).ok_or(what)?;
    Ok((Token::Bytes(bytes), inner.len() + 2))
}

/// As Java writes numbers: `57`, `0x2F`, `017`, `57L`, `7.`, `-95.7`, `7E3`.
fn number(text: &str) -> Result<(Token<'_>, usize), &'static str> {
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let (token, end) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(rest) => {
            let length = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
            (integer(&rest[..length], 16)?, 2 + length)
        }
        None => {
            let whole = digits(0);
            let mut end = whole;
            if text[end..].starts_with('.') {
                end += 1;
                end += digits(end);
            }
            if text[end..].starts_with(['e', 'E']) {
                let signed = usize::from(text[end + 1..].starts_with(['+', '-']));
                let exponent = digits(end + 1 + signed);
                if exponent == 0 {
                    return Err("an exponent has digits");
                }
                end += 1 + signed + exponent;
            }
            match (end > whole, text.starts_with('0') && whole > 1) {
                (true, _) => (float(&text[..end])?, end),
                (false, true) => (integer(&text[1..whole], 8)?, end),
                (false, false) => (integer(&text[..whole], 10)?, end),
            }
        }
    };
    let suffixes =
        if matches!(token, Token::Integer(_)) { ['l', 'L', 'l', 'L'] } else { ['f', 'F', 'd', 'D'] };
    let end = end + usize::from(text[end..].starts_with(suffixes));
    debug_assert!(end > 0, "a number has digits");
    match text[end..].starts_with(continues_name) {
        true => Err("a number goes on with something that is no digit of it"),
        false => Ok((token, end)),
    }
}

fn integer(digits: &str, radix: u32) -> Result<Token<'static>, &'static str> {
    debug_assert!(digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "signs and blanks are no digits");
    let number = u64::from_str_radix(digits, radix);
    // A minus may stand in front of the highest.
    let number = number.ok().filter(|number| *number <= 1 << 63);
    number.map(Token::Integer).ok_or("this is no integer of 64 bits")
}

fn float(text: &str) -> Result<Token<'static>, &'static str> {
    debug_assert!(text.starts_with(|c: char| c.is_ascii_digit() || c == '.'), "a sign is a token of its own");
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.map(Token::Float).ok_or("this is no number of 64 bits")
}
