//! What the operating system and the libraries say, in words for people who do not read Rust.

/// The text without `(os error 111)`: the words in front of it say the same.
///
/// ```
/// assert_eq!(trimaran_proto::plain::error("Connection refused (os error 111)"), "Connection refused");
/// ```
pub fn error(error: impl std::fmt::Display) -> String {
    const MARK: &str = " (os error ";
    let mut text = error.to_string();
    while let Some(at) = text.find(MARK) {
        let digits = text[at + MARK.len()..].bytes().take_while(u8::is_ascii_digit).count();
        let end = at + MARK.len() + digits;
        if digits == 0 || !text[end..].starts_with(')') {
            break;
        }
        text.replace_range(at..=end, "");
    }
    text.replace("stream did not contain valid UTF-8", "it is not text in UTF-8")
}

/// What a parser of a command line says of a value, without the words of its types.
///
/// ```
/// use trimaran_proto::plain::value;
///
/// assert_eq!(value("invalid value 'x': invalid digit found in string"), "invalid value 'x': it is no whole number from 0 on");
/// assert_eq!(value("0 is not in 1..18446744073709551615"), "0 is less than 1");
/// assert_eq!(value("-1 is not in 0..=9"), "-1 is no number from 0 to 9");
/// ```
pub fn value(text: &str) -> String {
    const WORDS: [(&str, &str); 5] = [
        ("invalid digit found in string", "it is no whole number from 0 on"),
        ("cannot parse integer from empty string", "a number is missing"),
        ("number too large to fit in target type", "the number is too large"),
        ("is not in 1..18446744073709551615", "is less than 1"),
        ("is not in 1..=18446744073709551615", "is less than 1"),
    ];
    let text = WORDS.iter().fold(text.to_string(), |text, (rust, ours)| text.replace(rust, ours));
    match text.split_once(" is not in ") {
        Some((front, range)) => {
            let range = range.replacen("..=", " to ", 1).replacen("..", " to ", 1);
            format!("{front} is no number from {range}")
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_the_number_of_an_error_goes() {
        let error = |text: &str| super::error(text);
        assert_eq!(
            error("a: File exists (os error 17); b: No such file (os error 2)"),
            "a: File exists; b: No such file"
        );
        assert_eq!(error("(os error x) (os error 17"), "(os error x) (os error 17");
    }
}
