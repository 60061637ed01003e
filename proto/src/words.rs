//! What libraries say of files, connections and certificates, in words for people: whoever reads it need not know them.

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
    ("UnknownIssuer", "it is from another authority"),
    ("KeyMismatch", "the key is another certificate's"),
    ("stream did not contain valid UTF-8", "it is no text in UTF-8"),
];

/// The same without numbers of errors and addresses of manuals.
pub fn plain(said: &str) -> String {
    let mut text = said.to_owned();
    for mark in [" (os error ", ": https://docs.rs/"] {
        while let Some(at) = text.find(mark) {
            let ends = |c: char| if mark.ends_with(' ') { c == ')' } else { c == ' ' };
            let length = text[at + mark.len()..].find(ends);
            let end = match length {
                Some(length) if mark.ends_with(' ') => at + mark.len() + length + 1,
                Some(length) => at + mark.len() + length,
                None => text.len(),
            };
            text.replace_range(at..end, "");
        }
    }
    WORDS.iter().fold(text, |text, (theirs, ours)| text.replace(theirs, ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_libraries_are_said_in_ours() {
        for (said, plainly) in [
            ("Connection refused (os error 111)", "Connection refused"),
            ("a: No such file or directory (os error 2); name it", "a: No such file or directory; name it"),
            (
                "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/latest/x.html#eof",
                "the connection ended in the middle",
            ),
            ("it is our own sentence", "it is our own sentence"),
        ] {
            assert_eq!(plain(said), plainly);
        }
        assert!(plain("invalid peer certificate: UnknownIssuer").contains("not from the authority"));
    }
}
