//! What the operating system and the libraries say, in words for people who do not read Rust.

/// What they say, and what is said instead. Whatever is not here stays as it is.
const WORDS: &[(&str, &str)] = &[
    ("peer closed connection without sending TLS close_notify", "the connection ended in the middle"),
    (
        "invalid peer certificate: UnknownIssuer",
        "its certificate is not from the authority that is trusted here (ca)",
    ),
    ("invalid peer certificate: ", "its certificate is not good: "),
    (
        "received fatal alert: UnknownCA",
        "it does not trust the authority of the certificate that it was shown",
    ),
    (
        "received fatal alert: UnknownCa",
        "it does not trust the authority of the certificate that it was shown",
    ),
    ("received fatal alert: CertificateRequired", "it wants a certificate, and was shown none"),
    ("received fatal alert: BadCertificate", "it refuses the certificate that it was shown"),
    ("received fatal alert: ", "it ended the TLS handshake: "),
    ("received corrupt message of type InvalidContentType", "it does not speak TLS"),
    ("failed to lookup address information: Name or service not known", "there is no host of that name"),
    ("failed to lookup address information", "the name of the host cannot be looked up"),
    ("UnknownIssuer", "it is from another authority"),
    (
        "BadSignature",
        "an authority of the same name signed it with another key; take the files of one authority (ca.pem and what was made with it)",
    ),
    (
        "Other(OtherError(UnsupportedCertVersion))",
        "it is of X.509 version 1, and version 3 is wanted: make it with extensions, as `trimaran certs` does",
    ),
    (
        "Other(OtherError(CaUsedAsEndEntity))",
        "it is an authority's own, and no node or user can show it: make one with `trimaran certs add`",
    ),
    ("Other(OtherError(EndEntityUsedAsCa))", "it is no authority's: name the ca.pem that it was made with"),
    ("BadEncoding", "it cannot be read: is the file whole?"),
    ("InvalidPurpose", "it may not be used for this (extended key usage): make one for server and client"),
    ("UnhandledCriticalExtension", "it has a critical extension that is not known here: make it without"),
    ("keys may not be consistent: ", ""),
    ("KeyMismatch", "the key is another certificate's: take the two files that were made together"),
    // Of a file that was named before.
    (": I/O error: ", ": "),
    ("stream did not contain valid UTF-8", "it is not text in UTF-8"),
];

/// The text without `(os error 111)`, since the words in front of it say the same, without addresses of manuals, and with our words
/// for those of libraries.
///
/// ```
/// assert_eq!(trimaran_proto::plain::error("Connection refused (os error 111)"), "Connection refused");
/// ```
pub fn error(error: impl std::fmt::Display) -> String {
    let text = without(error.to_string(), " (os error ", |rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        (digits > 0 && rest[digits..].starts_with(')')).then_some(digits + 1)
    });
    let text = without(text, ": https://docs.rs/", |rest| Some(rest.find(' ').unwrap_or(rest.len())));
    WORDS.iter().fold(text, |text, (theirs, ours)| text.replace(theirs, ours))
}

/// What an error was caused by at the very beginning, in the words of whoever gave it: what lies around it names layers.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The text without what begins with `mark`, as far as `length` says of what is behind it.
fn without(mut text: String, mark: &str, length: impl Fn(&str) -> Option<usize>) -> String {
    while let Some(at) = text.find(mark) {
        let behind = at + mark.len();
        let Some(length) = length(&text[behind..]) else { break };
        text.replace_range(at..behind + length, "");
    }
    text
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
        assert_eq!(
            error("a: No such file or directory (os error 2); name it"),
            "a: No such file or directory; name it"
        );
    }

    #[test]
    fn words_of_libraries_are_said_in_ours() {
        for (said, plainly) in [
            (
                "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/latest/x.html#eof",
                "the connection ended in the middle",
            ),
            ("it is our own sentence", "it is our own sentence"),
        ] {
            assert_eq!(super::error(said), plainly);
        }
        assert!(super::error("invalid peer certificate: UnknownIssuer").contains("not from the authority"));
        for (said, word) in [
            (
                "a.pem: invalid peer certificate: Other(OtherError(UnsupportedCertVersion))",
                "version 3 is wanted",
            ),
            ("a.pem: invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))", "an authority's own"),
            ("a.pem was not issued by ca.pem: invalid peer certificate: BadSignature", "with another key"),
            (
                "a.pem, a.key: keys may not be consistent: KeyMismatch",
                "a.key: the key is another certificate's",
            ),
            (
                "read a.key: I/O error: No such file or directory (os error 2)",
                "read a.key: No such file or directory",
            ),
        ] {
            let plainly = super::error(said);
            assert!(plainly.contains(word), "{plainly}");
            for of_rust in ["Other(", "BadSignature", "consistent", "I/O", "os error"] {
                assert!(!plainly.contains(of_rust), "{plainly}");
            }
        }
    }
}
